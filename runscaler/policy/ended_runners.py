"""What a runner was whose resource has ended: had it its job, did it fail, or has GitHub to be asked?

The backend sees the end at once; GitHub's messages about the job come later, or never, so that proof is
asked for where none comes by itself (docs/behaviour.md § 5.2, 5.3, 5.3a). Two total tables decide: `FIRST`
from what is known when the runner ends, `NEXT` from what is heard afterwards. What has to be done about
an outcome is done once, when it is reached.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product

from runscaler.policy.lifecycle import SlotState

WAIT_SECONDS = 10.0
"""How long a message about the job of a runner that has ended is waited for."""
BRIEF_SECONDS = 3.0
"""How long a clean end without a known job is taken for the end of one, so that nothing replaces it."""
COUNTING_SECONDS = 0.5
"""How long, after GitHub has proved that a job is over, its counts may still include it."""
YOUNG_SECONDS = 30.0
"""A clean end later than this, without a job, means that the registration was removed: no failure."""


class Exit(StrEnum):
    """How a resource ended, as far as the backend tells."""

    REMOVED = "removed"
    """We removed it."""
    CLEAN = "clean"
    """By itself with exit code 0, `YOUNG_SECONDS` or more after its start."""
    CLEAN_YOUNG = "clean-young"
    """By itself with exit code 0, sooner than that."""
    FAILED = "failed"
    """By itself with another exit code, or one that is not known."""


class Outcome(StrEnum):
    """What an ended runner is held to have been."""

    HAD_JOB = "had-job"
    """Its JobCompleted is still to come; GitHub's counts include that job until then."""
    UNPROVEN = "unproven"
    """It ended clean, soon and before any job was seen: most likely it had one. GitHub is asked."""
    UNREGISTERED = "unregistered"
    """The same long after its start: it had a job, or has lost its registration."""
    DOUBTED = "doubted"
    """Unproven for so long that it is replaced; not yet counted as a failure."""
    PROVEN = "proven"
    """GitHub has proved that its job is over; the latest counts may still include it."""
    FAILED = "failed"
    """It ended without a job."""
    UNCONFIRMED = "unconfirmed"
    """It had a job whose JobCompleted never came: its registration may still be there."""
    BOUND = "bound"
    """GitHub holds its job for running, until the job's lease ends: that job is no demand."""
    SETTLED = "settled"
    """Nothing more is expected."""


class Evidence(StrEnum):
    """What may be heard of a runner after its end."""

    JOB_STARTED = "job-started"
    JOB_COMPLETED = "job-completed"
    REGISTERED = "registered"
    """Asked twice, GitHub still knows its registration: it had no job."""
    UNREGISTERED = "unregistered"
    """GitHub does not know its registration any more: it had its job."""
    REFUSED = "refused"
    """GitHub would not remove its registration: a job is bound to it."""
    DEREGISTERED = "deregistered"
    """Its registration is gone."""
    NEW_COUNTS = "new-counts"
    """Statistics came."""
    TIME_UP = "time-up"
    """The outcome's waiting time has passed without a message."""
    TIME_UP_UNSERVED = "time-up-unserved"
    """It has passed, but GitHub could not have told: no session, or no answer."""


WAITS = {
    Outcome.HAD_JOB: WAIT_SECONDS,
    Outcome.UNPROVEN: BRIEF_SECONDS,
    Outcome.UNREGISTERED: BRIEF_SECONDS,
    Outcome.DOUBTED: WAIT_SECONDS - BRIEF_SECONDS,
    Outcome.PROVEN: COUNTING_SECONDS,
}
"""Seconds until `TIME_UP` for each outcome that waits for a message."""

_S, _X, _O, _V = SlotState, Exit, Outcome, Evidence

_NO_JOB_YET = dict.fromkeys(product((_S.EMPTY, _S.WAITING, _S.STARTING), Exit), _O.SETTLED)
"""Nothing ran."""
_ON_ITS_WAY_OUT = dict.fromkeys(product((_S.FINISHING, _S.RETIRING, _S.REMOVING), Exit), _O.SETTLED)
"""Its job was called completed, or GitHub was asked to let it go."""

FIRST: dict[tuple[SlotState, Exit], Outcome] = {
    **_NO_JOB_YET,
    **_ON_ITS_WAY_OUT,
    (_S.IDLE, _X.REMOVED): _O.SETTLED,
    (_S.IDLE, _X.CLEAN): _O.UNREGISTERED,
    (_S.IDLE, _X.CLEAN_YOUNG): _O.UNPROVEN,
    (_S.IDLE, _X.FAILED): _O.FAILED,
    (_S.BUSY, _X.REMOVED): _O.HAD_JOB,
    (_S.BUSY, _X.CLEAN): _O.HAD_JOB,
    (_S.BUSY, _X.CLEAN_YOUNG): _O.HAD_JOB,
    (_S.BUSY, _X.FAILED): _O.HAD_JOB,
    # Whether an adopted runner had a job is not known; that it had one does the least harm.
    (_S.ADOPTED, _X.REMOVED): _O.HAD_JOB,
    (_S.ADOPTED, _X.CLEAN): _O.HAD_JOB,
    (_S.ADOPTED, _X.CLEAN_YOUNG): _O.HAD_JOB,
    (_S.ADOPTED, _X.FAILED): _O.HAD_JOB,
}
assert FIRST.keys() == set(product(SlotState, Exit)), "every end must have an outcome"

