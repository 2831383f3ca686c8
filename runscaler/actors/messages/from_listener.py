"""What a scale set receives from its listener."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.github.base import ScaleSetId, Trouble
    from runscaler.github.messages import JobAvailable, JobEvent, Statistics


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The listener has opened a session. Answered with `BatchHandled(None, …)`, which says what to acquire.

    `offers` are the jobs that wait to be acquired since before this session (docs/protocol.md § 6).
    """

    scale_set_id: ScaleSetId
    statistics: Statistics | None
    offers: tuple[JobAvailable, ...]


@dataclass(frozen=True, slots=True)
class ScaleSetFound:
    """The scale set exists at GitHub and has this id. It has no session yet."""

    scale_set_id: ScaleSetId


@dataclass(frozen=True, slots=True)
class StandbyEntered:
    """Another listener holds the session; the next attempt is at `retry_at` (monotonic)."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class ListenerTroubled:
    """The listener's calls fail and are retried; None: they succeed again. `has_session`: one is
    still open."""

    trouble: Trouble | None
    has_session: bool = True


@dataclass(frozen=True, slots=True)
class CallsTroubled:
    """The client repeats calls to GitHub, of any actor of the scale set; None: it no longer has to."""

    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class BatchReceived:
    """A message from the queue. Answered with `BatchHandled`; it is acknowledged only after that."""

    batch_id: int
    statistics: Statistics | None
    events: tuple[JobEvent, ...]
    problems: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Identifies the content of the batch, which may be delivered again under another id."""
        return hashlib.sha256(repr(self.events).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StatisticsRefreshed:
    """The answer to `RefreshStatistics`."""

    statistics: Statistics | None


@dataclass(frozen=True, slots=True)
class OffersFound:
    """The jobs on offer, asked for. Answered with `BatchHandled(batch_id=None, …)`."""

    offers: tuple[JobAvailable, ...]


@dataclass(frozen=True, slots=True)
class NoMessageReceived:
    """A long poll ended without a message: the latest statistics still hold."""


@dataclass(frozen=True, slots=True)
class ListenerStopped:
    """The listener has ended as ordered. `deleted`: the scale set was deleted at GitHub."""

    deleted: bool


ListenerReport = (
    SessionOpened | ScaleSetFound | StandbyEntered | ListenerTroubled | CallsTroubled | BatchReceived
    | NoMessageReceived | StatisticsRefreshed | OffersFound | ListenerStopped
)  # fmt: skip
