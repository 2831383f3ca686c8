"""The states of a slot and what each event does to it (docs/architecture.md § A slot's life).

    empty ─wanted─► waiting ─claims granted─► starting ─up─► idle ─job─► busy ─job over─► finishing
    idle ─retire─► retiring          retiring, finishing ─agreed, grace over─► removing
    any with a resource ─ended─► removing ─gone─► empty

The table is total: it holds an answer for every (state, event) pair. An answer is the next state and
the effect that the scale set actor has to carry out. `IGNORE` leaves the slot as it is; late, repeated
and reordered facts end there.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from itertools import product
from typing import Final, NamedTuple


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
    """What can happen to a slot. `WANTED`, `UNWANTED`, `RETIRE` are orders, the others facts."""

    WANTED = "wanted"
    UNWANTED = "unwanted"
    CLAIMS_GRANTED = "claims-granted"
    """The slot has everything it needs on the host: a VM slot, a share of the host's cap."""
    UP = "up"
    START_FAILED = "start-failed"
    FOUND = "found"
    """A running resource of ours was found that the slot did not know."""
    JOB_STARTED = "job-started"
    JOB_COMPLETED = "job-completed"
    ENDED = "ended"
    """The resource ended, or is no longer there."""
    RETIRE = "retire"
    OVERDUE = "overdue"
    """The state's deadline passed: start-timeout, the 10 s of finishing, job-timeout, a forced exit."""
    AGREED = "agreed"
    """GitHub removed the registration and the backend sees no job."""
    REFUSED = "refused"
    """GitHub or the backend says that a job is running."""
    GRACE_OVER = "grace-over"
    """10 s have passed since `AGREED` without a JobStarted."""
    GONE = "gone"
    LEFT_BEHIND = "left-behind"
    """The resource has ended and cannot be removed yet: that goes on without the slot."""


class Effect(StrEnum):
    """What the scale set actor does when a slot takes a step."""

    NONE = "none"
    CLAIM = "claim"
    """Claim what the slot needs on the host."""
    RELEASE = "release"
    """Release the claims; the slot is free."""
    START = "start"
    CANCEL = "cancel"
    """Interrupt the start in flight; it is answered with `GONE`."""
    RETIRE = "retire"
    """Ask GitHub to remove the registration, then ask the backend whether a job is running."""
    GRACE = "grace"
    """Wait 10 s for a JobStarted that may be on its way."""
    REMOVE = "remove"
    TERMINATE = "terminate"
    """Like `REMOVE`, but a job may run: the runner gets SIGTERM and 10 s to cancel it before it is killed."""


class Step(NamedTuple):
    state: SlotState
    effect: Effect = Effect.NONE


class _Ignored(Enum):
    IGNORE = "ignore"


IGNORE: Final = _Ignored.IGNORE

COUNTED = frozenset(
    {
        SlotState.WAITING,
        SlotState.STARTING,
        SlotState.IDLE,
        SlotState.BUSY,
        SlotState.RETIRING,
        SlotState.ADOPTED,
    }
)
"""States that count towards the target; finishing and removing only hold their slot."""

FINISH_SECONDS = 10.0
"""How long a resource may take to end by itself after JobCompleted (docs/behaviour.md § 5.1)."""
GRACE_SECONDS = 10.0
"""From GitHub's agreement to the removal, for a JobStarted on its way (docs/behaviour.md § 6.2)."""
TERMINATE_SECONDS = 10.0
"""From SIGTERM to the kill, for a runner to cancel its job and report that (docs/behaviour.md § 6.2)."""

_S, _E, _D = SlotState, SlotEvent, Effect

