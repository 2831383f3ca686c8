"""What a runner was whose resource has ended: had it its job, did it fail, or is that not known yet?

The backend sees the end at once; GitHub's messages about the job come later, or never (docs/behaviour.md
§ 5.2, 5.3). Two total tables decide: `FIRST` from what is known when the runner ends, `NEXT` from what
is heard afterwards. What has to be done about an outcome is done once, when it is reached.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product

from runscaler.policy.lifecycle import SlotState

WAIT_SECONDS = 10.0
"""How long a message about the job of a runner that has ended is waited for."""
BRIEF_SECONDS = 3.0
"""How long a clean end without a known job is taken for the end of one, so that nothing replaces it."""
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
    PROBABLY_HAD_JOB = "probably-had-job"
    """It ended clean before any job was seen: most likely the job's messages are on their way."""
    UNREGISTERED = "unregistered"
    """The same, but so long after its start that it may also have lost its registration."""
    UNPROVEN = "unproven"
    """Still no message: it is replaced, but not yet counted as a failure."""
    FAILED = "failed"
    """It ended without a job."""
    UNCONFIRMED = "unconfirmed"
    """It had a job whose JobCompleted never came: its registration may still be there."""
    SETTLED = "settled"
    """Nothing more is expected."""


class Evidence(StrEnum):
    """What may be heard of a runner after its end."""

    JOB_STARTED = "job-started"
    JOB_COMPLETED = "job-completed"
    TIME_UP = "time-up"
    """The outcome's waiting time has passed without a message."""
    TIME_UP_UNSERVED = "time-up-unserved"
    """It has passed, but GitHub could not have told: no session, or no answer."""


WAITS = {
    Outcome.HAD_JOB: WAIT_SECONDS,
    Outcome.PROBABLY_HAD_JOB: BRIEF_SECONDS,
    Outcome.UNREGISTERED: BRIEF_SECONDS,
    Outcome.UNPROVEN: WAIT_SECONDS - BRIEF_SECONDS,
}
"""Seconds until `TIME_UP` for each outcome that waits for a message."""

_S, _X, _O, _V = SlotState, Exit, Outcome, Evidence

FIRST: dict[tuple[SlotState, Exit], Outcome] = {
    (_S.EMPTY, _X.REMOVED): _O.SETTLED,
    (_S.EMPTY, _X.CLEAN): _O.SETTLED,
    (_S.EMPTY, _X.CLEAN_YOUNG): _O.SETTLED,
    (_S.EMPTY, _X.FAILED): _O.SETTLED,
    (_S.WAITING, _X.REMOVED): _O.SETTLED,
    (_S.WAITING, _X.CLEAN): _O.SETTLED,
    (_S.WAITING, _X.CLEAN_YOUNG): _O.SETTLED,
    (_S.WAITING, _X.FAILED): _O.SETTLED,
    (_S.STARTING, _X.REMOVED): _O.SETTLED,
    (_S.STARTING, _X.CLEAN): _O.SETTLED,
    (_S.STARTING, _X.CLEAN_YOUNG): _O.SETTLED,
    (_S.STARTING, _X.FAILED): _O.SETTLED,
    (_S.IDLE, _X.REMOVED): _O.SETTLED,
    (_S.IDLE, _X.CLEAN): _O.UNREGISTERED,
    (_S.IDLE, _X.CLEAN_YOUNG): _O.PROBABLY_HAD_JOB,
    (_S.IDLE, _X.FAILED): _O.FAILED,
    (_S.BUSY, _X.REMOVED): _O.HAD_JOB,
    (_S.BUSY, _X.CLEAN): _O.HAD_JOB,
    (_S.BUSY, _X.CLEAN_YOUNG): _O.HAD_JOB,
    (_S.BUSY, _X.FAILED): _O.HAD_JOB,
    (_S.FINISHING, _X.REMOVED): _O.SETTLED,
    (_S.FINISHING, _X.CLEAN): _O.SETTLED,
    (_S.FINISHING, _X.CLEAN_YOUNG): _O.SETTLED,
    (_S.FINISHING, _X.FAILED): _O.SETTLED,
    (_S.RETIRING, _X.REMOVED): _O.SETTLED,
    (_S.RETIRING, _X.CLEAN): _O.SETTLED,
    (_S.RETIRING, _X.CLEAN_YOUNG): _O.SETTLED,
    (_S.RETIRING, _X.FAILED): _O.SETTLED,
    (_S.REMOVING, _X.REMOVED): _O.SETTLED,
    (_S.REMOVING, _X.CLEAN): _O.SETTLED,
    (_S.REMOVING, _X.CLEAN_YOUNG): _O.SETTLED,
    (_S.REMOVING, _X.FAILED): _O.SETTLED,
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
    (_O.HAD_JOB, _V.TIME_UP): _O.UNCONFIRMED,
    (_O.HAD_JOB, _V.TIME_UP_UNSERVED): _O.UNCONFIRMED,
    (_O.PROBABLY_HAD_JOB, _V.JOB_STARTED): _O.HAD_JOB,
    (_O.PROBABLY_HAD_JOB, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.PROBABLY_HAD_JOB, _V.TIME_UP): _O.UNPROVEN,
    (_O.PROBABLY_HAD_JOB, _V.TIME_UP_UNSERVED): _O.UNPROVEN,
    (_O.UNREGISTERED, _V.JOB_STARTED): _O.HAD_JOB,
    (_O.UNREGISTERED, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.UNREGISTERED, _V.TIME_UP): _O.SETTLED,
    (_O.UNREGISTERED, _V.TIME_UP_UNSERVED): _O.SETTLED,
    (_O.UNPROVEN, _V.JOB_STARTED): _O.HAD_JOB,
    (_O.UNPROVEN, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.UNPROVEN, _V.TIME_UP): _O.FAILED,
    (_O.UNPROVEN, _V.TIME_UP_UNSERVED): _O.UNPROVEN,
    (_O.FAILED, _V.JOB_STARTED): _O.FAILED,
    (_O.FAILED, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.FAILED, _V.TIME_UP): _O.FAILED,
    (_O.FAILED, _V.TIME_UP_UNSERVED): _O.FAILED,
    (_O.UNCONFIRMED, _V.JOB_STARTED): _O.UNCONFIRMED,
    (_O.UNCONFIRMED, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.UNCONFIRMED, _V.TIME_UP): _O.UNCONFIRMED,
    (_O.UNCONFIRMED, _V.TIME_UP_UNSERVED): _O.UNCONFIRMED,
    (_O.SETTLED, _V.JOB_STARTED): _O.SETTLED,
    (_O.SETTLED, _V.JOB_COMPLETED): _O.SETTLED,
    (_O.SETTLED, _V.TIME_UP): _O.SETTLED,
    (_O.SETTLED, _V.TIME_UP_UNSERVED): _O.SETTLED,
}
assert NEXT.keys() == set(product(Outcome, Evidence)), "every outcome must answer every evidence"


def classify(state: SlotState, ended: Exit) -> Outcome:
    """What a runner was that ended in `state`."""
    return FIRST[state, ended]


def reconsider(outcome: Outcome, evidence: Evidence) -> Outcome:
    """What it is held to have been once `evidence` is known, too."""
    return NEXT[outcome, evidence]
