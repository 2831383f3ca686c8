"""The children of one parent: started, restarted, given up, told and cut. No threads."""

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


class Harness:
    """A parent's children, each a probe. `sent` lists the messages sent and to whom, oldest first."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.harness = ActorHarness()
        self.sent: list[tuple[Ref, object]] = []
        self.children = Children(self.clock, lambda ref, message: self.sent.append((ref, message)))

    def make(self) -> Ref:
        return self.harness.launch(Probe, self.clock, "child")

    def fail(self) -> Ref:
        raise OSError("no thread can be started")

    def start(self, name: str = "one", interrupt: Interrupt | None = None) -> Ref:
        assert self.children.start(name, self.make, interrupt) is None
        return self.ref(name)

    def ref(self, name: str = "one") -> Ref:
        ref = self.children.ref(name)
        assert ref is not None
        return ref

    def crash(self, name: str = "one") -> float | None:
        """The child crashes. Returns the delay before its restart."""
        decision = self.children.record_crash(report_of(self.ref(name)))
        assert decision is not None
        return decision.delay


@pytest.fixture
def harness() -> Harness:
    return Harness()


def report_of(ref: Ref, orphans: tuple[Ref, ...] = ()) -> ChildCrashed:
    return ChildCrashed(ref.actor_urn, "child", "an order", "ValueError: broken", orphans)


def test_a_crashed_child_is_down_until_it_is_restarted_as_a_new_actor(harness: Harness) -> None:
    old = harness.start()
    assert harness.crash() == 1.0
    assert harness.children.ref("one") is None
    assert harness.children.has("one")

    assert harness.children.restart("one") is None

    assert harness.ref() != old
    assert harness.children.restarts("one") == 1


def test_each_crash_within_a_minute_doubles_the_delay_and_the_sixth_gives_up(harness: Harness) -> None:
    harness.start()
    delays = []
    for _ in range(6):
        delays.append(harness.crash())
        harness.children.restart("one")

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, None]


def test_crashes_more_than_a_minute_ago_do_not_count(harness: Harness) -> None:
    harness.start()
    for _ in range(5):
        harness.crash()
        harness.children.restart("one")
    harness.clock.advance(61)

    assert harness.crash() == 1.0


def test_a_child_whose_crashes_are_forgotten_has_all_its_restarts_again(harness: Harness) -> None:
    harness.start()
    for _ in range(5):
        harness.crash()
        harness.children.restart("one")

    harness.children.forget_crashes("one")

    assert harness.crash() == 1.0


def test_the_orphans_of_a_crash_are_in_the_decision(harness: Harness) -> None:
    orphan = harness.make()

    decision = harness.children.record_crash(report_of(harness.start(), (orphan,)))

    assert decision is not None
    assert (decision.name, decision.orphans) == ("one", (orphan,))


def test_a_second_report_of_one_crash_is_dropped(harness: Harness) -> None:
    report = report_of(harness.start())
    harness.children.record_crash(report)
    harness.children.restart("one")

    assert harness.children.record_crash(report) is None
    assert harness.children.ref("one") is not None


def test_a_report_about_an_unknown_actor_is_dropped(harness: Harness) -> None:
    harness.start()

    assert harness.children.record_crash(report_of(harness.make())) is None


def test_a_child_that_cannot_be_made_has_crashed(harness: Harness) -> None:
    report = harness.children.start("one", harness.fail)

    assert report is not None
    assert (report.name, report.handling, report.error) == (
        "one",
        "making it",
        "OSError: no thread can be started",
    )
    decision = harness.children.record_crash(report)
    assert decision is not None
    assert decision.delay == 1.0
    assert harness.children.ref("one") is None


def test_a_restart_that_fails_is_the_next_crash(harness: Harness) -> None:
    first = harness.children.start("one", harness.fail)
    assert first is not None
    harness.children.record_crash(first)

    again = harness.children.restart("one")

    assert again is not None
    decision = harness.children.record_crash(again)
    assert decision is not None
    assert decision.delay == 2.0


def test_a_second_start_under_the_same_name_uses_its_own_factory(harness: Harness) -> None:
    harness.children.start("one", harness.fail)

    harness.start()

    assert harness.children.names() == ("one",)


def test_a_child_that_is_up_or_was_forgotten_is_not_restarted(harness: Harness) -> None:
    living = harness.start()
    assert harness.children.restart("one") is None
    assert harness.ref() == living

    harness.crash()
    harness.children.forget("one")
    assert harness.children.restart("one") is None
    assert not harness.children.has("one")


def test_the_crash_report_of_a_forgotten_child_is_dropped(harness: Harness) -> None:
    ref = harness.start()

    harness.children.forget("one")
    harness.children.forget("never known")

    assert harness.children.record_crash(report_of(ref)) is None
    assert harness.children.names() == ()


def test_a_child_can_be_forgotten_before_its_crash_report_is_handled(harness: Harness) -> None:
    report = harness.children.start("one", harness.fail)
    harness.children.forget("one")

    assert report is not None
    assert harness.children.record_crash(report) is None


def test_tell_returns_whether_the_child_is_up(harness: Harness) -> None:
    ref = harness.start()
    assert harness.children.tell("one", "hello")
    assert harness.sent == [(ref, "hello")]

    harness.crash()
    assert not harness.children.tell("one", "hello")
    assert not harness.children.tell("never known", "hello")
    assert len(harness.sent) == 1


def test_an_interrupt_cuts_only_its_own_child(harness: Harness) -> None:
    mine, other = Interrupt(), Interrupt()
    harness.start("one", mine)
    harness.start("two", other)
    harness.start("without")

    for name in ("one", "without", "never known"):
        harness.children.interrupt(name)

    assert mine.is_set()
    assert not other.is_set()


def test_a_restarted_child_starts_with_its_interrupt_cleared(harness: Harness) -> None:
    interrupt = Interrupt()
    harness.start("one", interrupt)
    harness.children.interrupt("one")
    harness.crash()

    harness.children.restart("one")

    assert not interrupt.is_set()


def test_abandon_cuts_and_tells_the_children_that_are_up_and_returns_them(harness: Harness) -> None:
    interrupt = Interrupt()
    one, two = harness.start("one", interrupt), harness.start("two")
    harness.start("down")
    harness.crash("down")

    assert harness.children.abandon() == (one, two)

    assert interrupt.is_set()
    assert harness.sent == [(one, Abandon()), (two, Abandon())]
    assert harness.children.names() == ()
    assert harness.children.record_crash(report_of(one)) is None


def test_restarts_are_counted_by_name_and_in_total(harness: Harness) -> None:
    harness.start("one")
    harness.start("two")
    for name in ("one", "one", "two"):
        harness.crash(name)
        harness.children.restart(name)

    assert harness.children.restarts("one") == 2
    assert harness.children.restarts("never known") == 0
    assert harness.children.total_restarts() == 3
