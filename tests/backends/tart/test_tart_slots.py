from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.tart import OWNER, TartRig, order_of, tart_settings, wait_until

from runscaler.backends.base import Place, PlacedBackend
from runscaler.backends.tart.slot_locks import SlotHolder, SlotLocks
from runscaler.backends.tart.vm_slots import mac_of
from runscaler.errors import BackendError, StartFailed, VmLimitReached
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId
from runscaler.testing.backend_contract import THEIRS
from runscaler.testing.fake_tart_host import Rule


def remove(backend, resource):
    backend.remove(resource, force=True, interrupt=Interrupt())


def test_the_backend_hands_out_places(backend):
    assert isinstance(backend, PlacedBackend)


def test_places_are_given_from_the_lowest_on_until_all_are_taken(backend):
    first, second = backend.claim_place(2), backend.claim_place(2)

    assert (first, second) == (Place(0, "02:00:00:00:00:01"), Place(1, "02:00:00:00:00:02"))
    assert backend.claim_place(2) is None
    backend.return_place(first)
    backend.return_place(first)
    assert backend.claim_place(2) == first


def test_a_slot_that_is_spoken_for_counts_as_taken_though_nothing_lives_in_it(backend):
    assert backend.claim_place(1, {0}) is None
    assert backend.claim_place(2, {0}).vm_slot == 1


def test_claims_are_known_until_they_are_returned_or_a_vm_holds_them(rig, backend):
    first, second = backend.claim_place(2), backend.claim_place(2)
    assert backend.claimed_places() == [first, second]

    backend.start(order_of(rig, place=first), Interrupt())
    assert backend.claimed_places() == [second]
    backend.return_place(second)

    assert backend.claimed_places() == []


def test_a_place_that_is_returned_while_its_vm_is_made_runs_no_vm(rig, backend):
    place = backend.claim_place(1)
    rig.tart.rules(Rule("set", do="delay", seconds=0.3))
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(backend.start, order_of(rig, place=place, cpu=2), Interrupt())
        rig.called("set")
        backend.return_place(place)

        with pytest.raises(VmLimitReached, match="was released"):
            start.result()
    assert rig.leftovers() == []


def test_every_slot_has_a_mac_of_its_own():
    assert mac_of(254) == "02:00:00:00:00:ff"
    assert mac_of(255) == "02:00:00:00:01:00"


def test_a_place_in_which_a_vm_lives_is_taken_until_it_ended(rig, backend):
    resource = backend.start(order_of(rig, place=backend.claim_place(1)), Interrupt())
    backend.return_place(resource.place)
    assert backend.claim_place(1) is None

    rig.tart.kill_vm(resource.id)

    assert backend.claim_place(1) == resource.place


def test_a_vm_counts_once_though_its_home_has_two_names(rig, backend):
    """As when ~/.tart is a symbolic link to where [tart] home points."""
    link = rig.tart.folder / "link"
    link.symlink_to(rig.tart.home)
    backend.add_home_of(tart_settings(home=str(link)))

    resource = backend.start(order_of(rig), Interrupt())

    assert backend.place_holders() == resource.id
    assert backend.claim_place(2).vm_slot == 1


def test_a_vm_keeps_its_place_past_the_death_of_its_daemon(rig, backend):
    resource = backend.start(order_of(rig), Interrupt())
    backend.close()

    successor = rig.open()

    assert successor.claim_place(2).vm_slot == 1
    assert successor.claim_place(2) is None
    remove(successor, resource)
    assert successor.claim_place(2).vm_slot == 0
    successor.close()


def test_a_start_without_a_place_takes_one_itself_and_says_who_has_them_all(rig, backend):
    resources = [backend.start(order_of(rig), Interrupt()) for _ in range(2)]

    with pytest.raises(VmLimitReached) as caught:
        backend.start(order_of(rig), Interrupt())

    assert {resource.place.vm_slot for resource in resources} == {0, 1}
    assert all(resource.id in str(caught.value) for resource in resources)
    assert sorted(rig.tart.vms()) == sorted(resource.id for resource in resources)


def test_a_failed_start_gives_back_the_place_that_it_took_itself(rig, backend):
    rig.tart.rules(Rule("run", do="exit", text="no"))

    for _ in range(3):
        with pytest.raises(StartFailed, match="ended while it booted"):
            backend.start(order_of(rig, max_vms=1), Interrupt())

    assert backend.claim_place(1) is not None


def test_the_kernels_refusal_is_waiting_and_no_failure(folder):
    """T13: of a VM in a TART_HOME that nobody told us of. Retrying is the actor's."""
    rig = TartRig(folder, limit=1)
    backend = rig.open()
    with rig.tart.start_foreign_vm("theirs"):
        with pytest.raises(VmLimitReached, match="as many macOS VMs as it may"):
            backend.start(order_of(rig), Interrupt())
        assert backend.claim_place(2).vm_slot == 0
        backend.return_place(Place(0))
        assert backend.inventory() == []
        assert [path for path in rig.leftovers() if "runner-" in path] == []

    resource = backend.start(order_of(rig), Interrupt())
    remove(backend, resource)
    assert rig.leftovers() == []
    backend.close()
    rig.close()


