"""Children of one parent: restarted one for one, given up on, told and cut. No threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.actors.children import Children
from runscaler.actors.messages import Abandon, ChildCrashed
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock
from runscaler.testing.probe import ActorHarness, Probe

if TYPE_CHECKING:
    from runscaler.actors.messages import Ref


class Nursery:
    """A parent's children, each a probe; `sent` is what was told to whom, in order."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.harness = ActorHarness()
        self.sent: list[tuple[Ref, object]] = []
        self.children = Children(self.clock, lambda ref, message: self.sent.append((ref, message)))

    def make(self) -> Ref:
        return self.harness.launch(Probe, self.clock, "child")

    def fail(self) -> Ref:
        raise OSError("no thread can be had")

    def start(self, name: str = "one", interrupt: Interrupt | None = None) -> Ref:
        assert self.children.start(name, self.make, interrupt) is None
        return self.ref(name)

    def ref(self, name: str = "one") -> Ref:
        ref = self.children.ref(name)
        assert ref is not None
        return ref

    def crash(self, name: str = "one") -> float | None:
        """The child crashes: the delay of the verdict."""
        verdict = self.children.crashed(report_of(self.ref(name)))
        assert verdict is not None
        return verdict.delay


@pytest.fixture
def nursery() -> Nursery:
    return Nursery()


def report_of(ref: Ref, orphans: tuple[Ref, ...] = ()) -> ChildCrashed:
    return ChildCrashed(ref.actor_urn, "child", "an order", "ValueError: broken", orphans)


def test_a_crashed_child_is_down_until_it_is_restarted_as_a_new_actor(nursery: Nursery) -> None:
    old = nursery.start()
    assert nursery.crash() == 1.0
    assert nursery.children.ref("one") is None
    assert nursery.children.has("one")

    assert nursery.children.restart("one") is None

    assert nursery.ref() != old
    assert nursery.children.restarts("one") == 1


def test_each_crash_within_a_minute_doubles_the_delay_and_the_sixth_is_given_up(nursery: Nursery) -> None:
    nursery.start()
    delays = []
    for _ in range(6):
        delays.append(nursery.crash())
        nursery.children.restart("one")

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, None]


def test_crashes_of_more_than_a_minute_ago_are_forgotten(nursery: Nursery) -> None:
    nursery.start()
    for _ in range(5):
        nursery.crash()
        nursery.children.restart("one")
    nursery.clock.advance(61)

    assert nursery.crash() == 1.0


def test_a_forgiven_child_has_all_its_tries_again(nursery: Nursery) -> None:
    nursery.start()
    for _ in range(5):
        nursery.crash()
        nursery.children.restart("one")

    nursery.children.forgive("one")

    assert nursery.crash() == 1.0


def test_the_orphans_of_a_crash_are_in_the_verdict(nursery: Nursery) -> None:
    orphan = nursery.make()

    verdict = nursery.children.crashed(report_of(nursery.start(), (orphan,)))

    assert verdict is not None
    assert (verdict.name, verdict.orphans) == ("one", (orphan,))


def test_a_second_report_of_one_crash_is_dropped(nursery: Nursery) -> None:
    report = report_of(nursery.start())
    nursery.children.crashed(report)
    nursery.children.restart("one")

    assert nursery.children.crashed(report) is None
    assert nursery.children.ref("one") is not None


def test_a_report_about_a_stranger_is_dropped(nursery: Nursery) -> None:
    nursery.start()

    assert nursery.children.crashed(report_of(nursery.make())) is None


def test_a_child_that_cannot_be_made_is_a_crash_of_the_child(nursery: Nursery) -> None:
    report = nursery.children.start("one", nursery.fail)

    assert report is not None
    assert (report.name, report.handling, report.error) == (
        "one",
        "making it",
        "OSError: no thread can be had",
    )
    verdict = nursery.children.crashed(report)
    assert verdict is not None
    assert verdict.delay == 1.0
    assert nursery.children.ref("one") is None


def test_a_restart_that_fails_is_the_next_crash(nursery: Nursery) -> None:
    first = nursery.children.start("one", nursery.fail)
    assert first is not None
    nursery.children.crashed(first)

    again = nursery.children.restart("one")

    assert again is not None
    verdict = nursery.children.crashed(again)
    assert verdict is not None
    assert verdict.delay == 2.0


def test_starting_a_name_again_takes_the_new_way_of_making_it(nursery: Nursery) -> None:
    nursery.children.start("one", nursery.fail)

    nursery.start()

    assert nursery.children.names() == ("one",)


def test_nothing_restarts_that_lives_or_was_forgotten(nursery: Nursery) -> None:
    living = nursery.start()
    assert nursery.children.restart("one") is None
    assert nursery.ref() == living

    nursery.crash()
    nursery.children.forget("one")
    assert nursery.children.restart("one") is None
    assert not nursery.children.has("one")


def test_a_forgotten_child_is_nobody_and_its_crash_is_dropped(nursery: Nursery) -> None:
    ref = nursery.start()

    nursery.children.forget("one")
    nursery.children.forget("never known")

    assert nursery.children.crashed(report_of(ref)) is None
    assert nursery.children.names() == ()


def test_a_child_that_was_down_can_be_forgotten_before_its_report_is_judged(nursery: Nursery) -> None:
    report = nursery.children.start("one", nursery.fail)
    nursery.children.forget("one")

    assert report is not None
    assert nursery.children.crashed(report) is None


def test_telling_says_whether_the_child_is_up(nursery: Nursery) -> None:
    ref = nursery.start()
    assert nursery.children.tell("one", "hello")
    assert nursery.sent == [(ref, "hello")]

    nursery.crash()
    assert not nursery.children.tell("one", "hello")
    assert not nursery.children.tell("never known", "hello")
    assert len(nursery.sent) == 1


def test_an_interrupt_cuts_its_own_child_only(nursery: Nursery) -> None:
    mine, other = Interrupt(), Interrupt()
    nursery.start("one", mine)
    nursery.start("two", other)
    nursery.start("without")

    for name in ("one", "without", "never known"):
        nursery.children.interrupt(name)

    assert mine.is_set()
    assert not other.is_set()


def test_a_restarted_child_starts_with_its_interrupt_cleared(nursery: Nursery) -> None:
    interrupt = Interrupt()
    nursery.start("one", interrupt)
    nursery.children.interrupt("one")
    nursery.crash()

    nursery.children.restart("one")

    assert not interrupt.is_set()


def test_abandoning_cuts_and_tells_the_living_and_names_them(nursery: Nursery) -> None:
    interrupt = Interrupt()
    one, two = nursery.start("one", interrupt), nursery.start("two")
    nursery.start("down")
    nursery.crash("down")

    assert nursery.children.abandon() == (one, two)

    assert interrupt.is_set()
    assert nursery.sent == [(one, Abandon()), (two, Abandon())]
    assert nursery.children.names() == ()
    assert nursery.children.crashed(report_of(one)) is None


def test_restarts_are_counted_by_name_and_together(nursery: Nursery) -> None:
    nursery.start("one")
    nursery.start("two")
    for name in ("one", "one", "two"):
        nursery.crash(name)
        nursery.children.restart(name)

    assert nursery.children.restarts("one") == 2
    assert nursery.children.restarts("never known") == 0
    assert nursery.children.total_restarts() == 3
