"""What the demo does to a tart that is there, and what it finds of itself afterwards; on the fake."""

from __future__ import annotations

import sys

import pytest

from runscaler.backends.tart.record import VmRecord, write_record
from runscaler.backends.tart.slot_locks import SlotHolder, SlotLocks
from runscaler.backends.tart.vm import Vm
from runscaler.errors import BackendError
from runscaler.ops.demo_tart import demo_vm, missing_tart, tart_leftovers
from runscaler.ops.owner import kept_owner
from runscaler.testing.fake_tart_host import IMAGE, FakeTart


def unheard(what: str, done: int, total: int, /) -> None:
    """Nobody watches the VM being made."""


@pytest.fixture
def mac(tmp_path):
    with FakeTart(tmp_path / "mac") as tart:
        tart.add_image()
        yield tart


@pytest.fixture
def environ(mac, tmp_path):
    return {**mac.environ, "RUNSCALER_TART_SLOTS": str(tmp_path / "slots")}


def test_the_demos_vm_is_a_stopped_clone_with_the_demos_runner_and_gone_afterwards(mac, environ):
    with demo_vm(IMAGE, unheard, environ) as name:
        runner = mac.guest_home(name) / "runscaler-demo"
        assert (mac.vms(), mac.running_vms()) == ([name], [])
        assert (runner / "run.sh").stat().st_mode & 0o111
        assert (runner / "agent.py").read_text().startswith("#!")

    mac.assert_nothing_left()


def test_an_image_that_is_not_there_is_named_and_nothing_stays(mac, environ):
    with (
        pytest.raises(BackendError, match="its registry has no such image"),
        demo_vm("ghcr.io/acme/other:latest", unheard, environ),
    ):
        pass

    mac.assert_nothing_left()


def test_a_guest_without_an_agent_leaves_nothing(mac, environ):
    mac.state(limit=0)

    with pytest.raises(BackendError, match="ended while it booted"), demo_vm(IMAGE, unheard, environ):
        pass

    mac.assert_nothing_left()


@pytest.mark.skipif(sys.platform == "darwin", reason="about hosts that are no Mac")
def test_elsewhere_than_on_a_mac_no_tart_is_real(environ):
    assert missing_tart(environ) == "this is no Mac with Apple silicon"


def test_vms_intents_and_slots_of_the_same_owner_are_leftovers(mac, environ, tmp_path):
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    owner = kept_owner(state_dir)
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
