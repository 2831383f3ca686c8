"""A listing meets starts that are under way on other threads."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from support.tart import OWNER

from runscaler.backends.base import BackendContext
from runscaler.backends.tart.holdings import Holdings
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.record import Phase, VmRecord
from runscaler.clock import SystemClock


class Overtaken(Holdings):
    """`meanwhile` happens on another thread right after a record was first read."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.meanwhile = lambda: None

    def _recorded(self, vm, home):
        record = super()._recorded(vm, home)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return record


@pytest.fixture
def holdings(folder):
    holdings = Overtaken(BackendContext(OWNER, folder / "state", SystemClock()))
    holdings.know(TartHome(folder))
    return holdings


@pytest.fixture
def vm(folder):
    vm = TartHome(folder).vm("pool-0a1b2c3d")
    vm.path.mkdir(parents=True)
    return vm


def phases(holdings):
    return [record.phase for record in holdings.listed()]


def test_one_that_is_being_started_is_not_listed(holdings, vm):
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name, runner_name="runner-1")
    holdings.note(vm, record)

    with holdings.starting(vm.name):
        assert phases(holdings) == []
    assert phases(holdings) == [Phase.CLONED]


def test_a_start_that_ends_while_it_is_listed_is_listed_as_complete(holdings, vm):
    """Half of a start would be taken for a leftover, and a runner at work be removed."""
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name, runner_name="runner-1")
    holdings.note(vm, record.with_phase(Phase.INJECTING))
    start = ExitStack()
    start.enter_context(holdings.starting(vm.name))

    def complete():
        holdings.note(vm, record.with_phase(Phase.RUNNING))
        start.close()

    holdings.meanwhile = complete

    assert phases(holdings) == [Phase.RUNNING]


def test_a_waiting_vm_that_a_start_takes_while_it_is_listed_is_listed_as_waiting(holdings, vm):
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name)
    holdings.note(vm, record.with_phase(Phase.POOLED))
    holdings.meanwhile = lambda: holdings.note(vm, record.with_phase(Phase.INJECTING, runner_name="runner-1"))

    assert phases(holdings) == [Phase.POOLED]


def test_one_that_is_removed_while_it_is_listed_is_not_listed(holdings, vm):
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name, runner_name="runner-1")
    holdings.note(vm, record)

    def remove():
        (vm.path / "runscaler.json").unlink()
        vm.path.rmdir()

    holdings.meanwhile = remove

    assert holdings.listed() == []
