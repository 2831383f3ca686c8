"""Runners that have ended: counted by what they are held to have been, remembered up to a limit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.solo import Solo

from runscaler.actors.messages import DeregisterRunner, EndedRunnerDue
from runscaler.actors.scale_set.conditions import Conditions
from runscaler.actors.scale_set.context import ScaleSetContext
from runscaler.actors.scale_set.ended_runners import EndedRunners
from runscaler.actors.scale_set.slots import Slot, SlotBook
from runscaler.backends.base import Ending
from runscaler.names import RunnerName, SlotNumber
from runscaler.policy.ended_runners import Evidence, Outcome
from runscaler.policy.lifecycle import SlotState
from runscaler.status import Counters

NAMES = st.integers(0, 8).map(lambda number: RunnerName(f"runner-{number:08x}"))
STATES = st.sampled_from([SlotState.IDLE, SlotState.BUSY, SlotState.FINISHING, SlotState.ADOPTED])
MANY = 2000
"""As many as are remembered."""


class Told:
    """Stands where the runner actors are: keeps what they are told."""

    def __init__(self) -> None:
        self.orders: list[Any] = []

    def tell_runner(self, _slot: SlotNumber, order: Any) -> bool:
        self.orders.append(order)
        return True


class Ends:
    """`EndedRunners` with its surroundings; time is the test's."""

    def __init__(self) -> None:
        solo = Solo()
        self.clock, self.told = solo.clock, Told()
        self.timers: list[tuple[float, RunnerName]] = []
        context = ScaleSetContext(
            solo.context,
            solo.settings,
            solo.parent.actor_ref,
            solo.parent.send,
            self._after,
            lambda: None,
            Counters(),
        )
        self.context = context
        self.book = SlotBook(10, solo.clock, lambda _seconds, _slot: None)
        self.conditions = Conditions(context, lambda: 0.0)
        self.runners = EndedRunners(context, self.book, self.told, self.conditions, lambda: None)  # type: ignore[arg-type]

    def _after(self, seconds: float, message: Any) -> None:
        assert isinstance(message, EndedRunnerDue)
        self.timers.append((self.clock.monotonic() + seconds, message.runner))

    def end(self, runner: str, state: SlotState, exit_code: int = 0, number: int = 0) -> None:
        """A runner in that state ends by itself."""
        slot = Slot(SlotNumber(number), state)
        self.book.assign(slot, RunnerName(runner))
        slot.started_at = self.clock.monotonic()
        self.runners.ended_by_itself(slot, Ending(exit_code=exit_code))

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        due = [one for one in self.timers if one[0] <= self.clock.monotonic()]
        self.timers = [one for one in self.timers if one not in due]
        for _, runner in sorted(due):
            self.runners.due(runner)


class EndedRunnersLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ends = Ends()
        self.known: set[RunnerName] = set()

    @rule(runner=NAMES, state=STATES, exit_code=st.sampled_from([0, 1]))
    def end(self, runner: RunnerName, state: SlotState, exit_code: int) -> None:
        self.ends.end(runner, state, exit_code)
        self.known.add(runner)

    @rule(runner=NAMES, completed=st.booleans())
    def hear(self, runner: RunnerName, completed: bool) -> None:
        if runner not in self.known:
            return
        if completed:
            self.ends.runners.job_completed(runner)
        else:
            self.ends.runners.job_started(runner, "job")

    @rule(runner=NAMES, evidence=st.sampled_from(Evidence))
    def prove(self, runner: RunnerName, evidence: Evidence) -> None:
        self.ends.runners.proved(runner, evidence)

    @rule()
    def count(self) -> None:
        self.ends.runners.counts_came()

    @rule(seconds=st.sampled_from([1.0, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.ends.pass_time(seconds)

    @invariant()
    def the_counts_are_those_of_the_runners(self) -> None:
        found = [self.ends.runners.get(runner) for runner in self.known]
        outcomes = Counter(one.outcome for one in found if one is not None)
        with_job = (Outcome.HAD_JOB, Outcome.UNCONFIRMED, Outcome.BOUND)
        assert self.ends.runners.had_job == sum(outcomes[one] for one in with_job)
        assert (
            self.ends.runners.probably_had_job
            == outcomes[Outcome.UNPROVEN] + outcomes[Outcome.UNREGISTERED] + outcomes[Outcome.PROVEN]
        )

    @invariant()
    def an_ended_runner_is_remembered(self) -> None:
        assert all(self.ends.runners.get(runner) is not None for runner in self.known)


TestEndedRunners = EndedRunnersLife.TestCase
TestEndedRunners.settings = settings(stateful_step_count=30)


def test_a_runner_is_remembered_by_its_first_end_only() -> None:
    ends = Ends()
    ends.end("runner-0000000a", SlotState.BUSY)
    ends.end("runner-0000000a", SlotState.BUSY)

    assert ends.runners.had_job == 1


def test_a_job_is_counted_once_however_often_its_messages_come() -> None:
    ends, runner = Ends(), RunnerName("runner-0000000a")
    ends.end(runner, SlotState.IDLE)

    assert [ends.runners.job_started(runner, "job") for _ in range(3)] == [True, False, False]
    assert [ends.runners.job_completed(runner) for _ in range(3)] == [True, False, False]


def test_a_job_that_is_never_completed_has_its_registration_removed_once() -> None:
    ends = Ends()
    ends.end("runner-0000000a", SlotState.BUSY)
    ends.pass_time(9.9)
    assert (ends.runners.had_job, ends.told.orders) == (1, [])

    for _ in range(5):
        ends.pass_time(30.0)
    assert ends.runners.had_job == 1
    ends.runners.proved(RunnerName("runner-0000000a"), Evidence.DEREGISTERED)
    assert ends.runners.had_job == 0
    assert [type(one) for one in ends.told.orders] == [DeregisterRunner]


def test_a_timer_of_an_earlier_wait_does_not_cut_the_present_one_short() -> None:
    ends, runner = Ends(), RunnerName("runner-0000000a")
    ends.end(runner, SlotState.IDLE)
    ends.pass_time(2.0)
    ends.runners.job_started(runner, "job")
    ends.pass_time(9.0)
    assert ends.runners.had_job == 1

    ends.pass_time(1.0)
    ended = ends.runners.get(runner)
    assert ended is not None
    assert ended.outcome is Outcome.UNCONFIRMED


def test_a_failure_is_counted_once() -> None:
    ends = Ends()
    ends.end("runner-0000000a", SlotState.IDLE, exit_code=1)
    ends.end("runner-0000000b", SlotState.IDLE)
    ends.conditions.session_opened()
    ends.conditions.listed()
    for _ in range(5):
        ends.pass_time(10.0)
        ends.runners.proved(RunnerName("runner-0000000b"), Evidence.REGISTERED)

    assert ends.context.counters.runners_failed == 2


@pytest.mark.parametrize("beyond", [1, 500])
def test_only_the_newest_are_remembered_and_the_forgotten_hold_no_demand_down(beyond: int) -> None:
    ends = Ends()
    names = [RunnerName(f"runner-{number:08x}") for number in range(MANY + beyond)]
    for number, runner in enumerate(names):
        ends.end(runner, SlotState.BUSY, number=number)

    assert ends.runners.had_job == MANY
    assert ends.runners.get(names[beyond - 1]) is None
    assert ends.runners.get(names[beyond]) is not None
