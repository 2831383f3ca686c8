"""The host's cap over all scale sets, shared fairly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.solo import Solo
from support.world import scale_set

from runscaler.actors.host import HostActor
from runscaler.actors.messages import (
    ClaimPlace,
    HoldPlaces,
    PlaceGranted,
    ReturnPlace,
    SharedStopped,
    StopHost,
)
from runscaler.backends.base import Place
from runscaler.names import Generation, SlotNumber

if TYPE_CHECKING:
    from runscaler.names import ScaleSetKey

LINUX, WINDOWS = 0, 1


class Hotel:
    """A host actor with a cap, and two scale sets that claim its places."""

    def __init__(self, cap: int, heard: tuple[int, ...] = (0, 1)) -> None:
        self.sets = (scale_set("linux"), scale_set("windows"))
        self.solo = Solo(scale_sets=self.sets, host_cap=cap)
        self.actor = self.solo.harness.add(HostActor(self.solo.parent.actor_ref, self.solo.house))
        self.actor.on_start()
        self.guests = [self.solo.probe(one.name) for one in self.sets]
        for number in heard:
            self.tell(HoldPlaces(self.key(number), (), all_of_them=True))

    def key(self, number: int) -> ScaleSetKey:
        return self.sets[number].key

    def tell(self, *messages: object) -> None:
        self.solo.tell(self.actor, *messages)

    def claim(self, number: int, *slots: int, generation: int = 1) -> None:
        ref = self.guests[number].actor_ref
        for slot in slots:
            self.tell(ClaimPlace(self.key(number), ref, SlotNumber(slot), Generation(generation)))

    def give_back(self, number: int, *slots: int) -> None:
        for slot in slots:
            self.tell(ReturnPlace(self.key(number), SlotNumber(slot)))

    def granted(self, number: int) -> list[int]:
        return [one.slot for one in self.guests[number].of(PlaceGranted)]


def test_without_a_cap_every_claim_is_granted_at_once() -> None:
    hotel = Hotel(cap=0)
    hotel.claim(LINUX, *range(50))

    assert hotel.granted(LINUX) == list(range(50))


def test_a_grant_says_which_claim_it_answers() -> None:
    hotel = Hotel(cap=1)
    hotel.claim(LINUX, 4, generation=7)

    assert hotel.guests[LINUX].received == [PlaceGranted(SlotNumber(4), Generation(7), Place())]


def test_a_claim_beyond_the_cap_waits_until_a_place_is_given_back() -> None:
    hotel = Hotel(cap=2)
    hotel.claim(LINUX, 0, 1, 2)
    assert hotel.granted(LINUX) == [0, 1]

    hotel.give_back(LINUX, 0)
    assert hotel.granted(LINUX) == [0, 1, 2]


def test_a_free_place_goes_to_the_scale_set_that_holds_the_fewest_then_to_who_asked_first() -> None:
    hotel = Hotel(cap=3)
    hotel.claim(LINUX, 0, 1, 2, 3, 4)
    hotel.claim(WINDOWS, 0, 1)

    hotel.give_back(LINUX, 0)
    assert (hotel.granted(LINUX), hotel.granted(WINDOWS)) == ([0, 1, 2], [0])

    hotel.give_back(LINUX, 1)
    assert (hotel.granted(LINUX), hotel.granted(WINDOWS)) == ([0, 1, 2, 3], [0])


def test_a_claim_that_is_taken_back_is_never_granted() -> None:
    hotel = Hotel(cap=1)
    hotel.claim(LINUX, 0, 1, 2)
    hotel.give_back(LINUX, 1)
    hotel.give_back(LINUX, 0)

    assert hotel.granted(LINUX) == [0, 2]


def test_giving_back_twice_or_what_was_never_held_is_harmless() -> None:
    hotel = Hotel(cap=1)
    hotel.claim(LINUX, 0)
    hotel.give_back(LINUX, 0, 0)
    hotel.give_back(WINDOWS, 5)
    hotel.claim(LINUX, 1, 2)

    assert hotel.granted(LINUX) == [0, 1]


def test_a_claim_that_is_repeated_counts_once() -> None:
    hotel = Hotel(cap=1)
    hotel.claim(LINUX, 0)
    hotel.claim(LINUX, 1, generation=1)
    hotel.claim(LINUX, 1, generation=2)
    hotel.give_back(LINUX, 0)

    assert [one.generation for one in hotel.guests[LINUX].of(PlaceGranted)] == [1, 2]


def test_places_that_are_held_already_count_against_the_cap() -> None:
    hotel = Hotel(cap=3)
    hotel.tell(HoldPlaces(hotel.key(LINUX), (SlotNumber(0), SlotNumber(1))))
    hotel.tell(HoldPlaces(hotel.key(LINUX), (SlotNumber(1), SlotNumber(2))))
    hotel.claim(WINDOWS, 0)
    assert hotel.granted(WINDOWS) == []

    hotel.give_back(LINUX, 2)
    assert hotel.granted(WINDOWS) == [0]


def test_more_than_the_cap_may_be_held_but_nothing_is_granted_then() -> None:
    hotel = Hotel(cap=1)
    hotel.tell(HoldPlaces(hotel.key(LINUX), tuple(map(SlotNumber, range(3)))))
    hotel.claim(WINDOWS, 0)
    hotel.give_back(LINUX, 0, 1)

    assert hotel.granted(WINDOWS) == []


def test_what_a_dead_scale_set_actor_waited_for_is_forgotten_when_its_successor_tells_what_it_holds() -> None:
    hotel = Hotel(cap=2)
    hotel.claim(LINUX, 0, 1, 2)
    hotel.claim(WINDOWS, 0)
    hotel.tell(HoldPlaces(hotel.key(LINUX), (SlotNumber(1),), all_of_them=True))

    assert (hotel.granted(LINUX), hotel.granted(WINDOWS)) == ([0, 1], [0])


def test_a_cap_grants_nothing_before_every_scale_set_has_said_what_it_holds() -> None:
    hotel = Hotel(cap=2, heard=(WINDOWS,))
    hotel.claim(WINDOWS, 0, 1)
    assert hotel.granted(WINDOWS) == []

    hotel.tell(HoldPlaces(hotel.key(LINUX), (SlotNumber(3),), all_of_them=True))
    assert hotel.granted(WINDOWS) == [0]


def test_a_scale_set_that_cannot_say_what_it_holds_holds_nobody_up_for_longer_than_30_seconds() -> None:
    hotel = Hotel(cap=2, heard=(WINDOWS,))
    hotel.claim(WINDOWS, 0, 1)
    hotel.solo.advance(31)

    assert hotel.granted(WINDOWS) == [0, 1]


def test_a_stop_is_told() -> None:
    hotel = Hotel(cap=1)
    hotel.tell(StopHost())

    assert hotel.solo.heard(SharedStopped) == [SharedStopped("host")]
    assert hotel.actor.actor_stopped.is_set()
