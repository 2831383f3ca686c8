from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
from support.tart import IMAGE, order_of

from runscaler.backends.base import ResourceState
from runscaler.backends.tart.processes import RUN_PROCESSES
from runscaler.backends.tart.removal import Removal
from runscaler.backends.tart.timings import Timings
from runscaler.errors import BackendError
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock
from runscaler.testing.fake_tart_host import Rule

NOT_PERMITTED = "Error: “nvram.bin” couldn’t be removed: Operation not permitted"


def remove(backend, resource):
    backend.remove(resource, force=True, interrupt=Interrupt())


def test_a_vm_gets_sigint_before_sigkill(rig, backend):
    resource = backend.start(order_of(rig), Interrupt())

    remove(backend, resource)

    assert [call.code for call in rig.tart.calls("run")] == [0]
    assert rig.leftovers() == []
    assert RUN_PROCESSES.exit_code(str(rig.tart.vm_path(resource.id))) is None, "it was forgotten"


def test_a_vm_that_ignores_sigint_is_killed(rig, quick):
    """T28"""
    rig.tart.rules(Rule("run", do="ignore", signal=signal.SIGINT))
    resource = quick.start(order_of(rig), Interrupt())

    remove(quick, resource)

    assert [call.code for call in rig.tart.calls("run")] == [None]
    assert rig.leftovers() == []


def test_a_delete_that_is_refused_ten_times_is_retried_until_it_succeeds(rig, backend):
    """T29"""
    backend = rig.open(timings=replace(backend._timings, delete_retry=0.01))
    resource = backend.start(order_of(rig), Interrupt())
    rig.tart.rules(Rule("delete", do="exit", text=NOT_PERMITTED, times=10))

    remove(backend, resource)

    assert len(rig.tart.calls("delete")) == 11
    assert rig.leftovers() == []
    backend.close()


def test_the_pauses_between_refused_deletes_grow_to_a_limit(rig, backend):
    """T29"""
    rig.tart.add_image(IMAGE)
    rig.tart.call("clone", IMAGE, "runner-0000dead", check=True)
    rig.tart.rules(Rule("delete", do="exit", text=NOT_PERMITTED, times=6))
    clock = FakeClock()
    tart = replace(backend._host.tart_of(rig.settings()), clock=clock)

    Removal(tart, tart.home.vm("runner-0000dead"), Timings()).run(Interrupt())

    assert clock.pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


def test_a_delete_that_hangs_is_killed_and_retried(rig, quick):
    """T29"""
    resource = quick.start(order_of(rig), Interrupt())
    rig.tart.rules(Rule("delete", do="hang", times=1))

    remove(quick, resource)

    assert [call.code for call in rig.tart.calls("delete")] == [None, 0]
    assert rig.leftovers() == []


def test_a_delete_that_calls_the_vm_running_is_retried(rig, quick):
    """T29"""
    resource = quick.start(order_of(rig), Interrupt())
    rig.tart.rules(Rule("delete", do="exit", text=f'VM "{resource.id}" is running', times=3))

    remove(quick, resource)

    assert len(rig.tart.calls("delete")) == 4
    assert rig.leftovers() == []


def test_a_vm_that_somebody_restarts_during_its_removal_is_killed(rig, quick):
    """T29"""
    resource = quick.start(order_of(rig), Interrupt())
    rig.wrap(
        '[ "$1" = delete ] && [ ! -e "$0.done" ] &&'
        ' { : >"$0.done"; "$REAL" run "$2" >/dev/null 2>&1 & sleep 0.5; }'
    )

    remove(quick, resource)

    assert rig.leftovers() == []


def test_a_vm_that_cannot_be_deleted_is_an_error_and_stays_listed(rig, quick):
    """T29"""
    resource = quick.start(order_of(rig), Interrupt())
    rig.tart.rules(Rule("delete", do="exit", text=NOT_PERMITTED))

    with pytest.raises(BackendError, match="Operation not permitted"):
        remove(quick, resource)

    assert [(one.id, one.state) for one in quick.inventory()] == [(resource.id, ResourceState.ENDED)]
    assert rig.tart.running_vms() == []
    rig.tart.rules()
    quick.remove(resource, force=False, interrupt=Interrupt())
    assert rig.leftovers() == []


def test_the_slot_of_a_vm_that_cannot_be_deleted_is_claimed_once(rig, quick):
    """T29"""
    resource = quick.start(order_of(rig), Interrupt())
    rig.tart.rules(Rule("delete", do="exit", text=NOT_PERMITTED))
    with pytest.raises(BackendError):
        remove(quick, resource)

    assert quick.claim_place(2).vm_slot == 0
    assert quick.claim_place(2).vm_slot == 1
    assert quick.claim_place(2) is None


@pytest.mark.parametrize("adopted", [False, True], ids=["child", "adopted"])
def test_a_directory_without_config_json_is_removed_if_it_is_ours(rig, backend, adopted):
    """T30"""
    resource = backend.start(order_of(rig), Interrupt())
    (rig.tart.vm_path(resource.id) / "config.json").unlink()
    remover = rig.open() if adopted else backend

    remove(remover, resource)

    assert rig.leftovers() == []
    remover.close()


def test_a_directory_without_config_json_stays_if_it_is_not_ours(rig, backend):
    """T30"""
    foreign = rig.tart.vm_path("runner-0000dead")
    foreign.mkdir(parents=True)
    (foreign / "disk.img").touch()
    resource = backend.start(order_of(rig), Interrupt())

    remove(backend, replace(resource, id=foreign.name))
    remove(backend, resource)

    assert rig.tart.vms() == [foreign.name]


@pytest.mark.parametrize("name", ["../../etc", "sequoia-base", "runner-0a1b2c3d4", "pool-x"])
def test_only_vms_with_names_of_our_making_are_removed(rig, backend, name):
    rig.tart.add_image(IMAGE)
    rig.tart.call("clone", IMAGE, "sequoia-base", check=True)
    resource = backend.start(order_of(rig), Interrupt())

    remove(backend, replace(resource, id=name))

    assert sorted(rig.tart.vms()) == sorted(["sequoia-base", resource.id])


def test_a_vm_that_a_failed_start_could_not_remove_is_listed_and_removed_later(rig, quick, said):
    rig.tart.rules(Rule("exec", do="exit", text="no"), Rule("delete", do="exit", text=NOT_PERMITTED))
    with pytest.raises(BackendError):
        quick.start(order_of(rig), Interrupt())

    (left,) = quick.inventory()
    assert left.state is ResourceState.ENDED
    assert any("cannot be removed yet" in line for line in said)
    rig.tart.rules()
    quick.remove(left, force=False, interrupt=Interrupt())
    assert rig.leftovers() == []


def test_a_vm_of_another_user_is_stopped_by_command(rig, backend, monkeypatch):
    """Because its process must not be signalled."""
    resource = backend.start(order_of(rig), Interrupt())
    pids, kill = {process.pid for process in rig.tart.runs(resource.id)}, os.kill

    def refuse(pid, number):
        if pid in pids:
            raise PermissionError
        kill(pid, number)

    monkeypatch.setattr(os, "kill", refuse)
    remove(backend, resource)

    assert [call.argv[1] for call in rig.tart.calls("stop")] == [resource.id]
    assert rig.leftovers() == []
