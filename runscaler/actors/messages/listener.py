"""What a listener receives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Own: connect or poll, whatever is next. Only the latest `turn` counts, so that there is never
    more than one chain of polls."""

    turn: int


@dataclass(frozen=True, slots=True)
class BatchHandled:
    """The scale set has applied the batch (None: the opening statistics): acquire these request ids,
    acknowledge, poll on."""

    batch_id: int | None
    acquire: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnnounceCapacity:
    """The number of runners the set can have at all now. Goes with the listener's interrupt."""

    capacity: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The session has been mute for too long: open a new one. Goes with the listener's interrupt."""


@dataclass(frozen=True, slots=True)
class RefreshStatistics:
    """The last statistics are not to be believed: refresh the session, whose reply has others (F66)."""


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End: close the session, delete the scale set if told. Goes with the listener's interrupt."""

    delete_scale_set: bool


ListenerMessage = TakeTurn | BatchHandled | AnnounceCapacity | Reconnect | RefreshStatistics | CloseSession
