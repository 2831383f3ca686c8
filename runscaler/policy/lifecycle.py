"""A slot's life as a total table: every (state, event) pair has an answer (docs/architecture.md § A slot's life).

    empty ─wanted─► waiting ─placed─► starting ─up─► idle ─job─► busy ─job over─► finishing
    idle ─retire─► retiring          retiring, finishing ─agreed, grace over─► removing
    any with a resource ─ended─► removing ─gone─► empty

An answer is the next state and what the actor has to do on the way there. `IGNORE` keeps the state
and does nothing: late, doubled and reordered facts end there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class SlotState(StrEnum):
    EMPTY = "empty"
    WAITING = "waiting"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    FINISHING = "finishing"
    RETIRING = "retiring"
    REMOVING = "removing"
    ADOPTED = "adopted"


class SlotEvent(StrEnum):
    """What can happen to a slot. Facts in the past, but for the planner's `WANTED`, `UNWANTED`, `RETIRE`."""

    WANTED = "wanted"
    UNWANTED = "unwanted"
    PLACED = "placed"
    UP = "up"
    START_FAILED = "start-failed"
    FOUND = "found"
    """A running resource of ours was found that the slot did not know."""
    JOB_STARTED = "job-started"
    JOB_COMPLETED = "job-completed"
    ENDED = "ended"
    """The resource ended or is not there any more."""
    RETIRE = "retire"
    OVERDUE = "overdue"
    """A deadline of the state passed: start-timeout, the 10 s of finishing, job-timeout, a forced exit."""
    AGREED = "agreed"
    """GitHub removed the registration and the backend sees no job."""
    REFUSED = "refused"
    """GitHub, or a process inside, says that a job runs."""
    GRACE_OVER = "grace-over"
    """10 s have passed since `AGREED` without a JobStarted."""
    GONE = "gone"


class Effect(StrEnum):
    """What the scale set does when it takes the step."""

    NOTHING = "nothing"
    CLAIM = "claim"
    """Ask for the places that the slot needs."""
    GIVE_BACK = "give-back"
    """Give the places back; the slot is free."""
    START = "start"
    CANCEL = "cancel"
    """Cut the start in flight; its answer is `GONE`."""
    RETIRE = "retire"
    """Ask GitHub to remove the registration, then the backend whether a job runs."""
    GRACE = "grace"
    """Wait 10 s for a JobStarted that was on its way."""
    REMOVE = "remove"
    FAIL = "fail"
    """Count a failure, keep the output, deregister, remove."""
    FREE_FAILED = "free-failed"
    """Count a failed start that left nothing; give the places back."""


class Step(NamedTuple):
    state: SlotState
    effect: Effect = Effect.NOTHING


_S, _E, _D = SlotState, SlotEvent, Effect

_TABLE: dict[tuple[SlotState, SlotEvent], Step] = {
    (_S.EMPTY, _E.WANTED): Step(_S.WAITING, _D.CLAIM),
    (_S.EMPTY, _E.FOUND): Step(_S.ADOPTED),
    (_S.WAITING, _E.UNWANTED): Step(_S.EMPTY, _D.GIVE_BACK),
    (_S.WAITING, _E.PLACED): Step(_S.STARTING, _D.START),
    (_S.STARTING, _E.UP): Step(_S.IDLE),
    (_S.STARTING, _E.START_FAILED): Step(_S.EMPTY, _D.FREE_FAILED),
    (_S.STARTING, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.STARTING, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.STARTING, _E.OVERDUE): Step(_S.REMOVING, _D.CANCEL),
    (_S.STARTING, _E.RETIRE): Step(_S.REMOVING, _D.CANCEL),
    (_S.STARTING, _E.FOUND): Step(_S.ADOPTED),
    (_S.STARTING, _E.GONE): Step(_S.EMPTY, _D.FREE_FAILED),
    (_S.IDLE, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.IDLE, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.IDLE, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.IDLE, _E.ENDED): Step(_S.REMOVING, _D.FAIL),
    (_S.IDLE, _E.OVERDUE): Step(_S.REMOVING, _D.REMOVE),
    (_S.BUSY, _E.JOB_COMPLETED): Step(_S.FINISHING),
    # GitHub said that a job runs although it had called it completed: it is asked once more.
    (_S.BUSY, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.BUSY, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.BUSY, _E.OVERDUE): Step(_S.REMOVING, _D.REMOVE),
    # A start whose answer was overtaken by its job reports at last; the runner stays what it is.
    (_S.BUSY, _E.START_FAILED): Step(_S.REMOVING, _D.REMOVE),
    (_S.FINISHING, _E.START_FAILED): Step(_S.REMOVING, _D.REMOVE),
    (_S.FINISHING, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.FINISHING, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.FINISHING, _E.OVERDUE): Step(_S.FINISHING, _D.RETIRE),
    (_S.FINISHING, _E.RETIRE): Step(_S.FINISHING, _D.RETIRE),
    (_S.FINISHING, _E.AGREED): Step(_S.FINISHING, _D.GRACE),
    (_S.FINISHING, _E.REFUSED): Step(_S.BUSY),
    (_S.FINISHING, _E.GRACE_OVER): Step(_S.REMOVING, _D.REMOVE),
    (_S.RETIRING, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.RETIRING, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.RETIRING, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.RETIRING, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.RETIRING, _E.AGREED): Step(_S.RETIRING, _D.GRACE),
    (_S.RETIRING, _E.REFUSED): Step(_S.BUSY),
    (_S.RETIRING, _E.GRACE_OVER): Step(_S.REMOVING, _D.REMOVE),
    (_S.RETIRING, _E.OVERDUE): Step(_S.REMOVING, _D.REMOVE),
    (_S.ADOPTED, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.ADOPTED, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.ADOPTED, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.ADOPTED, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.ADOPTED, _E.OVERDUE): Step(_S.REMOVING, _D.REMOVE),
    # Their resource was never known, and the list says that there is none.
    (_S.BUSY, _E.GONE): Step(_S.EMPTY, _D.GIVE_BACK),
    (_S.FINISHING, _E.GONE): Step(_S.EMPTY, _D.GIVE_BACK),
    (_S.RETIRING, _E.GONE): Step(_S.EMPTY, _D.GIVE_BACK),
    (_S.REMOVING, _E.GONE): Step(_S.EMPTY, _D.GIVE_BACK),
    (_S.REMOVING, _E.START_FAILED): Step(_S.EMPTY, _D.GIVE_BACK),
}

COUNTED = frozenset({_S.WAITING, _S.STARTING, _S.IDLE, _S.BUSY, _S.RETIRING, _S.ADOPTED})
"""States that count towards the target; finishing and removing only hold their slot."""

FINISH_SECONDS = 10.0
"""What a resource gets to end by itself after JobCompleted (docs/behaviour.md § 5.1)."""
GRACE_SECONDS = 10.0
"""From GitHub's agreement to the removal, for a JobStarted that was on its way (docs/behaviour.md § 6.2)."""


def step(state: SlotState, event: SlotEvent) -> Step:
    """The answer to `event` in `state`; pairs that the table does not name change nothing."""
    return _TABLE.get((state, event), Step(state))


def is_ignored(state: SlotState, event: SlotEvent) -> bool:
    """Does `event` change nothing in `state`?"""
    return (state, event) not in _TABLE
