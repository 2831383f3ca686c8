"""Runners that are gone: `departed` is always the number of those whose completion is awaited."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runscaler.actors.scale_set.ended_runners import Past, PastRunner
from runscaler.names import RunnerName, SlotNumber

NAMES = st.integers(0, 8).map(lambda number: RunnerName(f"runner-{number:08x}"))
MANY = 2000
"""As many as are remembered."""


def gone(*, departed: bool = False) -> PastRunner:
    return PastRunner(SlotNumber(0), 7, departed=departed)


class PastLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.past = Past()
        self.awaited: dict[RunnerName, bool] = {}

    @rule(runner=NAMES, departed=st.booleans())
    def add(self, runner: RunnerName, departed: bool) -> None:
        self.past.add(runner, gone(departed=departed))
        self.awaited[runner] = departed

    @rule(runner=NAMES)
    def forget_departure(self, runner: RunnerName) -> None:
        assert self.past.forget_departure(runner) == self.awaited.get(runner, False)
        if runner in self.awaited:
            self.awaited[runner] = False

    @invariant()
    def departed_counts_those_who_are_waited_for(self) -> None:
        assert self.past.departed == sum(self.awaited.values())

    @invariant()
    def whoever_was_added_is_remembered(self) -> None:
        for runner, departed in self.awaited.items():
            past = self.past.get(runner)
            assert past is not None
            assert past.departed == departed


TestPast = PastLife.TestCase
TestPast.settings = settings(stateful_step_count=30)


def test_a_completion_is_waited_for_once() -> None:
    past, runner = Past(), RunnerName("runner-00000000")
    past.add(runner, gone(departed=True))

    assert past.forget_departure(runner)
    assert not past.forget_departure(runner)


def test_nobody_is_waited_for_who_was_never_here() -> None:
    past = Past()

    assert past.get(RunnerName("runner-ffffffff")) is None
    assert not past.forget_departure(RunnerName("runner-ffffffff"))


@pytest.mark.parametrize("beyond", [1, 500])
def test_only_the_newest_are_remembered_and_the_forgotten_hold_no_demand_down(beyond: int) -> None:
    past = Past()
    names = [RunnerName(f"runner-{number:08x}") for number in range(MANY + beyond)]
    for runner in names:
        past.add(runner, gone(departed=True))

    assert past.departed == MANY
    assert past.get(names[beyond - 1]) is None
    assert past.get(names[beyond]) is not None
