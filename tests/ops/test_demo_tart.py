"""The demo's VM and its leftovers, with the fake tart."""

from __future__ import annotations

import sys

import pytest

from runscaler.backends.tart.record import VmRecord, write_record
from runscaler.backends.tart.slot_locks import SlotHolder, SlotLocks
from runscaler.backends.tart.vm import Vm
from runscaler.errors import BackendError
from runscaler.ops.demo_tart import demo_vm, missing_tart, tart_leftovers
from runscaler.ops.owner import load_or_create_owner
from runscaler.testing.fake_tart_host import IMAGE, FakeTart


def no_progress(what: str, done: int, total: int, /) -> None:
    """The progress of creating the VM is not tested here."""


@pytest.fixture
def mac(tmp_path):
    with FakeTart(tmp_path / "mac") as tart:
        tart.add_image()
        yield tart


@pytest.fixture
def environ(mac, tmp_path):
    return {**mac.environ, "RUNSCALER_TART_SLOTS": str(tmp_path / "slots")}


def test_the_demos_vm_is_a_stopped_clone_with_the_demos_runner_and_gone_afterwards(mac, environ):
    with demo_vm(IMAGE, no_progress, environ) as name:
        runner = mac.guest_home(name) / "runscaler-demo"
        assert (mac.vms(), mac.running_vms()) == ([name], [])
        assert (runner / "run.sh").stat().st_mode & 0o111
        assert (runner / "agent.py").read_text().startswith("#!")

    mac.assert_nothing_left()


def test_a_missing_image_is_named_and_nothing_is_left(mac, environ):
    with (
        pytest.raises(BackendError, match="its registry has no such image"),
        demo_vm("ghcr.io/acme/other:latest", no_progress, environ),
    ):
        pass

    mac.assert_nothing_left()


def test_a_guest_without_an_agent_leaves_nothing(mac, environ):
    mac.state(limit=0)

    with pytest.raises(BackendError, match="ended while it booted"), demo_vm(IMAGE, no_progress, environ):
        pass

    mac.assert_nothing_left()


@pytest.mark.skipif(sys.platform == "darwin", reason="about hosts that are no Mac")
def test_there_is_no_real_tart_except_on_a_mac(environ):
    assert missing_tart(environ) == "this is not a Mac with Apple silicon"


def test_vms_intents_and_slots_of_the_same_owner_are_leftovers(mac, environ, tmp_path):
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    owner = load_or_create_owner(state_dir)
    mac.call("clone", IMAGE, "runner-00000001", check=True)
    mac.call("clone", IMAGE, "foreign", check=True)
    record = VmRecord(owner=owner, home=str(mac.home), name="runner-00000001")
    write_record(Vm(mac.vm_path("runner-00000001")), record)
    intent = state_dir / "tart" / owner / "runner-00000001.json"
    intent.parent.mkdir(parents=True)
    intent.touch()
    slots = SlotLocks(tmp_path / "slots")
    slots.claim(0, SlotHolder(owner, vm="runner-00000001"))
    slots.claim(1, SlotHolder("0" * 32, vm="other"))

    left = tart_leftovers(state_dir, environ)

    slots.close()
    assert left == [
        f"VM runner-00000001 in {mac.home}",
        f"intent file {intent}",
        "VM slot 0: runner-00000001",
    ]
