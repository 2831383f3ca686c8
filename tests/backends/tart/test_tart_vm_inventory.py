"""Listings while starts are under way on other threads."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.tart import OWNER, tart_settings

from runscaler.backends.base import BackendContext
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.record import RECORD_FILE, Phase, VmRecord, write_record
from runscaler.backends.tart.vm_inventory import VmInventory
from runscaler.clock import SystemClock


class Overtaken(VmInventory):
    """`meanwhile` stands for another thread that runs right after a record was first read."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.meanwhile = lambda: None

    def _read_record(self, vm, home):
        record = super()._read_record(vm, home)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return record


@pytest.fixture
def inventory(folder):
    inventory = Overtaken(BackendContext(OWNER, folder / "state", SystemClock()))
    inventory.add_home(TartHome(folder))
    return inventory


@pytest.fixture
def vm(folder):
    vm = TartHome(folder).vm("pool-0a1b2c3d")
    vm.path.mkdir(parents=True)
    return vm


def phases(inventory):
    return [record.phase for record in inventory.records()]


def test_a_vm_that_is_being_started_is_not_listed(inventory, vm):
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name, runner_name="runner-1")
    write_record(vm, record)

    with inventory.starting(vm.name):
        assert phases(inventory) == []
    assert phases(inventory) == [Phase.CLONED]


def test_a_start_that_completes_during_the_listing_is_listed_as_complete(inventory, vm):
    """Otherwise a running runner would be taken for a leftover and removed."""
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name, runner_name="runner-1")
    write_record(vm, record.with_phase(Phase.INJECTING))
    start = ExitStack()
    start.enter_context(inventory.starting(vm.name))

    def complete():
        write_record(vm, record.with_phase(Phase.RUNNING))
        start.close()

    inventory.meanwhile = complete

    assert phases(inventory) == [Phase.RUNNING]


def test_a_warm_vm_that_a_start_takes_during_the_listing_is_listed_as_warm(inventory, vm):
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name)
    write_record(vm, record.with_phase(Phase.POOLED))
    inventory.meanwhile = lambda: write_record(vm, record.with_phase(Phase.INJECTING, runner_name="runner-1"))

    assert phases(inventory) == [Phase.POOLED]


def test_a_vm_that_is_removed_during_the_listing_is_not_listed(inventory, vm):
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name, runner_name="runner-1")
    write_record(vm, record)

    def remove():
        (vm.path / "runscaler.json").unlink()
        vm.path.rmdir()

    inventory.meanwhile = remove

    assert inventory.records() == []


@pytest.mark.parametrize(
    "change",
    [
        {"slot": 10**400},
        {"runner_name": "../x"},
        {"home": "relative"},
        {"guest_pid": 2**40},
        {"created": -1.0},
        {"url": "https://[x"},
        {"phase": "flying"},
    ],
    ids=lambda it: next(iter(it)),
)
def test_a_record_that_cannot_be_read_is_left_alone_and_named_once(inventory, vm, log_lines, change):
    record = VmRecord(owner=OWNER, home=str(vm.path.parents[1]), name=vm.name)
    content = json.loads(record.model_dump_json()) | change
    (vm.path / RECORD_FILE).write_text(json.dumps(content))

    assert inventory.records() == []
    assert inventory.records() == []

    assert vm.path.exists()
    assert len([line for line in log_lines if "left alone" in line and str(vm.path) in line]) == 1


def test_an_intent_under_another_vms_name_leads_nowhere(inventory, vm, folder):
    """Its name would be a path."""
    intents = inventory.intents
    intents.write(VmRecord(owner=OWNER, home=str(folder), name="pool-00000001"))
    (path,) = (folder / "state" / "tart" / OWNER).iterdir()
    path.write_text(path.read_text().replace("pool-00000001", "../../precious"))

    assert intents.all() == []


def test_the_disks_of_its_vms_are_those_of_every_tart_home(rig, backend, tmp_path):
    backend.add_home_of(tart_settings(home=str(tmp_path / "other")))

    assert set(backend.disk_paths()) == {Path(rig.tart.home).resolve(), (tmp_path / "other").resolve()}
