"""Who gets the host's VM slots: each property holds after all steps were taken on a simulated host."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runscaler.names import ScaleSetKey, SlotNumber
from runscaler.policy.vm_slots import (
    MAX_AGE_SECONDS,
    BootWarm,
    Claim,
    GrantFree,
    GrantWarm,
    RemoveWarm,
    Stage,
    View,
    WarmVm,
    next_expiry,
    next_step,
)

NOW = 100_000.0
KINDS = ("sequoia", "sonoma", "ventura")
SETS = tuple(ScaleSetKey("https://github.com/my-org", "default", name) for name in "abc")

kinds = st.sampled_from(KINDS)
ages = st.integers(0, int(MAX_AGE_SECONDS) - 1).map(lambda age: NOW - age)


@st.composite
def hosts(draw: st.DrawFn) -> tuple[View, int]:
    """A view, and how many more VM slots of the host are free."""
    stages = draw(st.lists(st.tuples(kinds, st.sampled_from(Stage), ages), max_size=4))
    pool = tuple(WarmVm(at, *one) for at, one in enumerate(stages))
    claims = [
        Claim(draw(st.sampled_from(SETS)), SlotNumber(number), draw(kinds))
        for number in range(draw(st.integers(0, 5)))
    ]
    held = draw(st.dictionaries(st.sampled_from(SETS), st.integers(0, 3)))
    sizes = draw(st.dictionaries(kinds, st.integers(0, 3)))
    not_bootable = frozenset(draw(st.sets(kinds)))
    return View(NOW, claims, held, pool, sizes, not_bootable=not_bootable), draw(st.integers(0, 4))


def play(view: View, free: int) -> tuple[View, list[object]]:
    """Take every step, as the actor does, until there is none."""
    steps: list[object] = []
    while (step := next_step(view)) is not None:
        assert len(steps) < 50, "there is no end of steps"
        steps.append(step)
        if isinstance(step, GrantWarm):
            view = _granted(replace(view, pool=_without(view, step.vm_slot)), step.claim)
        elif isinstance(step, RemoveWarm):
            pool = tuple(
                replace(one, stage=Stage.REMOVING) if one.vm_slot == step.vm_slot else one
                for one in view.pool
            )
            view = replace(view, pool=pool)
        elif free == 0:
            view = replace(view, host_full=True)
            steps.pop()
        elif isinstance(step, GrantFree):
            free -= 1
            view = _granted(view, step.claim)
        else:
            free -= 1
            view = replace(view, pool=(*view.pool, WarmVm(100 + free, step.kind, Stage.BOOTING, NOW)))
    return view, steps


def _granted(view: View, claim: Claim) -> View:
    held = Counter(view.held)
    held[claim.key] += 1
    return replace(view, claims=[one for one in view.claims if one != claim], held=held)


def _without(view: View, vm_slot: int) -> tuple[WarmVm, ...]:
    return tuple(one for one in view.pool if one.vm_slot != vm_slot)


def staying(view: View) -> list[WarmVm]:
    return [one for one in view.pool if one.stage is not Stage.REMOVING]


@given(hosts())
def test_no_claim_waits_while_a_vm_slot_is_free(drawn: tuple[View, int]) -> None:
    view, free = drawn
    after, steps = play(view, free)
    taken = sum(isinstance(step, GrantFree | BootWarm) for step in steps)
    assert not after.claims or taken == free


@given(hosts())
def test_no_claim_waits_while_a_warm_vm_of_its_kind_is_ready(drawn: tuple[View, int]) -> None:
    after, _ = play(*drawn)
    ready = {one.kind for one in after.pool if one.stage is Stage.READY}
    assert not ready & {claim.kind for claim in after.claims}


@given(hosts())
def test_no_claim_waits_while_an_unwanted_warm_vm_keeps_its_vm_slot(drawn: tuple[View, int]) -> None:
    after, _ = play(*drawn)
    if not after.claims:
        return
    wanted = {claim.kind for claim in after.claims}
    spare = [one for one in staying(after) if one.kind not in wanted]
    coming = sum(one.stage is not Stage.READY for one in after.pool)
    assert not spare or coming >= len(after.claims)


@given(hosts())
def test_the_pool_is_filled_to_its_sizes_and_no_further(drawn: tuple[View, int]) -> None:
    after, steps = play(*drawn)
    have = Counter(one.kind for one in staying(after))
    for kind, count in have.items():
        assert count <= after.pool_sizes.get(kind, 0) or after.claims
    if not after.claims and not after.host_full:
        for kind, size in after.pool_sizes.items():
            assert have[kind] == size or kind in after.not_bootable
    assert not [step for step in steps if isinstance(step, BootWarm) and step.kind in after.not_bootable]


@given(hosts())
def test_nothing_boots_while_a_claim_waits(drawn: tuple[View, int]) -> None:
    view, free = drawn
    _, steps = play(view, free)
    served = sum(isinstance(step, GrantWarm | GrantFree) for step in steps)
    if any(isinstance(step, BootWarm) for step in steps):
        assert served == len(view.claims)


@given(hosts())
def test_the_scale_set_that_holds_fewer_is_served_first(drawn: tuple[View, int]) -> None:
    view, free = drawn
    alike = replace(view, claims=[replace(one, kind=KINDS[0]) for one in view.claims], pool=())
    after, steps = play(alike, free)
    if not after.claims:
        return
    unserved = {claim.key for claim in after.claims}
    won = {step.claim.key for step in steps if isinstance(step, GrantFree)}
    for loser in unserved:
        for winner in won - unserved:
            assert after.held.get(winner, 0) <= after.held.get(loser, 0) + 1


def test_a_claim_gets_the_oldest_ready_warm_vm_of_its_kind() -> None:
    pool = (
        WarmVm(0, "sequoia", Stage.READY, NOW - 10),
        WarmVm(1, "sequoia", Stage.READY, NOW - 20),
        WarmVm(2, "sonoma", Stage.READY, NOW - 30),
    )
    claim = Claim(SETS[0], SlotNumber(0), "sequoia")
    assert next_step(View(NOW, [claim], pool=pool)) == GrantWarm(claim, 1)


def test_a_claim_takes_a_free_vm_slot_rather_than_wait_for_a_boot() -> None:
    claim = Claim(SETS[0], SlotNumber(0), "sequoia")
    view = View(NOW, [claim], pool=(WarmVm(0, "sequoia", Stage.BOOTING, NOW),), pool_sizes={"sequoia": 1})
    assert next_step(view) == GrantFree(claim)
    assert next_step(replace(view, host_full=True)) is None


def test_a_warm_vm_at_its_maximum_age_is_removed() -> None:
    pool = (WarmVm(0, "sequoia", Stage.READY, NOW - MAX_AGE_SECONDS),)
    view = View(NOW, pool=pool, pool_sizes={"sequoia": 1}, host_full=True)
    assert next_step(view) == RemoveWarm(0, "it has reached its maximum age")
    assert next_expiry(pool) == NOW
    assert next_expiry(()) is None


def test_the_newest_warm_vm_of_an_unwanted_kind_is_removed_for_a_claim() -> None:
    pool = (
        WarmVm(0, "sonoma", Stage.READY, NOW - 20),
        WarmVm(1, "sonoma", Stage.READY, NOW - 10),
    )
    claim = Claim(SETS[0], SlotNumber(0), "sequoia")
    view = View(NOW, [claim], pool=pool, pool_sizes={"sonoma": 2}, host_full=True)

    assert next_step(view) == RemoveWarm(1, "a job needs its VM slot for another kind of VM")


def test_a_boot_in_progress_is_cut_before_a_ready_warm_vm_is_removed() -> None:
    pool = (
        WarmVm(0, "sonoma", Stage.BOOTING, NOW - 20),
        WarmVm(1, "sonoma", Stage.READY, NOW - 10),
    )
    claim = Claim(SETS[0], SlotNumber(0), "sequoia")
    step = next_step(View(NOW, [claim], pool=pool, pool_sizes={"sonoma": 2}, host_full=True))

    assert isinstance(step, RemoveWarm)
    assert step.vm_slot == 0


def test_one_warm_vm_is_removed_for_each_claim_and_none_for_one_whose_kind_is_booting() -> None:
    pool = (
        WarmVm(0, "sonoma", Stage.READY, NOW - 20),
        WarmVm(1, "sonoma", Stage.REMOVING, NOW - 10),
        WarmVm(2, "sequoia", Stage.BOOTING, NOW - 10),
    )
    claims = [Claim(SETS[0], SlotNumber(number), "sequoia") for number in range(3)]
    view = View(NOW, claims[:2], pool=pool, pool_sizes={"sonoma": 1, "sequoia": 1}, host_full=True)

    assert next_step(view) is None
    step = next_step(replace(view, claims=claims))
    assert isinstance(step, RemoveWarm)
    assert step.vm_slot == 0, "never one of a kind that a claim waits for"


def test_the_kind_with_the_fewest_warm_vms_boots_first() -> None:
    pool = (WarmVm(0, "sonoma", Stage.READY, NOW),)
    view = View(NOW, pool=pool, pool_sizes={"sonoma": 2, "sequoia": 1})

    assert next_step(view) == BootWarm("sequoia")
