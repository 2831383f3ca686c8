"""The plans of chaos runs: whatever the seed, a plan asks nothing that a correct daemon could not survive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from chaos_plan.executor import Executor
from chaos_plan.plan import (
    BreakEngine,
    BreakWire,
    ContinueRunners,
    EndDaemon,
    EndEngine,
    EndSession,
    KillRunner,
    PauseRunner,
    QueueJob,
    StartDaemon,
    StartEngine,
)
from chaos_plan.plan_generator import TargetKind, make_plan
from chaos_plan.run_setup import MAX_RUNNERS
from chaos_plan.wire_faults import FAULTS, SLOW_AT_MOST

from runscaler.simulator.faults.table import TABLE

SEEDS = range(60)
SECONDS = 120.0
STARTING = (QueueJob, BreakWire, EndSession, KillRunner, PauseRunner, BreakEngine)


def plans(target: TargetKind = TargetKind.PROCESS):
    return [make_plan(seed, SECONDS, tuple(MAX_RUNNERS), target) for seed in SEEDS]


def of(plan, *kinds):
    return [action for action in plan.actions if isinstance(action, kinds)]


def test_actions_are_sorted_and_only_those_that_end_a_fault_may_come_after_the_end():
    for plan in plans(TargetKind.OWN_ENGINE):
        moments = [action.at for action in plan.actions]
        begun = [action.at for action in plan.actions if isinstance(action, STARTING)]
        assert moments == sorted(moments)
        assert 0 <= min(begun) < max(begun) <= SECONDS


def test_every_fault_occurs_in_some_plan_and_is_known_to_the_simulator():
    planned = {action.fault for plan in plans() for action in of(plan, BreakWire)}

    assert planned == set(FAULTS)
    assert planned <= set(TABLE)


def test_a_comparable_plan_ends_no_daemon_and_loses_no_message_about_a_job():
    comparable = [plan for plan in plans() if plan.comparable]

    assert comparable
    for plan in comparable:
        assert not of(plan, EndDaemon)
        assert not any(FAULTS[action.fault].lossy for action in of(plan, BreakWire))


def test_faults_that_take_the_daemon_long_occur_at_most_once():
    for plan in plans():
        slow = [action.fault for action in of(plan, BreakWire) if FAULTS[action.fault].once]
        assert len(slow) == len(set(slow))


def test_a_plan_has_few_kinds_of_faults_that_take_minutes():
    for plan in plans():
        slow = [action.fault for action in of(plan, BreakWire) if FAULTS[action.fault].slow]
        assert len(slow) == len(set(slow)) <= SLOW_AT_MOST


def test_a_fault_that_acts_at_once_names_its_scale_set():
    for plan in plans():
        for action in of(plan, BreakWire):
            assert (action.scale_set in MAX_RUNNERS) == FAULTS[action.fault].needs_scale_set


def test_faults_of_offers_occur_only_where_github_offers_jobs():
    for plan in plans():
        planned = {action.fault for action in of(plan, BreakWire)}
        assert plan.settings.offers or not any(FAULTS[one].offers for one in planned)


@pytest.mark.parametrize(("begins", "ends"), [(EndDaemon, StartDaemon), (EndEngine, StartEngine)])
def test_what_is_ended_is_started_before_it_is_ended_again(begins, ends):
    for plan in plans(TargetKind.OWN_ENGINE):
        turns = [type(action) for action in of(plan, begins, ends)]
        assert turns[:1] in ([], [begins])
        assert turns[-1:] in ([], [ends])
        assert all(one is not other for one, other in pairwise(turns))


def test_engine_faults_need_an_engine_and_only_a_private_engine_ends():
    assert not any(of(plan, BreakEngine, EndEngine) for plan in plans())
    assert not any(of(plan, EndEngine) for plan in plans(TargetKind.DOCKER))
    assert all(of(plan, BreakEngine) for plan in plans(TargetKind.DOCKER))
    assert all(of(plan, EndEngine) for plan in plans(TargetKind.OWN_ENGINE))
    faults = {
        (action.how, action.what) for plan in plans(TargetKind.DOCKER) for action in of(plan, BreakEngine)
    }
    assert len(faults) == 7


def test_the_target_only_adds_its_own_actions():
    for process, docker in zip(plans(), plans(TargetKind.DOCKER), strict=True):
        assert process.settings == docker.settings
        assert process.actions == tuple(
            action for action in docker.actions if not isinstance(action, BreakEngine)
        )


def test_settings_differ():
    settings = [plan.settings for plan in plans()]

    assert {one.on_exit for one in settings} == {"remove", "keep"}
    assert {one.drains for one in settings} == {True, False}
    assert {one.offers for one in settings} == {True, False}
    assert len({one.idle_timeout for one in settings}) == 3
    assert all(one.min_runners[name] <= limit for one in settings for name, limit in MAX_RUNNERS.items())


def test_a_paused_runner_is_resumed_before_github_gives_up_its_job():
    for plan in plans():
        later = of(plan, ContinueRunners)
        for paused in of(plan, PauseRunner):
            assert any(0 < action.at - paused.at <= 8 for action in later)


def test_the_executor_can_execute_every_action():
    kinds = {type(action) for plan in plans(TargetKind.OWN_ENGINE) for action in plan.actions}

    assert {QueueJob, KillRunner, EndEngine} <= kinds
    assert kinds <= set(vars(Executor)["execute"].dispatcher.registry)
