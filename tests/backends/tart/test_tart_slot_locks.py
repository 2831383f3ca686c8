from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.disk import full_disk
from support.tart import OWNER, THEIRS, order_of

from runscaler.backends.base import Place
from runscaler.backends.tart.slot_locks import SlotHolder, SlotLocks
from runscaler.backends.tart.vm_slots import VmSlots, mac_of
from runscaler.errors import BackendError, VmLimitReached
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId


def test_concurrent_daemons_never_claim_the_same_slot(rig):
    """T34"""
    daemons = [rig.open(OwnerId(f"{number:032x}")) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        places = [place for place in pool.map(lambda daemon: daemon.claim_place(3), daemons) if place]

    assert len({place.vm_slot for place in places}) == len(places) <= 3
    for daemon in daemons:
        daemon.close()
    last = rig.open()
    assert [last.claim_place(3).vm_slot for _ in range(3)] == [0, 1, 2]
    last.close()


def test_no_slot_is_claimed_twice_if_somebody_deletes_the_lock_files(rig, backend):
    """T35"""
    resource = backend.start(order_of(rig), Interrupt())

    shutil.rmtree(rig.slots)

    assert resource.place.vm_slot == 0
    assert backend.claim_place(2) == Place(1, mac_of(1))
    assert backend.claim_place(2) is None


def test_no_vm_runs_in_a_slot_whose_lock_file_somebody_deleted(rig, backend):
    """T35"""
    place, theirs = backend.claim_place(2), rig.open(THEIRS)
    shutil.rmtree(rig.slots)
    assert theirs.claim_place(2) == place

    with pytest.raises(VmLimitReached):
        backend.start(order_of(rig, place=place), Interrupt())

    assert rig.tart.calls("run") == []
    backend.return_place(place)
    assert backend.claim_place(2) == Place(1, mac_of(1))
    theirs.close()


def test_the_lock_of_a_deleted_file_does_not_count(rig):
    """T35: somebody deleted the file of our lock."""
    slots, others = SlotLocks(rig.slots), SlotLocks(rig.slots)
    assert slots.claim(0, SlotHolder())
    (rig.slots / "slot-0.lock").unlink()

    assert others.claim(0, SlotHolder())
    assert list(others.taken()) == [0]
    slots.close()
    others.close()


def test_lock_files_are_for_every_user_of_the_host(rig, backend):
    backend.claim_place(1)

    assert (rig.slots.stat().st_mode & 0o7777, (rig.slots / "slot-0.lock").stat().st_mode & 0o777) == (
        0o1777,
        0o666,
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff" * 3000])
def test_a_lock_file_with_any_content_can_be_claimed(rig, backend, content):
    rig.slots.mkdir()
    (rig.slots / "slot-0.lock").write_bytes(content)
    (rig.slots / "slot-7.lock.bak").touch()
    held = SlotLocks(rig.slots)
    assert held.claim(0, SlotHolder())
    (rig.slots / "slot-0.lock").write_bytes(content)

    assert backend.claim_place(1) is None
    assert backend.place_holders() == "one that starts (another program's)"
    held.close()
    assert backend.claim_place(1).vm_slot == 0


def test_a_directory_that_cannot_be_used_is_an_error_that_names_it(rig, backend):
    rig.slots.write_text("a file")

    with pytest.raises(BackendError, match="VM slots of this host cannot be used") as caught:
        backend.claim_place(1)

    assert str(rig.slots) in caught.value.fixes[0]


def test_a_lock_file_that_is_a_symbolic_link_is_not_followed(rig, backend):
    rig.slots.mkdir()
    (rig.slots / "slot-0.lock").symlink_to(rig.tart.folder / "victim")

    assert backend.claim_place(1) is None

    assert not (rig.tart.folder / "victim").exists()


def test_a_lock_file_that_this_user_may_not_open_counts_as_taken(rig, backend, monkeypatch):
    theirs = SlotLocks(rig.slots)
    theirs.claim(0, SlotHolder())
    theirs.close()
    path, open_file = rig.slots / "slot-0.lock", os.open

    def refuse(name, *options, **others):
        if name == path:
            raise PermissionError
        return open_file(name, *options, **others)

    monkeypatch.setattr(os, "open", refuse)

    assert not theirs.claim(0, SlotHolder())
    assert backend.claim_place(1) is None
    assert backend.claim_place(2).vm_slot == 1


def test_slots_are_claimed_though_the_disk_is_full(rig, backend):
    rig.slots.mkdir()

    with full_disk():
        assert backend.claim_place(1).vm_slot == 0

    assert backend.place_holders() == "one that starts (another program's)"


def test_a_claim_is_given_up_if_others_reached_the_limit_at_the_same_moment(folder):
    class Overtaken(VmSlots):
        """Another program claims the next slot right after the free ones were determined."""

        def _free(self, most, but=()):
            free = super()._free(most, but)
            assert theirs.claim(1, SlotHolder())
            return free

    theirs, slots = SlotLocks(folder), Overtaken(folder, OWNER, list)

    assert slots.claim(1) is None

    assert theirs.taken().keys() == {1}
    slots.close()
    theirs.close()


@pytest.fixture
def forking(monkeypatch):
    """As while a child is forked: it has copies of all descriptors until it executes its program."""
    copies, close = [], os.close

    def close_in_the_parent(descriptor):
        copies.append(os.dup(descriptor))
        close(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", close_in_the_parent)
        yield
    for descriptor in copies:
        close(descriptor)


def test_a_check_of_a_free_slot_leaves_it_free_even_while_a_child_is_forked(folder, forking):
    slots = SlotLocks(folder)
    slots.claim(0, SlotHolder())
    slots.release(0)

    assert slots.taken() == {}

    assert slots.claim(0, SlotHolder())
    slots.close()


def test_a_released_slot_is_free_even_while_a_child_is_forked(folder, forking):
    slots = SlotLocks(folder)
    slots.claim(0, SlotHolder())

    slots.release(0)

    assert slots.claim(0, SlotHolder())
    slots.close()


def test_a_symbolic_link_in_place_of_the_directory_is_refused(rig, backend):
    elsewhere = rig.tart.folder / "elsewhere"
    elsewhere.mkdir()
    rig.slots.symlink_to(elsewhere)

    with pytest.raises(BackendError, match="it is not a directory"):
        backend.claim_place(1)

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("plant", ["hard link", "link", "fifo"])
def test_what_somebody_planted_as_a_lock_file_is_not_written_to(folder, plant):
    """Any user of the host may make files there."""
    slots, precious = folder / "slots", folder / "precious"
    slots.mkdir()
    precious.write_text("content")
    lock = slots / "slot-0.lock"
    if plant == "hard link":
        lock.hardlink_to(precious)
    elif plant == "link":
        lock.symlink_to(precious)
    else:
        os.mkfifo(lock)
    locks = SlotLocks(slots)

    with pytest.raises(BackendError, match="cannot be used"):
        locks.claim(0, SlotHolder(owner="us"))

    assert precious.read_text() == "content"
    assert locks.taken() == {0: SlotHolder()}, "it counts as taken"


@pytest.mark.parametrize(
    "content", [b"", b"[" * 2000, b"9" * 1900, b"[]", b'{"pid": Infinity}', b'{"pid": -1, "vm": "a\\nb"}']
)
def test_a_holder_with_absurd_content_is_somebody(folder, content):
    locks, others = SlotLocks(folder / "slots"), SlotLocks(folder / "slots")
    locks.claim(0, SlotHolder())
    (folder / "slots" / "slot-0.lock").write_bytes(content)

    (holder,) = others.taken().values()

    assert holder.pid == 0
    assert "\n" not in holder.vm
    locks.close()
