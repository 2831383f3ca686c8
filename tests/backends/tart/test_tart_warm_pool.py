from __future__ import annotations

from dataclasses import replace

import pytest
from support.tart import OWNER, THEIRS, order_of, wait_until

from runscaler.backends.base import ResourceState
from runscaler.errors import Interrupted, StartFailed, VmLimitReached
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_rig import Observed
from runscaler.testing.fake_tart_host import Rule


@pytest.fixture
def warm(rig, backend):
    return backend.make_warm(rig.settings(), backend.claim_place(2), Interrupt())


def started(rig, backend, warm, **options):
    return backend.start(order_of(rig, place=warm.place, **options), Interrupt())


def test_a_warm_vm_holds_its_slot_and_is_not_registered(rig, backend, warm):
    assert warm.id.startswith("pool-")
    assert warm.kind == backend.warm_kind(rig.settings())
    assert (warm.place.vm_slot, warm.place.warm) == (0, warm.id)
    assert warm.ready_at > 0
    assert backend.inventory() == []
    assert [call.command for call in rig.tart.journal()] == ["clone", "run"]


def test_a_start_in_a_warm_vm_only_injects(rig, backend, warm):
    before = len(rig.tart.journal())

    resource = started(rig, backend, warm, slot=4)

    calls = [call for call in rig.tart.journal()[before:] if "-i" in call.argv or call.command != "exec"]
    assert [call.argv[:2] for call in calls] == [("exec", "-i")]
    assert (resource.id, resource.slot, resource.place.vm_slot) == (warm.id, 4, 0)
    (listed,) = backend.inventory()
    assert replace(listed, created_at=0) == replace(resource, created_at=0)
    assert backend.warm_resources() == []


def test_the_end_of_a_runner_in_a_warm_vm_is_reported(rig, backend):
    settings = rig.settings("exit 5")
    warm = backend.make_warm(settings, backend.claim_place(2), Interrupt())
    observed = Observed(backend)

    resource = started(rig, backend, warm, settings=settings)

    assert observed.end_of(resource).ending.exit_code == 5
    assert len(observed.ends()) == 1
    observed.stop()


def test_the_kind_covers_image_home_and_size(rig, backend):
    settings = rig.settings()
    kinds = {
        backend.warm_kind(each)
        for each in (
            settings,
            rig.settings(cpu=4),
            rig.settings(memory=5000),
            rig.settings(home="/elsewhere"),
            rig.settings("another image"),
        )
    }

    assert len(kinds) == 5
    rig.tart.add_image(settings.runner_image, {"moved": "the tag"})
    assert backend.warm_kind(settings) not in kinds


def test_a_warm_vm_that_died_is_replaced_by_a_cold_one_in_the_same_slot(rig, backend, warm):
    rig.tart.kill_vm(warm.id)

    resource = started(rig, backend, warm)

    assert resource.id != warm.id
    assert resource.place.vm_slot == 0
    assert rig.tart.vms() == [resource.id]


def test_a_warm_vm_that_dies_while_the_jit_configuration_is_fetched_is_replaced_by_a_cold_one(
    rig, backend, warm
):
    asked = []

    def die():
        asked.append(1)
        rig.tart.kill_vm(warm.id)

    observed = Observed(backend)
    observed.first()

    resource = started(rig, backend, warm, script="exit 0", before_jit=die)

    assert asked == [1]
    assert resource.place.vm_slot == 0
    assert rig.tart.vms() == [resource.id]
    observed.end_of(resource)
    assert [ended.resource_id for ended in observed.ends()] == [resource.id]
    observed.stop()


def test_a_missing_warm_vm_is_replaced_by_a_cold_one(rig, backend, warm):
    backend.remove_warm(warm, Interrupt())

    resource = started(rig, backend, warm)

    assert rig.tart.vms() == [resource.id]


def test_a_start_is_refused_if_another_took_the_dead_warm_vms_slot(rig, backend, warm):
    rig.tart.kill_vm(warm.id)
    theirs = rig.open(THEIRS)
    theirs.claim_place(1)

    with pytest.raises(VmLimitReached):
        started(rig, backend, warm)

    assert rig.leftovers() == []
    theirs.close()


def test_a_warm_vm_whose_injection_has_an_unclear_outcome_is_removed(rig, backend, warm):
    rig.tart.rules(Rule("exec", when="after", do="kill"))

    with pytest.raises(StartFailed):
        started(rig, backend, warm)

    assert rig.leftovers() == []
    assert backend.claim_place(2).vm_slot == 0


def test_a_warm_vm_is_used_up_by_a_start_that_is_interrupted_at_once(rig, backend, warm):
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted):
        backend.start(order_of(rig, place=warm.place), interrupt)

    assert rig.leftovers() == []


def test_a_warm_vm_that_fails_to_boot_leaves_only_its_claim(rig, backend):
    rig.tart.rules(Rule("run", do="exit", text="no"))
    place = backend.claim_place(1)

    with pytest.raises(StartFailed):
        backend.make_warm(rig.settings(), place, Interrupt())

    assert rig.leftovers() == []
    assert backend.claim_place(1) is None
    backend.return_place(place)
    assert backend.claim_place(1) == place


def test_a_refused_warm_vm_is_reported_as_a_reached_limit(rig, backend):
    """T13"""
    rig.tart.state(leaked=2)

    with pytest.raises(VmLimitReached):
        backend.make_warm(rig.settings(), backend.claim_place(1), Interrupt())

    assert rig.leftovers() == []


def test_removing_a_warm_vm_twice_is_harmless_and_reports_no_end(rig, backend, warm):
    observed = Observed(backend)
    observed.first()

    backend.remove_warm(warm, Interrupt())
    backend.remove_warm(warm, Interrupt())

    assert rig.leftovers() == []
    assert backend.claim_place(2).vm_slot == 0
    resource = backend.start(order_of(rig, "exit 0"), Interrupt())
    observed.end_of(resource)
    assert [ended.resource_id for ended in observed.ends()] == [resource.id]
    observed.stop()


def test_the_next_daemon_takes_over_the_warm_vms_that_answer(rig, backend, warm):
    backend.close()
    successor = rig.open(OWNER)

    assert successor.warm_resources() == [warm]
    assert started(rig, successor, warm).state is ResourceState.RUNNING
    successor.close()


def test_the_end_of_an_adopted_warm_vm_is_reported(rig, backend, warm):
    backend.close()
    successor = rig.open(OWNER)
    observed = Observed(successor)
    successor.warm_resources()

    rig.tart.kill_vm(warm.id)

    wait_until(lambda: observed.ends())
    assert observed.ends()[0].resource_id == warm.id
    observed.stop()
    successor.close()


def test_warm_vms_that_do_not_answer_are_removed(rig, quick):
    quick.make_warm(rig.settings(), quick.claim_place(2), Interrupt())
    frozen = quick.make_warm(rig.settings(), quick.claim_place(2), Interrupt())
    quick.close()
    first, second = sorted(rig.tart.vms(), key=lambda name: name == frozen.id)
    rig.tart.kill_vm(first)
    rig.tart.freeze_guest(second)

    successor = rig.open(OWNER, timings=quick._timings)

    assert successor.warm_resources() == []
    assert rig.leftovers() == []
    successor.close()


def test_warm_vms_of_other_daemons_are_left_alone(rig, backend, warm):
    theirs = rig.open(THEIRS)

    assert theirs.warm_resources() == []
    theirs.remove_warm(warm, Interrupt())

    assert rig.tart.running_vms() == [warm.id]
    theirs.close()
