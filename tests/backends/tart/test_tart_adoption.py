from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.tart import IMAGE, OWNER, THEIRS, order_of, tart_settings, wait_until

from runscaler.backends.base import ResourceState
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_rig import Observed
from runscaler.testing.fake_tart_host import Rule, runner_script

TESTS = Path(__file__).parents[2]
WAITS = 'while [ ! -e "$HOME/go" ]; do sleep 0.05; done; exit 3'


def wait_until_clear(rig):
    """The calls of tart that a killed daemon has left end a moment after their VM."""
    wait_until(lambda: rig.leftovers() == [])


@pytest.fixture
def daemon(rig):
    """A function that runs a daemon in a process of its own, which it returns so that it can be killed."""
    running = []

    def run(action="start"):
        rig.tart.add_image(IMAGE, runner_script(WAITS))
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "support" / "tart_daemon.py"), str(rig.state_dir), IMAGE, action],
            env={**rig.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
            stdout=subprocess.PIPE,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def killed(process):
    process.kill()
    process.wait()


def cleared(backend):
    """What the next daemon lists, and then removes as its actors would."""
    found = backend.inventory()
    for resource in found:
        backend.remove(resource, force=True, interrupt=Interrupt())
    return found


@pytest.fixture
def successor(rig):
    backend = rig.open(OWNER)
    yield backend
    backend.close()


STEPS = {
    "clone": (Rule("clone", do="delay", seconds=0.3), "clone"),
    "clone half done": (Rule("clone", when="during", do="delay", seconds=0.3), "clone"),
    "clone done": (Rule("clone", when="after", do="delay", seconds=0.3), "clone"),
    "set": (Rule("set", do="delay", seconds=0.3), "set"),
    "run": (Rule("run", do="delay", seconds=0.3), "run"),
    "boot": (Rule("run", when="during", do="text", text="booting"), "run"),
    "injection": (Rule("exec", do="delay", seconds=0.3, contains="ACTIONS_RUNNER"), "exec"),
    "injected": (Rule("exec", when="during", do="delay", seconds=0.3, contains="ACTIONS_RUNNER"), "exec"),
    "removal": (Rule("delete", do="delay", seconds=0.3), "delete"),
    "removal half done": (Rule("delete", when="during", do="delay", seconds=0.3), "delete"),
}


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_left_of_a_daemon_killed_in_any_step(rig, daemon, successor, step):
    """T36"""
    rule, command = STEPS[step]
    rig.tart.rules(rule)
    process = daemon("remove" if command == "delete" else "start")
    rig.called(command)

    killed(process)
    if command == "clone":  # it survives, and may make its VM later
        wait_until(lambda: all(call.end for call in rig.tart.calls("clone")))
    rig.tart.rules()

    found = cleared(successor)
    assert successor.warm_resources() == []
    assert all(resource.owner == OWNER for resource in found)
    assert all(resource.state is ResourceState.ENDED for resource in found)
    wait_until(lambda: not [left for left in rig.leftovers() if "process" not in left])
    wait_until(lambda: rig.tart.running_vms() == [])
    wait_until(
        lambda: successor.place_holders() == ""
    )  # a process that exits has no name before its locks go
    assert [successor.claim_place(2).vm_slot for _ in range(2)] == [0, 1]


def test_a_clone_that_outlives_its_daemon_is_ended_and_its_vm_removed(rig, daemon, successor):
    """T36"""
    rig.tart.rules(Rule("clone", do="hang"))
    process = daemon()
    rig.called("clone")
    killed(process)

    (late,) = cleared(successor)

    assert late.state is ResourceState.ENDED
    wait_until_clear(rig)
    assert rig.intents() == []


def test_an_intent_without_a_vm_is_deleted(rig, daemon, quick):
    """T36: it was written before the clone."""
    rig.tart.rules(Rule("clone", do="hang"))
    process = daemon()
    (clone,) = rig.called("clone")
    killed(process)
    os.kill(clone.pid, signal.SIGKILL)
    assert len(rig.intents()) == 1

    wait_until(lambda: quick.inventory() == [])  # a killed clone takes a moment to disappear

    assert rig.intents() == []


def test_a_job_survives_the_death_of_its_daemon(rig, daemon, successor):
    """T36"""
    process = daemon()
    assert process.stdout.readline() == b'"done"\n'
    killed(process)

    observed = Observed(successor)
    (adopted,) = successor.inventory()

    assert adopted.state is ResourceState.RUNNING
    assert adopted.place.vm_slot == 0
    (rig.tart.guest_home(adopted.id) / "go").touch()
    assert observed.end_of(adopted).ending.exit_code == 3
    observed.stop()
    cleared(successor)
    wait_until_clear(rig)


def test_a_runner_that_ended_while_no_daemon_ran_is_listed_with_its_exit_code(rig, daemon, successor):
    process = daemon()
    process.stdout.readline()
    killed(process)
    (name,) = rig.tart.running_vms()
    (rig.tart.guest_home(name) / "go").touch()
    wait_until(lambda: (rig.tart.guest_home(name) / ".runscaler" / "exit").exists())

    (found,) = successor.inventory()

    assert (found.state, found.ending.exit_code) == (ResourceState.ENDED, 3)


def test_an_adopted_vm_that_dies_is_reported(rig, daemon, successor):
    """T26, for a child of another process."""
    process = daemon()
    process.stdout.readline()
    killed(process)
    observed = Observed(successor)
    (adopted,) = successor.inventory()

    rig.tart.kill_vm(adopted.id)

    assert observed.end_of(adopted).ending is not None
    observed.stop()


def test_a_vm_that_lost_all_its_files_while_no_daemon_ran_is_ended(rig, daemon, successor):
    """T40: its process holds the VM slot as long as it lives."""
    process = daemon()
    process.stdout.readline()
    killed(process)
    (name,) = rig.tart.running_vms()
    shutil.rmtree(rig.tart.vm_path(name))

    (found,) = cleared(successor)

    assert (found.id, found.state) == (name, ResourceState.ENDED)
    wait_until_clear(rig)
    assert successor.claim_place(2).vm_slot == 0


def test_a_warm_vm_survives_the_death_of_its_daemon(rig, daemon, successor):
    """T36, in the warm pool."""
    process = daemon("warm")
    process.stdout.readline()
    killed(process)

    (warm,) = successor.warm_resources()

    assert successor.inventory() == []
    assert warm.place.vm_slot == 0
    successor.remove_warm(warm, Interrupt())
    wait_until_clear(rig)


def test_after_a_reboot_of_the_host_everything_has_ended_and_is_removed(rig, backend, successor):
    """T38"""
    resources = [backend.start(order_of(rig), Interrupt()), backend.start(order_of(rig), Interrupt())]
    backend.close()
    rig.tart.reboot()

    found = cleared(successor)

    assert {resource.id for resource in found} == {resource.id for resource in resources}
    assert {resource.runner_id for resource in found} == {resource.runner_id for resource in resources}
    assert all(resource.state is ResourceState.ENDED for resource in found)
    wait_until_clear(rig)
    assert successor.start(order_of(rig), Interrupt()).place.vm_slot == 0


def test_after_a_reboot_of_the_host_warm_vms_are_removed(rig, backend, successor):
    """T38"""
    backend.make_warm(rig.settings(), backend.claim_place(2), Interrupt())
    backend.close()
    rig.tart.reboot()

    assert successor.warm_resources() == []
    wait_until_clear(rig)


def test_vms_with_names_like_ours_and_no_record_are_left_alone(rig, backend):
    """T31"""
    rig.tart.add_image(IMAGE)
    names = ["pool-0000dead", "pool-1-1700000000000", "runner-0000dead", "runner-1-2"]
    for name in names:
        rig.tart.call("clone", IMAGE, name, check=True)

    assert backend.inventory() == []
    assert backend.warm_resources() == []
    assert rig.tart.vms() == names


@pytest.mark.parametrize("content", ["", "{", "[]", '{"owner": 3}', "\x00"])
def test_a_vm_with_an_unreadable_record_is_left_alone(rig, backend, content):
    """T31"""
    rig.tart.add_image(IMAGE)
    rig.tart.call("clone", IMAGE, "runner-0000dead", check=True)
    (rig.tart.vm_path("runner-0000dead") / "runscaler.json").write_text(content)

    assert backend.inventory() == []
    assert rig.tart.vms() == ["runner-0000dead"]


def test_a_vm_is_found_without_the_state_directory(rig, backend, successor):
    resource = backend.start(order_of(rig), Interrupt())
    backend.close()
    rig.state_dir.rename(f"{rig.state_dir}.lost")

    assert [listed.id for listed in successor.inventory()] == [resource.id]


def test_a_vm_in_a_home_that_no_scale_set_uses_any_more_is_found(rig, backend):
    home = rig.tart.folder / "old-home"
    rig.tart.add_image(IMAGE, home=home)
    resource = backend.start(order_of(rig, settings=tart_settings(home=str(home))), Interrupt())
    backend.close()
    successor = rig.open(OWNER)

    assert [listed.id for listed in successor.inventory()] == [resource.id]
    successor.remove(resource, force=True, interrupt=Interrupt())
    assert successor.inventory() == []
    successor.close()


def test_vms_of_another_owner_are_never_listed(rig, backend):
    theirs = rig.open(THEIRS)
    theirs.start(order_of(rig), Interrupt())

    assert backend.inventory() == []
    theirs.close()
