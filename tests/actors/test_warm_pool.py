"""The warm pool alone: its workers wait for the test, which passes each result on to it."""

from __future__ import annotations

import pytest
from support.held_workers import HeldWorkerPool
from support.placed import PlacedMemoryBackend
from support.world import scale_set

from runscaler.actors import messages as m
from runscaler.actors.warm_pool import WarmPool
from runscaler.backends.base import Place, WarmResource
from runscaler.errors import RunscalerError, StartFailed, VmLimitReached
from runscaler.policy.vm_slots import Stage
from runscaler.testing.clock import FakeClock

SETTINGS = scale_set("mac", runner_image="sequoia")
FAILURE = StartFailed("the guest agent did not answer")


class Harness:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.backend = PlacedMemoryBackend(self.clock)
        self.told: list[object] = []
        self.planned: list[tuple[float, object]] = []
        self.workers = HeldWorkerPool("pool", 2, self.told.append)
        self.pool = WarmPool(
            self.clock,
            lambda seconds, message: self.planned.append((seconds, message)),
            self.backend,
            self.workers,
        )

    def boot(self) -> Place:
        """Begin to boot a warm VM in a VM slot of its own."""
        place = self.backend.claim_place(2)
        assert place is not None
        self.pool.boot(SETTINGS, "sequoia", place)
        return place

    def booted(self) -> int:
        """The VM slot of a warm VM that is ready."""
        place = self.boot()
        self.work()
        assert place.vm_slot is not None
        return place.vm_slot

    def fail_boot(self, error: RunscalerError = FAILURE) -> None:
        self.backend.fail_next("start", error)
        self.boot()
        self.work()

    def work(self) -> None:
        """Make the calls that wait and pass their results on, as the actor does."""
        while self.workers.waiting:
            self.workers.do_one()
            match message := self.told[-1]:
                case m.WarmVmReady(warm):
                    self.pool.booted(warm)
                case m.WarmBootFailed():
                    self.pool.boot_failed(message)
                case m.WarmVmRemoved(place):
                    self.pool.removed(place)
                case m.WarmRemovalFailed():
                    self.pool.removal_failed(message)

    def stages(self) -> list[Stage]:
        return [vm.stage for vm in self.pool.view()]


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_a_warm_vm_boots_and_is_ready(harness: Harness) -> None:
    harness.boot()
    assert harness.stages() == [Stage.BOOTING]

    harness.work()
    assert harness.stages() == [Stage.READY]


def test_a_boot_in_progress_is_cut_and_does_not_count_as_failed(harness: Harness) -> None:
    place = harness.boot()
    assert place.vm_slot is not None
    harness.pool.remove(place.vm_slot, "the test")
    assert harness.stages() == [Stage.REMOVING]

    harness.work()
    assert (harness.stages(), harness.backend.claims, harness.backend.pooled) == ([], {}, {})
    assert (harness.backend.made, harness.pool.backing_off()) == (0, {})


def test_a_boot_that_finishes_before_it_can_be_cut_is_removed(harness: Harness) -> None:
    place = harness.boot()
    assert place.vm_slot is not None
    harness.workers.do_one()
    harness.pool.remove(place.vm_slot, "the test")
    (ready,) = harness.told
    assert isinstance(ready, m.WarmVmReady)
    harness.pool.booted(ready.warm)
    assert harness.stages() == [Stage.REMOVING]

    harness.work()
    assert (harness.stages(), harness.backend.pooled) == ([], {})


def test_a_failed_boot_frees_the_vm_slot_and_its_kind_backs_off_ever_longer(harness: Harness) -> None:
    now = harness.clock.monotonic()
    harness.fail_boot()
    assert (harness.stages(), harness.backend.claims) == ([], {})
    assert harness.pool.backing_off() == {"sequoia": now + 1}

    harness.fail_boot()
    assert harness.pool.backing_off() == {"sequoia": now + 2}
    harness.clock.advance(2)
    assert harness.pool.backing_off() == {}


def test_a_boot_that_succeeds_ends_a_series_of_failures(harness: Harness) -> None:
    harness.fail_boot()
    harness.booted()
    harness.fail_boot()

    assert harness.pool.backing_off() == {"sequoia": harness.clock.monotonic() + 1}


def test_a_boot_refused_by_a_full_host_is_no_failure(harness: Harness) -> None:
    harness.fail_boot(VmLimitReached("the host runs as many VMs as it may"))

    assert (harness.stages(), harness.pool.backing_off()) == ([], {})


def test_an_adopted_warm_vm_is_as_old_as_its_boot(harness: Harness) -> None:
    warm = WarmResource("pool-1", "sequoia", Place(0), ready_at=harness.clock.wall() - 100)
    harness.pool.adopt([warm])

    (vm,) = harness.pool.view()
    assert (vm.stage, vm.since) == (Stage.READY, harness.clock.monotonic() - 100)


def test_a_warm_vm_that_ends_by_itself_is_removed_once(harness: Harness) -> None:
    harness.booted()
    (warm_id,) = harness.backend.pooled
    assert harness.pool.ended(warm_id)
    assert harness.pool.ended(warm_id)
    assert not harness.pool.ended("another")

    assert len(harness.workers.waiting) == 1


def test_removing_all_leaves_out_what_is_being_removed_and_on_request_what_is_ready(
    harness: Harness,
) -> None:
    first, _ = harness.booted(), harness.booted()
    harness.pool.remove(first, "the test")
    harness.pool.remove_all(except_ready=True)
    assert len(harness.workers.waiting) == 1
    assert not harness.pool.is_empty(except_ready=True)

    harness.work()
    assert harness.pool.is_empty(except_ready=True)
    assert not harness.pool.is_empty(except_ready=False)
    harness.pool.remove_all(except_ready=False)
    harness.work()
    assert harness.pool.is_empty(except_ready=False)


def test_a_removed_warm_vm_frees_its_vm_slot(harness: Harness) -> None:
    harness.backend.claims[0] = Place(0)
    harness.pool.adopt([WarmResource("pool-1", "sequoia", Place(0), ready_at=0.0)])
    harness.pool.remove(0, "the test")
    harness.work()

    assert (harness.stages(), harness.backend.claims) == ([], {})
