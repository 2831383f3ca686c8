"""Who gets the host's VM slots: played to its end on a host of the test's own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runscaler.names import ScaleSetKey, SlotNumber
from runscaler.policy.vm_slots import (
    OLDEST_SECONDS,
    Boot,
    Cool,
    GiveFree,
    GiveWarm,
    Pooled,
    Stage,
    View,
    Wish,
    next_age,
    next_step,
)

NOW = 100_000.0
KINDS = ("sequoia", "sonoma", "ventura")
SETS = tuple(ScaleSetKey("https://github.com/my-org", "default", name) for name in "abc")

kinds = st.sampled_from(KINDS)
ages = st.integers(0, int(OLDEST_SECONDS) - 1).map(lambda age: NOW - age)


@st.composite
def hosts(draw: st.DrawFn) -> tuple[View, int]:
    """A view and how many slots the host has free beside what the view knows of."""
    stages = draw(st.lists(st.tuples(kinds, st.sampled_from(Stage), ages), max_size=4))
    pool = tuple(Pooled(at, *one) for at, one in enumerate(stages))
    wishes = [
        Wish(draw(st.sampled_from(SETS)), SlotNumber(number), draw(kinds))
        for number in range(draw(st.integers(0, 5)))
    ]
    held = draw(st.dictionaries(st.sampled_from(SETS), st.integers(0, 3)))
    sizes = draw(st.dictionaries(kinds, st.integers(0, 3)))
    resting = frozenset(draw(st.sets(kinds)))
    return View(NOW, wishes, held, pool, sizes, resting=resting), draw(st.integers(0, 4))


def play(view: View, free: int) -> tuple[View, list[object]]:
    """Take every step, as the actor does, until there is none."""
    steps: list[object] = []
    while (step := next_step(view)) is not None:
        assert len(steps) < 50, "it never comes to rest"
        steps.append(step)
        if isinstance(step, GiveWarm):
            view = _granted(replace(view, pool=_without(view, step.vm_slot)), step.wish)
        elif isinstance(step, Cool):
            cooled = tuple(
                replace(one, stage=Stage.COOLING) if one.vm_slot == step.vm_slot else one for one in view.pool
            )
            view = replace(view, pool=cooled)
        elif free == 0:
            view = replace(view, full=True)
            steps.pop()
        elif isinstance(step, GiveFree):
            free -= 1
            view = _granted(view, step.wish)
        else:
            free -= 1
            view = replace(view, pool=(*view.pool, Pooled(100 + free, step.kind, Stage.BOOTING, NOW)))
    return view, steps


def _granted(view: View, wish: Wish) -> View:
    held = Counter(view.held)
    held[wish.key] += 1
    return replace(view, wishes=[one for one in view.wishes if one != wish], held=held)


def _without(view: View, vm_slot: int) -> tuple[Pooled, ...]:
    return tuple(one for one in view.pool if one.vm_slot != vm_slot)


def lively(view: View) -> list[Pooled]:
    return [one for one in view.pool if one.stage is not Stage.COOLING]


@given(hosts())
def test_it_comes_to_rest_with_no_free_slot_beside_a_job_that_waits(drawn: tuple[View, int]) -> None:
    view, free = drawn
    after, steps = play(view, free)
    taken = sum(isinstance(step, GiveFree | Boot) for step in steps)
    assert not after.wishes or taken == free


@given(hosts())
def test_no_job_waits_beside_a_ready_vm_of_its_kind(drawn: tuple[View, int]) -> None:
    after, _ = play(*drawn)
    ready = {one.kind for one in after.pool if one.stage is Stage.READY}
    assert not ready & {wish.kind for wish in after.wishes}


@given(hosts())
def test_a_warm_vm_keeps_no_slot_from_a_job_of_another_kind(drawn: tuple[View, int]) -> None:
    after, _ = play(*drawn)
    if not after.wishes:
        return
    wanted = {wish.kind for wish in after.wishes}
    spare = [one for one in lively(after) if one.kind not in wanted]
    coming = sum(one.stage is not Stage.READY for one in after.pool)
    assert not spare or coming >= len(after.wishes)


@given(hosts())
def test_the_pool_is_filled_to_its_sizes_and_no_further(drawn: tuple[View, int]) -> None:
    after, steps = play(*drawn)
    have = Counter(one.kind for one in lively(after))
    for kind, count in have.items():
        assert count <= after.pool_sizes.get(kind, 0) or after.wishes
    if not after.wishes and not after.full:
        for kind, size in after.pool_sizes.items():
            assert have[kind] == size or kind in after.resting
    assert not [step for step in steps if isinstance(step, Boot) and step.kind in after.resting]


@given(hosts())
def test_nothing_boots_while_a_job_waits(drawn: tuple[View, int]) -> None:
    view, free = drawn
    _, steps = play(view, free)
    served = sum(isinstance(step, GiveWarm | GiveFree) for step in steps)
    if any(isinstance(step, Boot) for step in steps):
        assert served == len(view.wishes)


@given(hosts())
def test_who_has_fewer_is_served_first(drawn: tuple[View, int]) -> None:
    view, free = drawn
    alike = replace(view, wishes=[replace(one, kind=KINDS[0]) for one in view.wishes], pool=())
    after, steps = play(alike, free)
    if not after.wishes:
        return
    unserved = {wish.key for wish in after.wishes}
    won = {step.wish.key for step in steps if isinstance(step, GiveFree)}
    for loser in unserved:
        for winner in won - unserved:
            assert after.held.get(winner, 0) <= after.held.get(loser, 0) + 1


def test_a_job_takes_the_oldest_ready_one_of_its_kind() -> None:
    pool = (
        Pooled(0, "sequoia", Stage.READY, NOW - 10),
        Pooled(1, "sequoia", Stage.READY, NOW - 20),
        Pooled(2, "sonoma", Stage.READY, NOW - 30),
    )
    wish = Wish(SETS[0], SlotNumber(0), "sequoia")
    assert next_step(View(NOW, [wish], pool=pool)) == GiveWarm(wish, 1)


def test_a_job_does_not_wait_for_a_booting_one_beside_a_free_slot() -> None:
    wish = Wish(SETS[0], SlotNumber(0), "sequoia")
    view = View(NOW, [wish], pool=(Pooled(0, "sequoia", Stage.BOOTING, NOW),), pool_sizes={"sequoia": 1})
    assert next_step(view) == GiveFree(wish)
    assert next_step(replace(view, full=True)) is None


def test_an_old_one_is_replaced() -> None:
    pool = (Pooled(0, "sequoia", Stage.READY, NOW - OLDEST_SECONDS),)
    view = View(NOW, pool=pool, pool_sizes={"sequoia": 1}, full=True)
    assert next_step(view) == Cool(0, "it has grown old")
    assert next_age(pool) == NOW
    assert next_age(()) is None
