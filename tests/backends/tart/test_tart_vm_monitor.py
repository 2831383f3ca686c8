from __future__ import annotations

import shutil

import pytest
from support.tart import QUICK, TartRig, order_of, wait_until

from runscaler.backends.base import ResourceState, WatchCrashed
from runscaler.backends.tart.vm_monitor import VmMonitor
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_rig import Observed

WAITS = 'while [ ! -e "$HOME/go" ]; do sleep 0.05; done; exit 3'


@pytest.fixture(params=["pidfds", "polling"])
def watched(request, rig):
    """A backend and its watch: once with exit descriptors, once with polling."""
    options = {} if request.param == "pidfds" else {"exit_descriptor": lambda _pid: None}
    backend = rig.open(**options)
    observed = Observed(backend)
    observed.first()
    yield backend, observed
    observed.stop()
    backend.close()


def test_a_runner_that_ends_at_once_is_reported_with_its_exit_code_and_log(rig, watched):
    """T23"""
    backend, observed = watched
    resource = backend.start(order_of(rig, "echo too old; exit 7"), Interrupt())

    ending = observed.end_of(resource).ending

    assert (ending.exit_code, ending.signal) == (7, None)
    assert backend.logs(resource, 1000, Interrupt()) == b"too old\n"
    assert [listed.ending.exit_code for listed in backend.inventory()] == [7]


def test_a_runner_that_is_killed_in_its_guest_is_reported_without_an_exit_code(rig, watched):
    """T23: together with its shell, so that no exit code is written."""
    backend, observed = watched
    resource = backend.start(order_of(rig, 'kill -9 "$PPID"; exec sleep 600'), Interrupt())

    ending = observed.end_of(resource).ending

    assert ending.exit_code is None
    assert [listed.state for listed in backend.inventory()] == [ResourceState.ENDED]


def test_a_job_survives_a_restart_of_the_guest_agent(rig, watched):
    """T25"""
    backend, observed = watched
    resource = backend.start(order_of(rig, WAITS), Interrupt())
    wait_until(lambda: rig.tart.agent_log(resource.id).count("8<>") == 1)

    rig.tart.restart_agent(resource.id)
    wait_until(lambda: rig.tart.agent_log(resource.id).count("8<>") == 2)

    assert [listed.state for listed in backend.inventory()] == [ResourceState.RUNNING]
    (rig.tart.guest_home(resource.id) / "go").touch()
    assert observed.end_of(resource).ending.exit_code == 3


def crash(rig, name):
    rig.tart.crash_guest(name)


def kill(rig, name):
    rig.tart.kill_vm(name)


def halt(rig, name):
    rig.tart.call("exec", name, "/bin/sh", "-c", "halt")


@pytest.mark.parametrize("end", [halt, crash, kill], ids=["0", "1", "SIGKILL"])
@pytest.mark.parametrize("script", ["exec sleep 600", "bin/Runner.Worker"], ids=["idle", "busy"])
def test_a_vm_that_dies_is_reported_with_the_output_of_tart(rig, watched, script, end):
    """T26"""
    backend, observed = watched
    resource = backend.start(order_of(rig, script), Interrupt())

    end(rig, resource.id)

    ended = observed.end_of(resource)
    assert ended.key == resource.key
    assert ended.ending.exit_code is None
    assert ended.ending.signal == (9 if end is kill else None)
    (listed,) = backend.inventory()
    assert listed.state is ResourceState.ENDED
    if end is not kill:
        assert b"guest has stopped the virtual machine" in backend.logs(resource, 1000, Interrupt())
    backend.remove(resource, force=False, interrupt=Interrupt())
    assert rig.leftovers() == []


@pytest.mark.parametrize("end", [halt, crash, kill], ids=["0", "1", "SIGKILL"])
def test_a_warm_vm_that_dies_is_reported(rig, watched, end):
    """T26"""
    backend, observed = watched
    warm = backend.make_warm(rig.settings(), backend.claim_place(2), Interrupt())

    end(rig, warm.id)

    wait_until(lambda: observed.ends())
    assert [(ended.resource_id, ended.key) for ended in observed.ends()] == [(warm.id, None)]
    assert backend.inventory() == []
    backend.remove_warm(warm, Interrupt())
    assert rig.leftovers() == []


