"""The host actor alone: the cap over all scale sets, shared fairly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.solo import Solo
from support.world import scale_set

from runscaler.actors.host import HostActor
from runscaler.actors.messages import (
    ClaimCapacity,
    ClaimGranted,
    ExpectReports,
    HoldCapacity,
    ReleaseCapacity,
    SharedStopped,
    StopHost,
)
from runscaler.backends.base import Place
from runscaler.names import Generation, SlotNumber

if TYPE_CHECKING:
    from runscaler.names import ScaleSetKey

LINUX, WINDOWS = 0, 1


class Harness:
    """A host actor with a cap, and two probes as scale sets; `reported` are those that have reported.
    `listed`: it is known which scale sets there are."""

    def __init__(self, cap: int, reported: tuple[int, ...] = (0, 1), *, listed: bool = True) -> None:
        self.sets = (scale_set("linux"), scale_set("windows"))
        self.solo = Solo(scale_sets=self.sets, host_cap=cap)
        self.actor = self.solo.harness.add(HostActor(self.solo.parent.actor_ref, self.solo.context))
        self.actor.on_start()
        self.probes = [self.solo.probe(one.name) for one in self.sets]
        if listed:
            self.tell(ExpectReports(frozenset(one.key for one in self.sets)))
        for number in reported:
            self.tell(HoldCapacity(self.key(number), (), all_of_them=True))

    def key(self, number: int) -> ScaleSetKey:
        return self.sets[number].key

    def tell(self, *messages: object) -> None:
        self.solo.tell(self.actor, *messages)

    def claim(self, number: int, *slots: int, generation: int = 1) -> None:
        ref = self.probes[number].actor_ref
        for slot in slots:
            self.tell(ClaimCapacity(self.key(number), ref, SlotNumber(slot), Generation(generation)))

    def release(self, number: int, *slots: int) -> None:
        for slot in slots:
            self.tell(ReleaseCapacity(self.key(number), SlotNumber(slot)))

    def granted(self, number: int) -> list[int]:
        return [one.slot for one in self.probes[number].of(ClaimGranted)]


def test_without_a_cap_every_claim_is_granted_at_once() -> None:
    harness = Harness(cap=0)
    harness.claim(LINUX, *range(50))

    assert harness.granted(LINUX) == list(range(50))


def test_a_grant_names_the_claim_that_it_answers() -> None:
    harness = Harness(cap=1)
    harness.claim(LINUX, 4, generation=7)

    assert harness.probes[LINUX].received == [ClaimGranted(SlotNumber(4), Generation(7), Place())]


def test_a_claim_beyond_the_cap_waits_for_a_release() -> None:
    harness = Harness(cap=2)
    harness.claim(LINUX, 0, 1, 2)
    assert harness.granted(LINUX) == [0, 1]

    harness.release(LINUX, 0)
    assert harness.granted(LINUX) == [0, 1, 2]


def test_free_capacity_goes_to_the_scale_set_that_holds_least_then_to_the_oldest_claim() -> None:
    harness = Harness(cap=3)
    harness.claim(LINUX, 0, 1, 2, 3, 4)
    harness.claim(WINDOWS, 0, 1)

    harness.release(LINUX, 0)
    assert (harness.granted(LINUX), harness.granted(WINDOWS)) == ([0, 1, 2], [0])

    harness.release(LINUX, 1)
    assert (harness.granted(LINUX), harness.granted(WINDOWS)) == ([0, 1, 2, 3], [0])


def test_a_claim_that_was_released_is_never_granted() -> None:
    harness = Harness(cap=1)
    harness.claim(LINUX, 0, 1, 2)
    harness.release(LINUX, 1)
    harness.release(LINUX, 0)

    assert harness.granted(LINUX) == [0, 2]


def test_releasing_twice_or_without_a_claim_is_harmless() -> None:
    harness = Harness(cap=1)
    harness.claim(LINUX, 0)
    harness.release(LINUX, 0, 0)
    harness.release(WINDOWS, 5)
    harness.claim(LINUX, 1, 2)

    assert harness.granted(LINUX) == [0, 1]


def test_a_repeated_claim_counts_once() -> None:
    harness = Harness(cap=1)
    harness.claim(LINUX, 0)
    harness.claim(LINUX, 1, generation=1)
    harness.claim(LINUX, 1, generation=2)
    harness.release(LINUX, 0)

    assert [one.generation for one in harness.probes[LINUX].of(ClaimGranted)] == [1, 2]


def test_capacity_that_is_reported_as_held_counts_against_the_cap() -> None:
    harness = Harness(cap=3)
    harness.tell(HoldCapacity(harness.key(LINUX), (SlotNumber(0), SlotNumber(1))))
    harness.tell(HoldCapacity(harness.key(LINUX), (SlotNumber(1), SlotNumber(2))))
    harness.claim(WINDOWS, 0)
    assert harness.granted(WINDOWS) == []

    harness.release(LINUX, 2)
    assert harness.granted(WINDOWS) == [0]


def test_nothing_is_granted_while_more_than_the_cap_is_held() -> None:
    harness = Harness(cap=1)
    harness.tell(HoldCapacity(harness.key(LINUX), tuple(map(SlotNumber, range(3)))))
    harness.claim(WINDOWS, 0)
    harness.release(LINUX, 0, 1)

    assert harness.granted(WINDOWS) == []


def test_a_full_report_drops_the_claims_of_the_scale_sets_earlier_actor() -> None:
    harness = Harness(cap=2)
    harness.claim(LINUX, 0, 1, 2)
    harness.claim(WINDOWS, 0)
    harness.tell(HoldCapacity(harness.key(LINUX), (SlotNumber(1),), all_of_them=True))

    assert (harness.granted(LINUX), harness.granted(WINDOWS)) == ([0, 1], [0])

    harness.release(WINDOWS, 0)
    assert harness.granted(LINUX) == [0, 1]


def test_nothing_is_granted_before_every_scale_set_has_reported_what_it_holds() -> None:
    harness = Harness(cap=2, reported=(WINDOWS,))
    harness.claim(WINDOWS, 0, 1)
    assert harness.granted(WINDOWS) == []

    harness.tell(HoldCapacity(harness.key(LINUX), (SlotNumber(3),), all_of_them=True))
    assert harness.granted(WINDOWS) == [0]


def test_nothing_is_granted_before_it_is_known_who_will_report() -> None:
    """Runners of scale sets that are not configured any more may be there, too."""
    harness = Harness(cap=2, listed=False)
    harness.claim(WINDOWS, 0, 1)
    assert harness.granted(WINDOWS) == []

    harness.tell(ExpectReports(frozenset(one.key for one in harness.sets)))
    assert harness.granted(WINDOWS) == [0, 1]


def test_a_scale_set_that_does_not_report_delays_the_others_by_30_seconds_at_most() -> None:
    harness = Harness(cap=2, reported=(WINDOWS,))
    harness.claim(WINDOWS, 0, 1)
    harness.solo.advance(31)

    assert harness.granted(WINDOWS) == [0, 1]


def test_a_stop_is_reported() -> None:
    harness = Harness(cap=1)
    harness.tell(StopHost())

    assert harness.solo.heard(SharedStopped) == [SharedStopped("host")]
    assert harness.actor.actor_stopped.is_set()