TABLE: dict[tuple[SlotState, SlotEvent], Step | _Ignored] = {
    # -- empty ---------------------------------------------------------------------------------------
    (_S.EMPTY, _E.WANTED): Step(_S.WAITING, _D.CLAIM),
    (_S.EMPTY, _E.UNWANTED): IGNORE,
    (_S.EMPTY, _E.CLAIMS_GRANTED): IGNORE,
    (_S.EMPTY, _E.UP): IGNORE,
    (_S.EMPTY, _E.START_FAILED): IGNORE,
    (_S.EMPTY, _E.FOUND): Step(_S.ADOPTED),
    (_S.EMPTY, _E.JOB_STARTED): IGNORE,
    (_S.EMPTY, _E.JOB_COMPLETED): IGNORE,
    (_S.EMPTY, _E.ENDED): IGNORE,
    (_S.EMPTY, _E.RETIRE): IGNORE,
    (_S.EMPTY, _E.OVERDUE): IGNORE,
    (_S.EMPTY, _E.AGREED): IGNORE,
    (_S.EMPTY, _E.REFUSED): IGNORE,
    (_S.EMPTY, _E.GRACE_OVER): IGNORE,
    (_S.EMPTY, _E.GONE): IGNORE,
    (_S.EMPTY, _E.LEFT_BEHIND): IGNORE,
    # -- waiting -------------------------------------------------------------------------------------
    (_S.WAITING, _E.WANTED): IGNORE,
    (_S.WAITING, _E.UNWANTED): Step(_S.EMPTY, _D.RELEASE),
    (_S.WAITING, _E.CLAIMS_GRANTED): Step(_S.STARTING, _D.START),
    (_S.WAITING, _E.UP): IGNORE,
    (_S.WAITING, _E.START_FAILED): IGNORE,
    (_S.WAITING, _E.FOUND): IGNORE,
    (_S.WAITING, _E.JOB_STARTED): IGNORE,
    (_S.WAITING, _E.JOB_COMPLETED): IGNORE,
    (_S.WAITING, _E.ENDED): IGNORE,
    (_S.WAITING, _E.RETIRE): IGNORE,
    (_S.WAITING, _E.OVERDUE): IGNORE,
    (_S.WAITING, _E.AGREED): IGNORE,
    (_S.WAITING, _E.REFUSED): IGNORE,
    (_S.WAITING, _E.GRACE_OVER): IGNORE,
    (_S.WAITING, _E.GONE): IGNORE,
    (_S.WAITING, _E.LEFT_BEHIND): IGNORE,
    # -- starting ------------------------------------------------------------------------------------
    (_S.STARTING, _E.WANTED): IGNORE,
    (_S.STARTING, _E.UNWANTED): IGNORE,
    (_S.STARTING, _E.CLAIMS_GRANTED): IGNORE,
    (_S.STARTING, _E.UP): Step(_S.IDLE),
    (_S.STARTING, _E.START_FAILED): Step(_S.EMPTY, _D.RELEASE),
    (_S.STARTING, _E.FOUND): Step(_S.ADOPTED),
    (_S.STARTING, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.STARTING, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.STARTING, _E.ENDED): IGNORE,
    (_S.STARTING, _E.RETIRE): Step(_S.REMOVING, _D.CANCEL),
    (_S.STARTING, _E.OVERDUE): Step(_S.REMOVING, _D.CANCEL),
    (_S.STARTING, _E.AGREED): IGNORE,
    (_S.STARTING, _E.REFUSED): IGNORE,
    (_S.STARTING, _E.GRACE_OVER): IGNORE,
    (_S.STARTING, _E.GONE): Step(_S.EMPTY, _D.RELEASE),
    (_S.STARTING, _E.LEFT_BEHIND): IGNORE,
    # -- idle ----------------------------------------------------------------------------------------
    (_S.IDLE, _E.WANTED): IGNORE,
    (_S.IDLE, _E.UNWANTED): IGNORE,
    (_S.IDLE, _E.CLAIMS_GRANTED): IGNORE,
    (_S.IDLE, _E.UP): IGNORE,
    (_S.IDLE, _E.START_FAILED): IGNORE,
    (_S.IDLE, _E.FOUND): IGNORE,
    (_S.IDLE, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.IDLE, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.IDLE, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.IDLE, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.IDLE, _E.OVERDUE): IGNORE,
    (_S.IDLE, _E.AGREED): IGNORE,
    (_S.IDLE, _E.REFUSED): IGNORE,
    (_S.IDLE, _E.GRACE_OVER): IGNORE,
    (_S.IDLE, _E.GONE): IGNORE,
    (_S.IDLE, _E.LEFT_BEHIND): IGNORE,
    # -- busy ----------------------------------------------------------------------------------------
    (_S.BUSY, _E.WANTED): IGNORE,
    (_S.BUSY, _E.UNWANTED): IGNORE,
    (_S.BUSY, _E.CLAIMS_GRANTED): IGNORE,
    (_S.BUSY, _E.UP): IGNORE,
    # The job overtook the report of its runner's start, which then failed after all.
    (_S.BUSY, _E.START_FAILED): Step(_S.REMOVING, _D.REMOVE),
    (_S.BUSY, _E.FOUND): IGNORE,
    (_S.BUSY, _E.JOB_STARTED): IGNORE,
    (_S.BUSY, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.BUSY, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    # GitHub said that a job is running although it had called it completed: ask once more.
    (_S.BUSY, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.BUSY, _E.OVERDUE): Step(_S.REMOVING, _D.TERMINATE),
    (_S.BUSY, _E.AGREED): IGNORE,
    (_S.BUSY, _E.REFUSED): IGNORE,
    (_S.BUSY, _E.GRACE_OVER): IGNORE,
    # Its resource was never known, and the backend lists none.
    (_S.BUSY, _E.GONE): Step(_S.EMPTY, _D.RELEASE),
    (_S.BUSY, _E.LEFT_BEHIND): IGNORE,
    # -- finishing -----------------------------------------------------------------------------------
    (_S.FINISHING, _E.WANTED): IGNORE,
    (_S.FINISHING, _E.UNWANTED): IGNORE,
    (_S.FINISHING, _E.CLAIMS_GRANTED): IGNORE,
    (_S.FINISHING, _E.UP): IGNORE,
    (_S.FINISHING, _E.START_FAILED): Step(_S.REMOVING, _D.REMOVE),
    (_S.FINISHING, _E.FOUND): IGNORE,
    (_S.FINISHING, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.FINISHING, _E.JOB_COMPLETED): IGNORE,
    (_S.FINISHING, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.FINISHING, _E.RETIRE): IGNORE,
    (_S.FINISHING, _E.OVERDUE): Step(_S.FINISHING, _D.RETIRE),
    (_S.FINISHING, _E.AGREED): Step(_S.FINISHING, _D.GRACE),
    (_S.FINISHING, _E.REFUSED): Step(_S.BUSY),
    (_S.FINISHING, _E.GRACE_OVER): Step(_S.REMOVING, _D.REMOVE),
    (_S.FINISHING, _E.GONE): Step(_S.EMPTY, _D.RELEASE),
    (_S.FINISHING, _E.LEFT_BEHIND): IGNORE,
    # -- retiring ------------------------------------------------------------------------------------
    (_S.RETIRING, _E.WANTED): IGNORE,
    (_S.RETIRING, _E.UNWANTED): IGNORE,
    (_S.RETIRING, _E.CLAIMS_GRANTED): IGNORE,
    (_S.RETIRING, _E.UP): IGNORE,
    (_S.RETIRING, _E.START_FAILED): IGNORE,
    (_S.RETIRING, _E.FOUND): IGNORE,
    (_S.RETIRING, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.RETIRING, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.RETIRING, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.RETIRING, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.RETIRING, _E.OVERDUE): Step(_S.REMOVING, _D.TERMINATE),
    (_S.RETIRING, _E.AGREED): Step(_S.RETIRING, _D.GRACE),
    (_S.RETIRING, _E.REFUSED): Step(_S.BUSY),
    (_S.RETIRING, _E.GRACE_OVER): Step(_S.REMOVING, _D.REMOVE),
    (_S.RETIRING, _E.GONE): IGNORE,
    (_S.RETIRING, _E.LEFT_BEHIND): IGNORE,
    # -- removing ------------------------------------------------------------------------------------
    (_S.REMOVING, _E.WANTED): IGNORE,
    (_S.REMOVING, _E.UNWANTED): IGNORE,
    (_S.REMOVING, _E.CLAIMS_GRANTED): IGNORE,
    (_S.REMOVING, _E.UP): IGNORE,
    (_S.REMOVING, _E.START_FAILED): IGNORE,
    (_S.REMOVING, _E.FOUND): IGNORE,
    (_S.REMOVING, _E.JOB_STARTED): IGNORE,
    (_S.REMOVING, _E.JOB_COMPLETED): IGNORE,
    (_S.REMOVING, _E.ENDED): IGNORE,
    (_S.REMOVING, _E.RETIRE): IGNORE,
    (_S.REMOVING, _E.OVERDUE): IGNORE,
    (_S.REMOVING, _E.AGREED): IGNORE,
    (_S.REMOVING, _E.REFUSED): IGNORE,
    (_S.REMOVING, _E.GRACE_OVER): IGNORE,
    (_S.REMOVING, _E.GONE): Step(_S.EMPTY, _D.RELEASE),
    (_S.REMOVING, _E.LEFT_BEHIND): Step(_S.EMPTY, _D.RELEASE),
    # -- adopted -------------------------------------------------------------------------------------
    (_S.ADOPTED, _E.WANTED): IGNORE,
    (_S.ADOPTED, _E.UNWANTED): IGNORE,
    (_S.ADOPTED, _E.CLAIMS_GRANTED): IGNORE,
    (_S.ADOPTED, _E.UP): IGNORE,
    (_S.ADOPTED, _E.START_FAILED): IGNORE,
    (_S.ADOPTED, _E.FOUND): IGNORE,
    (_S.ADOPTED, _E.JOB_STARTED): Step(_S.BUSY),
    (_S.ADOPTED, _E.JOB_COMPLETED): Step(_S.FINISHING),
    (_S.ADOPTED, _E.ENDED): Step(_S.REMOVING, _D.REMOVE),
    (_S.ADOPTED, _E.RETIRE): Step(_S.RETIRING, _D.RETIRE),
    (_S.ADOPTED, _E.OVERDUE): IGNORE,
    (_S.ADOPTED, _E.AGREED): IGNORE,
    (_S.ADOPTED, _E.REFUSED): IGNORE,
    (_S.ADOPTED, _E.GRACE_OVER): IGNORE,
    (_S.ADOPTED, _E.GONE): IGNORE,
    (_S.ADOPTED, _E.LEFT_BEHIND): IGNORE,
}
assert TABLE.keys() == set(product(SlotState, SlotEvent)), "every state must answer every event"


def step(state: SlotState, event: SlotEvent) -> Step:
    """The answer to `event` in `state`; an ignored event keeps the state and has no effect."""
    answer = TABLE[state, event]
    return Step(state) if isinstance(answer, _Ignored) else answer


def is_ignored(state: SlotState, event: SlotEvent) -> bool:
    """Does `event` change nothing in `state`?"""
    return TABLE[state, event] is IGNORE