def test_a_warm_vm_whose_guest_hangs_is_reported(rig, quick):
    """T27"""
    observed = Observed(quick)
    warm = quick.make_warm(rig.settings(), quick.claim_place(2), Interrupt())

    rig.tart.freeze_guest(warm.id)

    wait_until(lambda: observed.ends())
    assert observed.ends()[0].resource_id == warm.id
    quick.remove_warm(warm, Interrupt())
    assert rig.leftovers() == []
    observed.stop()


def test_a_warm_vm_whose_guest_hangs_is_reported_even_if_its_socket_cannot_be_reached(folder):
    """T27, with T39"""
    rig = TartRig(folder / ("x" * 80))
    backend = rig.open(timings=QUICK)
    observed = Observed(backend)
    warm = backend.make_warm(rig.settings(), backend.claim_place(2), Interrupt())

    rig.tart.freeze_guest(warm.id)

    wait_until(lambda: observed.ends())
    assert observed.ends()[0].resource_id == warm.id
    observed.stop()
    backend.close()
    rig.close()


def test_a_warm_vm_with_a_silent_socket_is_alive_as_long_as_it_answers_execs(rig, quick):
    """T27, with T39"""
    rig.tart.state(agent={"*": "never"})
    rig.wrap('[ "$3" = /usr/bin/true ] && { echo >>"$0.asked"; exit 0; }')
    asked = rig.tart.folder / "wrapped" / "tart.asked"
    observed = Observed(quick)

    warm = quick.make_warm(rig.settings(), quick.claim_place(2), Interrupt())

    wait_until(lambda: len(asked.read_text()) > 4)
    assert observed.ends() == []
    assert rig.tart.running_vms() == [warm.id]
    observed.stop()


def test_a_warm_vm_that_misses_a_single_probe_is_alive(rig, quick):
    """T27"""
    rig.tart.state(agent={"*": "never"})
    rig.wrap('[ "$3" = /usr/bin/true ] && { echo >>"$0.asked"; exit $(( ($(wc -l <"$0.asked") + 1) % 2 )); }')
    asked = rig.tart.folder / "wrapped" / "tart.asked"
    observed = Observed(quick)

    warm = quick.make_warm(rig.settings(), quick.claim_place(2), Interrupt())

    wait_until(lambda: len(asked.read_text()) > 8)
    assert observed.ends() == []
    assert rig.tart.running_vms() == [warm.id]
    observed.stop()


def test_a_hung_guest_with_a_runner_is_left_to_github(rig, quick):
    """T27"""
    observed = Observed(quick)
    resource = quick.start(order_of(rig), Interrupt())

    rig.tart.freeze_guest(resource.id)

    assert quick.runs_a_job(resource, Interrupt()) is None
    assert [listed.state for listed in quick.inventory()] == [ResourceState.RUNNING]
    assert observed.ends() == []
    quick.remove(resource, force=True, interrupt=Interrupt())
    assert rig.leftovers() == []
    observed.stop()


def test_a_vm_that_somebody_stopped_is_reported_and_its_slot_is_free(rig, watched):
    """T40"""
    backend, observed = watched
    resource = backend.start(order_of(rig), Interrupt())

    rig.tart.call("stop", resource.id, check=True)

    assert observed.end_of(resource).ending is not None
    assert backend.claim_place(1).vm_slot == resource.place.vm_slot


def test_a_vm_that_somebody_deleted_is_reported_and_its_slot_is_free(rig, watched):
    """T40"""
    backend, observed = watched
    resource = backend.start(order_of(rig), Interrupt())

    rig.tart.call("stop", resource.id, check=True)
    rig.tart.call("delete", resource.id)

    observed.end_of(resource)
    assert backend.inventory() == []
    assert backend.claim_place(1).vm_slot == resource.place.vm_slot
    backend.remove(resource, force=False, interrupt=Interrupt())
    assert rig.leftovers() == []


def test_a_vm_whose_directory_somebody_removed_is_reported_and_its_process_ended(rig, watched):
    """T40"""
    backend, observed = watched
    resource = backend.start(order_of(rig), Interrupt())

    (rig.tart.vm_path(resource.id) / "config.json").unlink()

    assert observed.end_of(resource).ending is None
    backend.remove(resource, force=True, interrupt=Interrupt())
    assert rig.leftovers() == []
    shutil.rmtree(rig.slots)


