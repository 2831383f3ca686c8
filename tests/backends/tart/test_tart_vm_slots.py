from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.tart import OWNER, THEIRS, TartRig, order_of, tart_settings, wait_until

from runscaler.backends.base import Place, PlacedBackend
from runscaler.backends.tart.vm_slots import mac_of
from runscaler.errors import StartFailed, VmLimitReached
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_host import Rule


def remove(backend, resource):
    backend.remove(resource, force=True, interrupt=Interrupt())


def test_the_backend_is_a_placed_backend(backend):
    assert isinstance(backend, PlacedBackend)


def test_the_lowest_free_slot_is_claimed_until_all_are_taken(backend):
    first, second = backend.claim_place(2), backend.claim_place(2)

    assert (first, second) == (Place(0, "02:00:00:00:00:01"), Place(1, "02:00:00:00:00:02"))
    assert backend.claim_place(2) is None
    backend.return_place(first)
    backend.return_place(first)
    assert backend.claim_place(2) == first


def test_a_slot_that_the_caller_excludes_counts_as_taken(backend):
    assert backend.claim_place(1, {0}) is None
    assert backend.claim_place(2, {0}).vm_slot == 1


def test_claims_are_listed_until_they_are_returned_or_a_vm_holds_the_slot(rig, backend):
    first, second = backend.claim_place(2), backend.claim_place(2)
    assert backend.claimed_places() == [first, second]

    backend.start(order_of(rig, place=first), Interrupt())
    assert backend.claimed_places() == [second]
    backend.return_place(second)

    assert backend.claimed_places() == []


def test_no_vm_runs_in_a_slot_that_was_returned_during_its_start(rig, backend):
    place = backend.claim_place(1)
    rig.tart.rules(Rule("set", do="delay", seconds=0.3))
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(backend.start, order_of(rig, place=place, cpu=2), Interrupt())
        rig.called("set")
        backend.return_place(place)

        with pytest.raises(VmLimitReached, match="was released"):
            start.result()
    assert rig.leftovers() == []


def test_every_slot_has_its_own_mac():
    assert mac_of(254) == "02:00:00:00:00:ff"
    assert mac_of(255) == "02:00:00:00:01:00"


def test_a_slot_is_taken_until_its_vm_has_ended(rig, backend):
    resource = backend.start(order_of(rig, place=backend.claim_place(1)), Interrupt())
    backend.return_place(resource.place)
    assert backend.claim_place(1) is None

    rig.tart.kill_vm(resource.id)

    assert backend.claim_place(1) == resource.place


def test_a_vm_counts_once_even_if_two_paths_lead_to_its_home(rig, backend):
    """For example, if ~/.tart is a symbolic link to the directory that [tart] home names."""
    link = rig.tart.folder / "link"
    link.symlink_to(rig.tart.home)
    backend.add_home_of(tart_settings(home=str(link)))

    resource = backend.start(order_of(rig), Interrupt())

    assert backend.place_holders() == resource.id
    assert backend.claim_place(2).vm_slot == 1


def test_a_vm_keeps_its_slot_after_the_death_of_its_daemon(rig, backend):
    resource = backend.start(order_of(rig), Interrupt())
    backend.close()

    successor = rig.open()

    assert successor.claim_place(2).vm_slot == 1
    assert successor.claim_place(2) is None
    remove(successor, resource)
    assert successor.claim_place(2).vm_slot == 0
    successor.close()


def test_a_start_without_a_slot_claims_one_and_names_the_holders_if_there_is_none(rig, backend):
    resources = [backend.start(order_of(rig), Interrupt()) for _ in range(2)]

    with pytest.raises(VmLimitReached) as caught:
        backend.start(order_of(rig), Interrupt())

    assert {resource.place.vm_slot for resource in resources} == {0, 1}
    assert all(resource.id in str(caught.value) for resource in resources)
    assert sorted(rig.tart.vms()) == sorted(resource.id for resource in resources)


def test_a_failed_start_releases_the_slot_that_it_claimed(rig, backend):
    rig.tart.rules(Rule("run", do="exit", text="no"))

    for _ in range(3):
        with pytest.raises(StartFailed, match="ended while it booted"):
            backend.start(order_of(rig, max_vms=1), Interrupt())

    assert backend.claim_place(1) is not None


def test_a_refusal_of_the_kernel_is_reported_as_a_reached_limit(folder):
    """T13: because of a VM in a TART_HOME that we do not know. The actor retries."""
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


def test_a_refused_start_names_the_other_holders(folder):
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


def test_a_kernel_that_lost_count_is_reported_with_the_fix(rig, backend):
    """T14"""
    rig.tart.state(leaked=2)

    with pytest.raises(VmLimitReached) as caught:
        backend.start(order_of(rig), Interrupt())

    assert any("restart the Mac" in fix for fix in caught.value.fixes)
    assert rig.leftovers() == []
    rig.tart.state(leaked=0)
    backend.start(order_of(rig), Interrupt())


def test_a_foreign_macos_vm_takes_a_slot_and_is_named(rig, backend):
    with rig.tart.start_foreign_vm("sequoia-test", home=rig.tart.home):
        assert backend.claim_place(1) is None
        assert backend.place_holders() == "sequoia-test (not ours)"
        assert backend.claim_place(2).vm_slot == 0
        assert backend.claim_place(2) is None

    assert rig.tart.vms() == []


def test_a_foreign_linux_vm_takes_no_slot(rig, backend):
    with rig.tart.start_foreign_vm("debian", home=rig.tart.home, os_name="linux"):
        assert backend.claim_place(1) is not None


def test_a_foreign_vm_with_the_name_of_one_of_ours_takes_a_slot(rig, backend):
    other_home = rig.tart.folder / "foreign-home"
    backend.add_home_of(tart_settings(home=str(other_home)))
    resource = backend.start(order_of(rig), Interrupt())

    with rig.tart.start_foreign_vm(resource.id, home=other_home):
        assert backend.claim_place(2) is None
        assert backend.place_holders() == f"{resource.id}, {resource.id} (not ours)"


def test_a_slot_whose_mac_a_foreign_vm_has_is_skipped(rig, backend):
    """As the VMs of the Go tool do."""
    with rig.tart.start_foreign_vm("runner-go", home=rig.tart.home, mac=mac_of(0)):
        assert backend.claim_place(2) == Place(1, mac_of(1))


def test_two_daemons_with_two_homes_share_the_hosts_slots(rig, backend):
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


def test_an_order_whose_slot_somebody_took_meanwhile_is_refused(rig, backend):
    theirs = rig.open(THEIRS)
    place = theirs.claim_place(1)

    with pytest.raises(VmLimitReached):
        backend.start(order_of(rig, place=replace(place, warm="pool-0000dead"), max_vms=1), Interrupt())

    assert rig.leftovers() == []
    theirs.close()


def test_scale_sets_of_one_host_share_one_backend():
    from runscaler.backends.registry import factory_for

    factory = factory_for("tart")
    assert factory.location(tart_settings()) == factory.location(tart_settings(home="/elsewhere")) == "tart"


def test_claims_are_released_when_the_backend_closes(rig, backend):
    backend.claim_place(2)
    backend.close()

    wait_until(lambda: rig.open(OWNER).claim_place(1) is not None)
