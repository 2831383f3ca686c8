"""`TartSlotActor` alone: its scale sets are probes, its backend is in memory, and workers can be held."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support.held_workers import HeldWorkerPool
from support.placed import PlacedMemoryBackend
from support.solo import Solo
from support.world import scale_set

from runscaler.actors import messages as m
from runscaler.actors.tart_slots import STOP_SECONDS, TartSlotActor
from runscaler.backends.base import Place, ResourceEnded, WarmResource
from runscaler.errors import Interrupted
from runscaler.names import Generation, SlotNumber
from runscaler.testing.probe import InlineWorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.names import ScaleSetKey


class Harness:
    """A host with two VM slots and the scale sets a and b. `held`: workers wait for the test."""

    def __init__(self, *, pool: int = 0, held: bool = False) -> None:
        tart = {"pool_size": pool, "max_vms": 2}
        self.sets = (scale_set("a", tart=tart), scale_set("b", tart={"max_vms": 2}))
        self.solo = Solo(scale_sets=self.sets)
        self.backend = PlacedMemoryBackend(self.solo.clock)
        self.workers: dict[str, HeldWorkerPool] = {}
        if held:
            self.solo.context = replace(self.solo.context, make_worker_pool=self._hold)
        self.probes = [self.solo.probe(one.name) for one in self.sets]

    def _hold(self, name: str, width: int, tell: Callable[[object], None]) -> HeldWorkerPool:
        self.workers[name] = HeldWorkerPool(name, width, tell)
        return self.workers[name]

    def start(self) -> None:
        """Start the actor. Both scale sets join and report that they hold nothing."""
        parent = self.solo.parent.actor_ref
        self.actor = self.solo.harness.add(
            TartSlotActor("tart", parent, self.solo.context, self.backend, self.sets)
        )
        self.actor.on_start()
        for number in (0, 1):
            self.join(number)

    def join(self, number: int) -> None:
        settings = self.sets[number]
        self.tell(m.JoinKeeper(settings.key, self.probes[number].actor_ref, settings))
        self.tell(m.HoldVmSlots(settings.key, (), all_of_them=True))

    def tell(self, *messages: object) -> None:
        self.solo.tell(self.actor, *messages)

    def work(self, name: str) -> None:
        """Make the calls that wait in that pool."""
        while self.workers[f"tart {name}"].waiting:
            self.workers[f"tart {name}"].do_one()
            self.solo.play()

    def key(self, number: int) -> ScaleSetKey:
        return self.sets[number].key

    def claim(self, number: int, slot: int = 0) -> None:
        ref = self.probes[number].actor_ref
        self.tell(m.ClaimVmSlot(self.key(number), ref, SlotNumber(slot), Generation(1)))

    def release(self, number: int, slot: int = 0, *, vm_limit_reached: bool = False) -> None:
        self.tell(m.ReleaseVmSlot(self.key(number), SlotNumber(slot), vm_limit_reached))

    def granted(self, number: int) -> list[int]:
        return [one.slot for one in self.probes[number].of(m.ClaimGranted)]

    def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            self.solo.advance(1)


def started(*, pool: int = 0) -> Harness:
    harness = Harness(pool=pool)
    harness.start()
    return harness


def test_a_scale_set_that_leaves_frees_its_vm_slots_for_others() -> None:
    harness = started()
    harness.claim(0, 0)
    harness.claim(0, 1)
    harness.claim(1)
    assert (harness.granted(0), harness.granted(1)) == ([0, 1], [])

    harness.tell(m.LeaveKeeper(harness.key(0)))
    harness.solo.advance(5)
    assert harness.granted(1) == [0]
    assert list(harness.backend.claims) == [0]


def test_the_claims_of_a_scale_sets_earlier_actor_are_dropped() -> None:
    harness = started()
    harness.backend.foreign = 2
    harness.claim(0)
    harness.join(0)
    harness.backend.foreign = 0
    harness.advance(61)

    assert (harness.granted(0), harness.backend.claims) == ([], {})


def test_a_scale_set_that_joins_again_is_told_again_who_holds_the_vm_slots() -> None:
    harness = started()
    harness.backend.foreign = 2
    harness.claim(0)
    settings = harness.sets[0]
    harness.tell(m.JoinKeeper(settings.key, harness.probes[0].actor_ref, settings))
    harness.claim(0)

    holders = [one.holders for one in harness.probes[0].of(m.VmSlotsFull)]
    assert holders == ["a stranger (not ours), a stranger (not ours)"] * 2


def test_vm_slots_claimed_by_an_actor_that_crashed_are_free_again() -> None:
    harness = Harness()
    harness.backend.claim_place(2)
    harness.start()

    assert harness.backend.claims == {}


def test_a_claim_that_waits_is_granted_as_soon_as_a_vm_slot_is_released() -> None:
    harness = started()
    harness.backend.foreign = 1
    harness.claim(0)
    harness.claim(1)
    assert (harness.granted(0), harness.granted(1)) == ([0], [])

    harness.release(0)
    assert harness.granted(1) == [0]


def test_a_claim_that_waits_is_granted_as_soon_as_a_vm_has_ended() -> None:
    harness = started()
    harness.backend.foreign = 2
    harness.claim(0)
    harness.backend.foreign = 1
    harness.tell(ResourceEnded("somebody", None))

    assert harness.granted(0) == [0]


def test_after_a_refusal_of_the_host_the_next_attempt_is_delayed() -> None:
    harness = started()
    harness.claim(0)
    harness.release(0, vm_limit_reached=True)
    harness.claim(0)
    assert harness.granted(0) == [0]

    harness.advance(4)
    assert harness.granted(0) == [0]
    harness.advance(1)
    assert harness.granted(0) == [0, 0]


def test_the_pool_is_filled_once_the_host_has_a_free_vm_slot_though_nothing_else_happens() -> None:
    harness = Harness(pool=1)
    harness.backend.foreign = 2
    harness.start()
    assert harness.backend.pooled == {}

    harness.backend.foreign = 0
    harness.advance(6)
    assert len(harness.backend.pooled) == 1


def test_no_warm_vm_boots_before_its_image_is_ready() -> None:
    harness = Harness(pool=1, held=True)
    harness.start()
    harness.work("pool")
    assert harness.backend.made == 0

    harness.work("image")
    harness.work("pool")
    assert harness.backend.made == 1


def test_an_adopted_warm_vm_of_an_unknown_kind_is_removed_only_when_all_images_are_ready() -> None:
    harness = Harness(held=True)
    harness.backend.pooled["pool-1"] = WarmResource(
        "pool-1", "an older image", Place(0), harness.solo.clock.wall()
    )
    harness.start()
    harness.work("pool")
    assert harness.backend.cooled == []

    harness.work("image")
    harness.work("pool")
    assert harness.backend.cooled == ["pool-1"]


def test_a_stop_waits_at_most_30_seconds_for_warm_vms() -> None:
    harness = Harness(pool=1, held=True)
    harness.start()
    harness.work("pool")
    harness.work("image")
    workers = harness.workers["tart pool"]
    assert len(workers.waiting) == 1

    harness.tell(m.StopKeeper())
    harness.advance(int(STOP_SECONDS) - 1)
    assert harness.solo.heard(m.SharedStopped) == []
    harness.advance(1)
    assert harness.solo.heard(m.SharedStopped) == [m.SharedStopped("tart")]


def test_a_crash_cuts_a_boot_in_progress() -> None:
    harness = Harness(pool=1, held=True)
    harness.start()
    harness.work("pool")
    harness.work("image")
    harness.tell(object())

    outcome: list[type] = []
    call, done, _ = harness.workers["tart pool"].waiting.popleft()
    InlineWorkerPool("x", 1, outcome.append).submit(call, done, type)
    assert outcome == [Interrupted]
