"""What a chaos run's plan may hold: whatever the seed, nothing in it that could not come out well."""

from __future__ import annotations

from itertools import pairwise

import pytest
from chaos_plan.deeds import Stage
from chaos_plan.luck import GroundKind, make_plan
from chaos_plan.making import MOST
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
from chaos_plan.wire_faults import FAULTS

from runscaler.simulator.faults.table import TABLE

SEEDS = range(60)
SECONDS = 120.0
BEGINNINGS = (QueueJob, BreakWire, EndSession, KillRunner, PauseRunner, BreakEngine)


def plans(ground: GroundKind = GroundKind.PROCESS):
    return [make_plan(seed, SECONDS, tuple(MOST), ground) for seed in SEEDS]


def of(plan, *kinds):
    return [deed for deed in plan.deeds if isinstance(deed, kinds)]


def test_deeds_come_by_time_and_within_it_but_for_what_ends_a_trouble():
    for plan in plans(GroundKind.OWN_ENGINE):
        moments = [deed.at for deed in plan.deeds]
        begun = [deed.at for deed in plan.deeds if isinstance(deed, BEGINNINGS)]
        assert moments == sorted(moments)
        assert 0 <= min(begun) < max(begun) <= SECONDS


def test_every_fault_of_the_table_is_planned_sooner_or_later_and_known_to_the_simulator():
    planned = {deed.fault for plan in plans() for deed in of(plan, BreakWire)}

    assert planned == set(FAULTS)
    assert planned <= set(TABLE)


def test_a_plan_that_is_compared_spares_the_daemon_and_hides_no_word_of_a_job():
    comparable = [plan for plan in plans() if plan.comparable]

    assert comparable
    for plan in comparable:
        assert not of(plan, EndDaemon)
        assert not any(FAULTS[deed.fault].lossy for deed in of(plan, BreakWire))


def test_what_takes_the_daemon_long_happens_once_at_most():
    for plan in plans():
        slow = [deed.fault for deed in of(plan, BreakWire) if FAULTS[deed.fault].once]
        assert len(slow) == len(set(slow))


def test_a_fault_that_acts_at_once_names_its_scale_set():
    for plan in plans():
        for deed in of(plan, BreakWire):
            assert (deed.scale_set in MOST) == FAULTS[deed.fault].named


def test_offers_are_spoilt_only_where_there_are_offers():
    for plan in plans():
        assert plan.setting.offers or "F56" not in {deed.fault for deed in of(plan, BreakWire)}


@pytest.mark.parametrize(("begins", "ends"), [(EndDaemon, StartDaemon), (EndEngine, StartEngine)])
def test_what_ends_is_back_before_it_ends_again(begins, ends):
    for plan in plans(GroundKind.OWN_ENGINE):
        turns = [type(deed) for deed in of(plan, begins, ends)]
        assert turns[:1] in ([], [begins])
        assert turns[-1:] in ([], [ends])
        assert all(one is not other for one, other in pairwise(turns))


def test_engines_have_troubles_only_where_there_are_engines_and_end_only_where_they_are_ours():
    assert not any(of(plan, BreakEngine, EndEngine) for plan in plans())
    assert not any(of(plan, EndEngine) for plan in plans(GroundKind.DOCKER))
    assert all(of(plan, BreakEngine) for plan in plans(GroundKind.DOCKER))
    assert all(of(plan, EndEngine) for plan in plans(GroundKind.OWN_ENGINE))
    troubles = {(deed.how, deed.what) for plan in plans(GroundKind.DOCKER) for deed in of(plan, BreakEngine)}
    assert len(troubles) == 7


def test_the_ground_changes_nothing_but_what_is_its_own():
    for process, docker in zip(plans(), plans(GroundKind.DOCKER), strict=True):
        assert process.setting == docker.setting
        assert process.deeds == tuple(deed for deed in docker.deeds if not isinstance(deed, BreakEngine))


def test_settings_differ():
    settings = [plan.setting for plan in plans()]

    assert {setting.on_exit for setting in settings} == {"remove", "keep"}
    assert {setting.drains for setting in settings} == {True, False}
    assert {setting.offers for setting in settings} == {True, False}
    assert len({setting.idle_timeout for setting in settings}) == 3
    assert all(setting.min_runners[name] <= most for setting in settings for name, most in MOST.items())


def test_a_paused_runner_goes_on_before_github_gives_its_job_up():
    for plan in plans():
        later = of(plan, ContinueRunners)
        for paused in of(plan, PauseRunner):
            assert any(0 < deed.at - paused.at <= 8 for deed in later)


def test_there_is_a_way_to_do_every_deed():
    kinds = {type(deed) for plan in plans(GroundKind.OWN_ENGINE) for deed in plan.deeds}

    assert {QueueJob, KillRunner, EndEngine} <= kinds
    assert kinds <= set(vars(Stage)["play"].dispatcher.registry)
