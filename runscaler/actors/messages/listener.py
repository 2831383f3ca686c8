"""What a listener receives."""

from __future__ import annotations

from dataclasses import dataclass

from runscaler.actors.messages.shared import UseSettings


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Sent to itself, now or as a deadline: connect or poll, whatever is next.

    Only the latest `turn` counts, so that there is never more than one chain of polls.
    """

    turn: int


@dataclass(frozen=True, slots=True)
class BatchHandled:
    """The scale set has handled the batch, or with None the `SessionOpened`.

    Acquire the jobs with these request ids, then acknowledge the batch and go on polling.
    """

    batch_id: int | None
    acquire: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reconnect:
    """No poll has returned for too long: open a new session. Sent along with the listener's interrupt."""


@dataclass(frozen=True, slots=True)
class RefreshStatistics:
    """The last statistics contradict other facts: get new ones by refreshing the session (fault F66)."""


@dataclass(frozen=True, slots=True)
class AnnounceCapacity:
    """`max-runners` has changed: poll with this capacity from now on. Sent with the interrupt."""

    capacity: int


@dataclass(frozen=True, slots=True)
class FindOffers:
    """Ask GitHub which jobs are on offer. Answered with `OffersFound`."""


@dataclass(frozen=True, slots=True)
class LeaveSession:
    """Close the session, and open no other: no new jobs. Sent with the interrupt."""


@dataclass(frozen=True, slots=True)
class EnterSession:
    """The opposite of `LeaveSession`: take jobs again. Sent with the interrupt."""


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End: close the session, delete the scale set if told to. Sent along with the listener's interrupt."""

    delete_scale_set: bool


ListenerMessage = (
    TakeTurn | BatchHandled | AnnounceCapacity | Reconnect | RefreshStatistics | FindOffers
    | LeaveSession | EnterSession | CloseSession | UseSettings
)  # fmt: skip
