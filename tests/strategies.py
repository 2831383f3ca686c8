"""Everything that tests draw at random: the values that the policy decides on, all of them possible."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import strategies as st

from runscaler.names import RunnerName, SlotNumber
from runscaler.policy.condition import DEGRADED_AFTER, Condition, FailureRecord, Hold
from runscaler.policy.inventory import Believed, Listed
from runscaler.policy.lifecycle import SlotEvent, SlotState
from runscaler.policy.scaling import Counts, Demand, Gate, IdleRunner, View
from runscaler.status import Unmet

NOW = 10_000.0
"""The monotonic time of every view. Times are whole seconds, so that limits are met exactly, too."""

SLOT_STATES = st.sampled_from(SlotState)
SLOT_EVENTS = st.sampled_from(SlotEvent)
JITTERS = st.floats(0, 1)
REASONS = st.sampled_from(["no space left", "image gone", "engine away"])

_FEW = st.integers(0, 5)
_SECONDS = st.integers(0, 900).map(float)
_EITHER = st.booleans()


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    """Often with few slots held, so that there is room to grow."""
    some = st.integers(0, draw(st.sampled_from([0, 1, 2, 5])))
    made = Counts(**{state: draw(some) for state in map(str, SlotState) if state != SlotState.EMPTY})
    return replace(made, forgotten=draw(st.integers(0, made.busy)))


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    """As GitHub counts: what runs is assigned. `had_job` is ours, and may be anything."""
    assigned = draw(st.integers(0, 40))
    return Demand(assigned, draw(st.integers(0, assigned)), draw(_FEW))


def gates() -> st.SearchStrategy[Gate]:
    untils = st.none() | st.integers(-60, 60).map(lambda seconds: NOW + seconds)
    return st.builds(Gate, st.sampled_from(Unmet), REASONS, untils, st.integers(0, 3))


@st.composite
def views(
    draw: st.DrawFn,
    draining: st.SearchStrategy[bool] = _EITHER,
    idle_timeouts: st.SearchStrategy[float] = _SECONDS,
    most_gates: int = 3,
) -> View:
    held, max_runners = draw(counts()), draw(st.integers(1, 30))
    view = View(
        NOW,
        draw(st.integers(0, max_runners)),
        max_runners,
        draw(demands()),
        held,
        draw(idle_timeouts),
        gates=draw(st.lists(gates(), max_size=most_gates)),
        blocked=draw(_FEW),
        draining=draw(draining),
        waits_for=draw(st.sampled_from([None, Unmet.HOST_CAP, Unmet.VM_LIMIT])),
    )
    idle = _oldest_first(draw, held.idle + held.adopted)[: max(0, view.surplus)]
    return replace(view, idle=idle)


def _oldest_first(draw: st.DrawFn, count: int) -> tuple[IdleRunner, ...]:
    ages = sorted((draw(_SECONDS) for _ in range(count)), reverse=True)
    numbers = draw(st.permutations(range(count)))
    return tuple(IdleRunner(SlotNumber(number), NOW - age) for number, age in zip(numbers, ages, strict=True))


@st.composite
def waves(draw: st.DrawFn) -> list[tuple[float, list[float]]]:
    """Starts that were ordered together, at the first time, and failed one by one, at the later ones."""
    steps = draw(st.lists(st.integers(0, 50), min_size=2, max_size=12))
    times = [NOW + sum(steps[: index + 1]) + index for index in range(len(steps))]
    sizes = draw(st.lists(st.integers(2, 5), min_size=1, max_size=6))
    edges = [edge for edge in (sum(sizes[:index]) for index in range(len(sizes) + 1)) if edge <= len(times)]
    return [(times[start], times[start + 1 : end]) for start, end in pairwise(edges)]


def failure_records() -> st.SearchStrategy[FailureRecord]:
    few = st.integers(0, DEGRADED_AFTER + 1)
    return st.builds(FailureRecord, few, few, st.just(NOW), _SECONDS.map(lambda one: NOW + one), REASONS)


def conditions() -> st.SearchStrategy[Condition]:
    holds = st.none() | st.builds(Hold, REASONS)
    return st.builds(
        Condition,
        session=st.booleans(),
        standby=holds,
        github=holds,
        rate_limited=st.booleans(),
        listener_failed=st.just("") | REASONS,
        backend=holds,
        image=holds,
        image_failed=st.booleans(),
        listed=st.booleans(),
        failures=failure_records(),
        draining=st.just("") | REASONS,
    )


MAX_RUNNERS = 4
"""Of the scale set whose inventories are drawn here; resources of up to three slots beyond it."""

_SLOTS = st.integers(0, MAX_RUNNERS + 2).map(SlotNumber)
_RESOURCES = st.integers(0, 9)


def _runner(number: int) -> RunnerName:
    return RunnerName(f"runner-{number:08x}")


def listings() -> st.SearchStrategy[list[Listed]]:
    """Each resource once, each with a runner of its own."""
    one = st.tuples(_RESOURCES, _SLOTS, st.booleans())
    return st.lists(one, unique_by=lambda row: row[0], max_size=8).map(
        lambda rows: [Listed(f"id-{number}", _runner(number), slot, up) for number, slot, up in rows]
    )


@st.composite
def beliefs(draw: st.DrawFn) -> list[Believed]:
    """Each slot once, in any state, changed before, at or after `NOW`; no resource in two of them."""
    slots = draw(st.lists(_SLOTS, unique=True))
    numbers = draw(st.permutations(range(10)))
    return [_belief(draw, slot, number) for slot, number in zip(slots, numbers, strict=False)]


def _belief(draw: st.DrawFn, slot: SlotNumber, number: int) -> Believed:
    state, changed_at = draw(SLOT_STATES), NOW + draw(st.integers(-2, 2))
    if state is SlotState.EMPTY:
        return Believed(slot, state, None, "", changed_at)
    bare = state in (SlotState.WAITING, SlotState.STARTING) or draw(st.booleans())
    return Believed(slot, state, _runner(number), "" if bare else f"id-{number}", changed_at)


def waiting_sets() -> st.SearchStrategy[list[str]]:
    """The scale sets that wait for a place on the host, an entry a place."""
    return st.lists(st.sampled_from("abcde"), max_size=30)


def holdings() -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10))