NEXT: dict[tuple[Outcome, Evidence], Outcome] = {
    (_O.HAD_JOB, _V.JOB_STARTED): _O.HAD_JOB,
    (_O.HAD_JOB, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.HAD_JOB, _V.REGISTERED): _O.HAD_JOB,
    (_O.HAD_JOB, _V.UNREGISTERED): _O.HAD_JOB,
    (_O.HAD_JOB, _V.REFUSED): _O.BOUND,
    (_O.HAD_JOB, _V.DEREGISTERED): _O.HAD_JOB,
    (_O.HAD_JOB, _V.NEW_COUNTS): _O.HAD_JOB,
    (_O.HAD_JOB, _V.TIME_UP): _O.UNCONFIRMED,
    (_O.HAD_JOB, _V.TIME_UP_UNSERVED): _O.UNCONFIRMED,
    (_O.UNPROVEN, _V.JOB_STARTED): _O.HAD_JOB,
    (_O.UNPROVEN, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.UNPROVEN, _V.REGISTERED): _O.FAILED,
    (_O.UNPROVEN, _V.UNREGISTERED): _O.PROVEN,
    (_O.UNPROVEN, _V.REFUSED): _O.BOUND,
    (_O.UNPROVEN, _V.DEREGISTERED): _O.UNPROVEN,
    (_O.UNPROVEN, _V.NEW_COUNTS): _O.UNPROVEN,
    (_O.UNPROVEN, _V.TIME_UP): _O.DOUBTED,
    (_O.UNPROVEN, _V.TIME_UP_UNSERVED): _O.DOUBTED,
    (_O.UNREGISTERED, _V.JOB_STARTED): _O.HAD_JOB,
    (_O.UNREGISTERED, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.UNREGISTERED, _V.REGISTERED): _O.SETTLED,
    (_O.UNREGISTERED, _V.UNREGISTERED): _O.PROVEN,
    (_O.UNREGISTERED, _V.REFUSED): _O.BOUND,
    (_O.UNREGISTERED, _V.DEREGISTERED): _O.SETTLED,
    (_O.UNREGISTERED, _V.NEW_COUNTS): _O.UNREGISTERED,
    (_O.UNREGISTERED, _V.TIME_UP): _O.SETTLED,
    (_O.UNREGISTERED, _V.TIME_UP_UNSERVED): _O.SETTLED,
    (_O.DOUBTED, _V.JOB_STARTED): _O.HAD_JOB,
    (_O.DOUBTED, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.DOUBTED, _V.REGISTERED): _O.FAILED,
    (_O.DOUBTED, _V.UNREGISTERED): _O.PROVEN,
    (_O.DOUBTED, _V.REFUSED): _O.BOUND,
    (_O.DOUBTED, _V.DEREGISTERED): _O.DOUBTED,
    (_O.DOUBTED, _V.NEW_COUNTS): _O.DOUBTED,
    # The answer is still to come: it is asked for until it is there.
    (_O.DOUBTED, _V.TIME_UP): _O.DOUBTED,
    (_O.DOUBTED, _V.TIME_UP_UNSERVED): _O.DOUBTED,
    (_O.PROVEN, _V.JOB_STARTED): _O.PROVEN,
    (_O.PROVEN, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.PROVEN, _V.REGISTERED): _O.PROVEN,
    (_O.PROVEN, _V.UNREGISTERED): _O.PROVEN,
    (_O.PROVEN, _V.REFUSED): _O.PROVEN,
    (_O.PROVEN, _V.DEREGISTERED): _O.PROVEN,
    (_O.PROVEN, _V.NEW_COUNTS): _O.SETTLED,
    (_O.PROVEN, _V.TIME_UP): _O.SETTLED,
    (_O.PROVEN, _V.TIME_UP_UNSERVED): _O.SETTLED,
    (_O.UNCONFIRMED, _V.JOB_STARTED): _O.UNCONFIRMED,
    (_O.UNCONFIRMED, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.UNCONFIRMED, _V.REGISTERED): _O.UNCONFIRMED,
    (_O.UNCONFIRMED, _V.UNREGISTERED): _O.PROVEN,
    (_O.UNCONFIRMED, _V.REFUSED): _O.BOUND,
    (_O.UNCONFIRMED, _V.DEREGISTERED): _O.PROVEN,
    (_O.UNCONFIRMED, _V.NEW_COUNTS): _O.UNCONFIRMED,
    (_O.UNCONFIRMED, _V.TIME_UP): _O.UNCONFIRMED,
    (_O.UNCONFIRMED, _V.TIME_UP_UNSERVED): _O.UNCONFIRMED,
    (_O.BOUND, _V.JOB_STARTED): _O.BOUND,
    (_O.BOUND, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.BOUND, _V.REGISTERED): _O.BOUND,
    (_O.BOUND, _V.UNREGISTERED): _O.PROVEN,
    (_O.BOUND, _V.REFUSED): _O.BOUND,
    (_O.BOUND, _V.DEREGISTERED): _O.PROVEN,
    (_O.BOUND, _V.NEW_COUNTS): _O.BOUND,
    (_O.BOUND, _V.TIME_UP): _O.BOUND,
    (_O.BOUND, _V.TIME_UP_UNSERVED): _O.BOUND,
    **dict.fromkeys(product((_O.FAILED, _O.SETTLED), Evidence), _O.SETTLED),
    (_O.FAILED, _V.REFUSED): _O.BOUND,
}
assert NEXT.keys() == set(product(Outcome, Evidence)), "every outcome must answer every evidence"


def classify(state: SlotState, ended: Exit) -> Outcome:
    """What a runner was that ended in `state`."""
    return FIRST[state, ended]


def reconsider(outcome: Outcome, evidence: Evidence) -> Outcome:
    """What it is held to have been once `evidence` is known, too."""
    return NEXT[outcome, evidence]
