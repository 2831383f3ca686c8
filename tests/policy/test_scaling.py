"""docs/behaviour.md § 6.1 to 6.3 and 6.6 as laws that hold for every view."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import NOW, counts, demands, views

from runscaler.names import SlotNumber
from runscaler.policy.lifecycle import COUNTED, SlotState
from runscaler.policy.scaling import Counts, Demand, Gate, IdleRunner, Plan, View, plan, to_acquire
from runscaler.status import Unmet, UnmetDemand

SERVING = st.just(False)
DRAINING = st.just(True)


def carried_out(made: Plan, view: View) -> View:
    """The view after the scale set has done what the plan says, with nothing else changed."""
    before = view.counts
    from_idle = min(before.idle, len(made.retire))
    after = replace(
        before,
        waiting=before.waiting + made.start - made.drop,
        idle=before.idle - from_idle,
        adopted=before.adopted - (len(made.retire) - from_idle),
        retiring=before.retiring + len(made.retire),
    )
    idle = tuple(one for one in view.idle if one.slot not in made.retire)
    return replace(view, counts=after, idle=idle)


def quiet(
    *,
    min_runners: int = 0,
    max_runners: int = 10,
    assigned: int = 0,
    counts: Counts | None = None,
    gates: tuple[Gate, ...] = (),
    idle: tuple[IdleRunner, ...] = (),
) -> View:
    demand = Demand(assigned)
    return View(NOW, min_runners, max_runners, demand, counts or Counts(), gates=gates, idle=idle)


# -- counting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in SlotState if state is not SlotState.EMPTY])
def test_a_slot_counts_towards_the_target_as_the_lifecycle_says_and_is_held_in_any_case(
    state: SlotState,
) -> None:
    one = Counts(**{str(state): 1})

    assert one.counted == (1 if state in COUNTED else 0)
    assert one.held == 1


@given(counts())
def test_only_finishing_removing_and_forgotten_slots_are_held_without_counting(held: Counts) -> None:
    assert held.held - held.counted == held.finishing + held.removing + held.forgotten


def test_a_busy_runner_that_github_has_forgotten_is_given_no_job_and_holds_its_slot() -> None:
    two_jobs = quiet(max_runners=2, assigned=2, counts=Counts(busy=1, forgotten=1))

    assert (plan(two_jobs).target, plan(two_jobs).start) == (2, 1)


# -- demand ---------------------------------------------------------------------------------------


@given(demands(), st.integers(0, 50))
def test_demand_is_never_negative_nor_above_the_assigned_jobs(demand: Demand, busy: int) -> None:
    assert 0 <= demand.jobs(busy) <= demand.assigned


@given(demands(), st.integers(0, 50))
def test_ended_runners_lower_demand_by_no_more_than_their_number(demand: Demand, busy: int) -> None:
    assert demand.jobs(busy) >= demand.assigned - demand.had_job - demand.probably_had_job


@given(demands(), st.integers(0, 50))
def test_demand_never_falls_below_the_jobs_on_our_own_busy_runners(demand: Demand, busy: int) -> None:
    assert demand.jobs(busy) >= min(busy, demand.running)


@given(demands(), st.integers(0, 50))
def test_a_lost_completion_cannot_hold_demand_down(demand: Demand, busy: int) -> None:
    """Where GitHub counts no more running jobs than we have busy runners, ended runners mean nothing."""
    assume(busy >= demand.running)

    assert demand.jobs(busy) == demand.assigned


def test_the_job_of_a_runner_that_has_just_ended_needs_no_new_one() -> None:
    assert Demand(assigned=3, running=2, had_job=1).jobs(busy=1) == 2


# -- the target -----------------------------------------------------------------------------------


@given(views())
def test_the_target_is_never_above_max_runners(view: View) -> None:
    assert 0 <= plan(view).target <= view.max_runners


@pytest.mark.parametrize(
    ("min_runners", "max_runners", "assigned", "target"),
    [(0, 5, 0, 0), (0, 5, 3, 3), (2, 5, 0, 2), (2, 5, 1, 3), (2, 5, 3, 5), (2, 5, 9, 5), (5, 5, 1, 5)],
)
def test_the_target_is_min_runners_and_the_jobs_up_to_max_runners(
    min_runners: int, max_runners: int, assigned: int, target: int
) -> None:
    view = quiet(min_runners=min_runners, max_runners=max_runners, assigned=assigned)

    assert plan(view).target == target


@given(views(SERVING))
def test_one_more_assigned_job_raises_the_target_by_one_until_max_runners(view: View) -> None:
    more = replace(view, demand=replace(view.demand, assigned=view.demand.assigned + 1))
    before, after = plan(view).target, plan(more).target

    assert before <= after <= before + 1
    assert after > before or after == view.max_runners


@given(views(DRAINING))
def test_the_target_is_nothing_while_draining(view: View) -> None:
    assert plan(view).target == 0


# -- growing --------------------------------------------------------------------------------------


@given(views())
def test_starts_never_hold_more_slots_than_max_runners(view: View) -> None:
    made = plan(view)

    assert made.start == 0 or view.counts.held + view.blocked + made.start <= view.max_runners


@given(views())
def test_starts_never_lift_the_count_above_the_target(view: View) -> None:
    made = plan(view)

    assert made.start == 0 or view.counts.counted + made.start <= made.target


@given(views())
def test_behind_a_closed_gate_nothing_starts_but_its_probes(view: View) -> None:
    made = plan(view)
    under_way = view.counts.waiting + view.counts.starting

    for gate in view.gates:
        if gate.until is None or gate.until > view.now:
            assert made.start == 0 or under_way + made.start <= gate.allowed


@given(views(SERVING))
def test_everything_missing_is_started_or_has_its_reason(view: View) -> None:
    assume(view.counts.counted <= view.max_runners)
    made = plan(view)

    missing = max(0, view.wanted - view.counts.counted)
    missing += view.counts.waiting - made.drop if view.waits_for else 0
    assert made.start + sum(one.count for one in made.unmet) == missing


@given(views(SERVING))
def test_all_that_is_missing_starts_at_once_where_nothing_is_in_the_way(view: View) -> None:
    held = replace(view.counts, finishing=0, removing=0, forgotten=0)
    free = replace(view, gates=(), blocked=0, counts=held)

    assert plan(free).start == max(0, free.target - held.counted)


@given(views())
def test_every_reason_holds_up_at_least_one_runner(view: View) -> None:
    assert all(one.count > 0 for one in plan(view).unmet)


@given(views(DRAINING))
def test_a_draining_set_starts_nothing_and_wants_nothing(view: View) -> None:
    made = plan(view)

    assert (made.start, made.unmet) == (0, ())


@given(views(SERVING, most_gates=0))
def test_slots_that_wait_and_are_still_wanted_wait_for_what_the_host_has_too_few_of(view: View) -> None:
    made = plan(view)
    held_up = sum(one.count for one in made.unmet if one.reason is view.waits_for)

    assert held_up == (view.counts.waiting - made.drop if view.waits_for else 0)


def test_what_is_wanted_beyond_max_runners_is_unmet_for_that_reason() -> None:
    made = plan(quiet(max_runners=2, min_runners=1, assigned=4))

    assert made.start == 2
    assert made.unmet == (UnmetDemand(Unmet.MAX_RUNNERS, 3, "max-runners is 2"),)


def test_a_slot_that_is_still_being_removed_cannot_be_used_yet() -> None:
    made = plan(quiet(max_runners=2, assigned=2, counts=Counts(removing=1)))

    assert made.start == 1
    assert [(one.reason, one.count) for one in made.unmet] == [(Unmet.MAX_RUNNERS, 1)]


def test_of_two_closed_gates_the_narrower_gives_the_reason() -> None:
    wide = Gate(Unmet.BACKOFF, "five failures", allowed=1)
    narrow = Gate(Unmet.RATE_LIMIT, "GitHub asks us to wait", until=NOW + 30)
    made = plan(quiet(assigned=3, gates=(wide, narrow)))

    assert made.start == 0
    assert made.unmet == (UnmetDemand(Unmet.RATE_LIMIT, 3, "GitHub asks us to wait"),)
    assert made.next_look == NOW + 30


def test_a_gate_is_closed_until_its_time_and_open_from_then_on() -> None:
    held_up = quiet(assigned=3, gates=(Gate(Unmet.BACKOFF, "no space left", until=NOW + 8),))

    assert plan(held_up).start == 0
    assert plan(replace(held_up, now=NOW + 7.9)).start == 0
    assert plan(replace(held_up, now=NOW + 8)).start == 3


def test_one_probe_is_let_through_and_only_while_none_is_under_way() -> None:
    gate = Gate(Unmet.BACKOFF, "five failures", allowed=1)

    assert plan(quiet(assigned=3, gates=(gate,))).start == 1
    assert plan(quiet(assigned=3, gates=(gate,), counts=Counts(starting=1))).start == 0
    assert plan(quiet(assigned=3, gates=(gate,), counts=Counts(idle=1))).start == 1


# -- shrinking ------------------------------------------------------------------------------------


@given(views(SERVING))
def test_nothing_is_retired_that_is_younger_than_idle_timeout(view: View) -> None:
    ages = {one.slot: view.now - one.since for one in view.idle}

    assert all(ages[slot] >= view.idle_timeout for slot in plan(view).retire)


@given(views())
def test_nothing_is_retired_or_dropped_below_the_target(view: View) -> None:
    made = plan(view)
    left = view.counts.counted - made.drop

    assert not made.drop or left >= made.target
    assert not made.retire or view.draining or left - view.counts.retiring - len(made.retire) >= made.target


@given(views())
def test_waiting_slots_go_before_any_runner(view: View) -> None:
    made = plan(view)

    assert made.drop <= view.counts.waiting
    assert not made.retire or made.drop == view.counts.waiting


@given(views())
def test_the_oldest_go_first(view: View) -> None:
    retired = plan(view).retire

    assert retired == tuple(one.slot for one in view.idle)[: len(retired)]


@given(views(SERVING, idle_timeouts=st.just(0.0)))
def test_an_idle_timeout_of_zero_never_retires(view: View) -> None:
    made = plan(view)

    assert (made.retire, made.next_look if view.surplus > 0 else None) == ((), None)


@given(views(DRAINING))
def test_draining_retires_every_idle_runner_and_drops_every_waiting_slot(view: View) -> None:
    made = plan(view)

    assert set(made.retire) == {one.slot for one in view.idle}
    assert len(made.retire) == view.counts.idle + view.counts.adopted
    assert made.drop == view.counts.waiting


@given(views())
def test_a_plan_never_starts_and_retires_at_once(view: View) -> None:
    made = plan(view)

    assert not (made.start and (made.retire or made.drop))


def test_a_surplus_runner_is_looked_at_again_when_its_time_is_up() -> None:
    old, young = IdleRunner(SlotNumber(3), NOW - 600), IdleRunner(SlotNumber(1), NOW - 100)
    made = plan(quiet(counts=Counts(idle=2), idle=(old, young)))

    assert made.retire == (3,)
    assert made.next_look == NOW + 500


def test_a_runner_on_its_way_out_is_not_replaced_by_another_ones_retirement() -> None:
    idle = IdleRunner(SlotNumber(0), NOW - 600)
    made = plan(quiet(assigned=1, counts=Counts(idle=1, retiring=1), idle=(idle,)))

    assert made.retire == ()


# -- the plan as a whole --------------------------------------------------------------------------


@given(views())
def test_a_plan_that_is_carried_out_leaves_nothing_to_do(view: View) -> None:
    after = plan(carried_out(plan(view), view))

    assert (after.start, after.drop, after.retire) == (0, 0, ())


@given(views(), st.integers(0, 2000))
def test_time_alone_changes_no_plan_before_its_next_look(view: View, later: int) -> None:
    made = plan(view)
    seconds = min(float(later), made.next_look - NOW - 0.5) if made.next_look is not None else later

    assert plan(replace(view, now=NOW + seconds)) == made


@given(views())
def test_the_next_look_is_in_the_future_and_changes_the_plan(view: View) -> None:
    made = plan(view)

    if made.next_look is not None:
        assert made.next_look > view.now
        assert plan(replace(view, now=made.next_look)) != made


# -- acquiring ------------------------------------------------------------------------------------

OFFERS = st.lists(st.integers(0, 9), unique=True)
NUMBERS = st.integers(0, 10)


@given(NUMBERS, NUMBERS, NUMBERS, OFFERS)
def test_offers_are_taken_in_their_order_as_far_as_capacity_is_free(
    capacity: int, acquired: int, assigned: int, offers: list[int]
) -> None:
    taken = to_acquire(capacity, acquired, assigned, offers)

    real = [one for one in offers if one != 0]
    assert taken == tuple(real[: len(taken)])
    assert len(taken) == min(len(real), max(0, capacity - acquired - assigned))


def test_the_newer_services_placeholder_is_never_acquired_nor_takes_a_place() -> None:
    assert to_acquire(2, 0, 0, [0, 7, 0, 8, 9]) == (7, 8)


def test_a_gate_that_lets_all_starts_through_leaves_nothing_unmet() -> None:
    gate = Gate(Unmet.BACKOFF, "failing", allowed=1)

    assert plan(quiet(assigned=1, gates=(gate,))).unmet == ()