def test_a_refused_start_names_who_else_has_a_vm(folder):
    """T13"""
    rig = TartRig(folder, limit=1)
    backend = rig.open()
    running = backend.start(order_of(rig), Interrupt())

    with pytest.raises(VmLimitReached) as caught:
        backend.start(order_of(rig), Interrupt())

    assert str(caught.value).endswith(f"may: {running.id}")
    assert caught.value.fixes == ()
    backend.close()
    rig.close()


def test_a_count_that_the_kernel_lost_is_told_with_the_cure(rig, backend):
    """T14"""
    rig.tart.state(leaked=2)

    with pytest.raises(VmLimitReached) as caught:
        backend.start(order_of(rig), Interrupt())

    assert any("restart the Mac" in fix for fix in caught.value.fixes)
    assert rig.leftovers() == []
    rig.tart.state(leaked=0)
    backend.start(order_of(rig), Interrupt())


def test_a_foreign_macos_vm_takes_a_place_and_is_named(rig, backend):
    with rig.tart.start_foreign_vm("sequoia-test", home=rig.tart.home):
        assert backend.claim_place(1) is None
        assert backend.place_holders() == "sequoia-test (not ours)"
        assert backend.claim_place(2).vm_slot == 0
        assert backend.claim_place(2) is None

    assert rig.tart.vms() == []


def test_a_foreign_linux_vm_takes_no_place(rig, backend):
    with rig.tart.start_foreign_vm("debian", home=rig.tart.home, os_name="linux"):
        assert backend.claim_place(1) is not None


def test_a_slot_whose_mac_a_foreign_vm_has_is_skipped(rig, backend):
    """As the Go tool's VMs have them."""
    with rig.tart.start_foreign_vm("runner-go", home=rig.tart.home, mac=mac_of(0)):
        assert backend.claim_place(2) == Place(1, mac_of(1))


def test_two_daemons_with_two_homes_share_the_hosts_places(rig, backend):
    """T34"""
    theirs = rig.open(THEIRS)
    other_home = rig.settings(home=str(rig.tart.folder / "other-home"))
    rig.tart.add_image(other_home.runner_image, home=rig.tart.folder / "other-home")

    ours = backend.start(order_of(rig), Interrupt())
    foreign = theirs.start(order_of(rig, settings=other_home), Interrupt())

    assert {ours.place.mac, foreign.place.mac} == {mac_of(0), mac_of(1)}
    for each in (backend, theirs):
        assert each.claim_place(2) is None
    assert f"{foreign.id} (another program's)" in backend.place_holders()
    assert [listed.id for listed in theirs.inventory()] == [foreign.id]
    theirs.close()


def test_many_daemons_never_claim_one_place_twice(rig):
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


def test_no_place_is_given_twice_when_somebody_deletes_the_lock_files(rig, backend):
    """T35"""
    resource = backend.start(order_of(rig), Interrupt())

    shutil.rmtree(rig.slots)

    assert resource.place.vm_slot == 0
    assert backend.claim_place(2) == Place(1, mac_of(1))
    assert backend.claim_place(2) is None


def test_a_claim_whose_lock_file_somebody_deleted_runs_no_vm(rig, backend):
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


def test_a_lock_on_a_file_that_is_no_longer_there_counts_for_nothing(rig):
    """T35: another daemon removed the file between our opening and locking it."""
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


def test_a_slot_file_that_is_a_link_is_not_followed(rig, backend):
    rig.slots.mkdir()
    (rig.slots / "slot-0.lock").symlink_to(rig.tart.folder / "victim")

    assert backend.claim_place(1) is None

    assert not (rig.tart.folder / "victim").exists()


def test_an_order_whose_place_somebody_took_meanwhile_waits(rig, backend):
    theirs = rig.open(THEIRS)
    place = theirs.claim_place(1)

    with pytest.raises(VmLimitReached):
        backend.start(order_of(rig, place=replace(place, warm="pool-0000dead"), max_vms=1), Interrupt())

    assert rig.leftovers() == []
    theirs.close()


def test_sets_of_one_host_share_one_backend():
    from runscaler.backends.registry import factory_for

    factory = factory_for("tart")
    assert factory.location(tart_settings()) == factory.location(tart_settings(home="/elsewhere")) == "tart"


def test_claims_end_with_the_backend(rig, backend):
    backend.claim_place(2)
    backend.close()

    wait_until(lambda: rig.open(OWNER).claim_place(1) is not None)


def test_a_look_at_a_free_slot_leaves_it_free_though_a_child_is_being_forked(folder, monkeypatch):
    """Which has a copy of every descriptor until it becomes its program."""
    slots, copies, close = SlotLocks(folder), [], os.close

    def close_but_for_the_child(descriptor):
        copies.append(os.dup(descriptor))
        close(descriptor)

    slots.claim(0, SlotHolder())
    slots.release(0)
    with monkeypatch.context() as forking:
        forking.setattr(os, "close", close_but_for_the_child)
        assert slots.taken() == {}

    assert slots.claim(0, SlotHolder())
    slots.close()
    for descriptor in copies:
        close(descriptor)