def test_a_reported_ending_is_recorded_for_the_next_daemon(rig, backend):
    observed = Observed(backend)
    resource = backend.start(order_of(rig, "exit 7"), Interrupt())
    observed.end_of(resource)
    observed.stop()
    backend.close()
    rig.tart.kill_vm(resource.id)

    (listed,) = rig.open().inventory()

    assert listed.ending.exit_code == 7


@pytest.fixture
def monitor(rig, backend):
    """A function that makes a monitor of one VM, without exit descriptors. It is given what the monitor
    calls now and then, and returns the monitor, the VM's record and tart, and the list of reported ends."""
    made, crashes = [], []

    def make(name, tick=lambda: None):
        record = backend._host.inventory.find(name)
        ends = []
        monitor = VmMonitor(
            backend._host.clock,
            QUICK,
            lambda _pid: None,
            lambda *end: ends.append(end),
            lambda: tick(),
            crashes.append,
        )
        made.append(monitor)
        monitor.crashes = crashes
        return monitor, record, backend._host.tart_at(record), ends

    yield make
    for each in made:
        each.stop()


def test_the_end_of_a_vm_that_was_just_discarded_is_not_reported(rig, backend, monitor):
    resource = backend.start(order_of(rig), Interrupt())
    ticks = []

    def discard():
        ticks.append(1)
        monitoring.discard(resource.id)

    monitoring, record, tart, ends = monitor(resource.id, discard)
    rig.tart.kill_vm(resource.id)

    monitoring.add(record, tart)

    wait_until(lambda: len(ticks) > 1)
    monitoring.stop()
    assert ends == []


def test_a_vm_that_is_added_again_after_its_end_runs(rig, backend, monitor):
    warm = backend.make_warm(rig.settings(), backend.claim_place(2), Interrupt())
    monitoring, record, tart, ends = monitor(warm.id)
    rig.tart.kill_vm(warm.id)
    monitoring.add(record, tart)
    wait_until(lambda: ends)
    assert monitoring.ending(warm.id) is not None
    with rig.tart.spawn("run", warm.id):
        rig.tart.wait_until_ready(warm.id)

        monitoring.add(record, tart)

        assert monitoring.ending(warm.id) is None
        assert len(ends) == 1
        monitoring.stop()
        rig.tart.kill_vm(warm.id)


def test_a_monitor_that_crashes_says_so_and_starts_anew(rig, backend, monitor):
    resource = backend.start(order_of(rig), Interrupt())
    steps = iter([ZeroDivisionError("a bug of ours")])

    def tick():
        if (error := next(steps, None)) is not None:
            raise error

    monitoring, record, tart, ends = monitor(resource.id, tick)
    monitoring.wake()
    wait_until(lambda: monitoring.crashes)
    assert monitoring.crashes[0].startswith("ZeroDivisionError: a bug of ours\n")
    assert resource.id not in monitoring

    monitoring.add(record, tart)
    rig.tart.kill_vm(resource.id)

    wait_until(lambda: ends)
    assert [end[0].name for end in ends] == [resource.id]


def test_the_crash_of_the_monitor_is_told_to_every_watch(rig, backend, monkeypatch):
    observed = []

    def crash():
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(backend._monitor, "_tick", crash)
    watch = backend.watch(0.0, observed.append)

    wait_until(lambda: observed)
    assert isinstance(observed[0], WatchCrashed)
    watch.stop()


@pytest.mark.parametrize("written", ["9" * 5000, "-3", "", "x" * 100_000])
def test_an_exit_file_with_absurd_content_is_an_end_without_a_code(rig, backend, written):
    """A job can write whatever it likes into its guest."""
    resource = backend.start(order_of(rig, WAITS), Interrupt())
    observed = Observed(backend)
    home = rig.tart.guest_home(resource.id)
    (home / ".runscaler" / "exit.new").mkdir()
    (home / ".runscaler" / "exit").write_text(written)
    (home / "go").touch()

    assert observed.end_of(resource).ending.exit_code is None
    observed.stop()
