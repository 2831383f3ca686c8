"""What a scale set hears from its listener."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.github.base import ScaleSetId, Trouble
    from runscaler.github.messages import JobAvailable, JobEvent, Statistics


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The listener holds a session. Answered with `BatchHandled(batch_id=None, …)`, as `offers` (of
    flavour B, from before this session) may be worth acquiring. `labels` are those GitHub kept."""

    scale_set_id: ScaleSetId
    statistics: Statistics | None
    offers: tuple[JobAvailable, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScaleSetFound:
    """The scale set exists at GitHub under this id; its session is still to come."""

    scale_set_id: ScaleSetId


@dataclass(frozen=True, slots=True)
class StandbyEntered:
    """Another listener holds the scale set; tried again at `retry_at` (monotonic)."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class ListenerTroubled:
    """The listener cannot serve; it tries again by itself. None: all is well again."""

    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class CallsTroubled:
    """Calls to GitHub, of whichever actor, are made again and again; None: no more."""

    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class BatchReceived:
    """A message of the queue. Answered with `BatchHandled`; acknowledged only after that."""

    batch_id: int
    statistics: Statistics | None
    events: tuple[JobEvent, ...]
    problems: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Tells its content from that of other batches, also when it comes again under another id."""
        return hashlib.sha256(repr(self.events).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StatisticsRefreshed:
    """Statistics asked for because the last ones contradicted their batch."""

    statistics: Statistics | None


@dataclass(frozen=True, slots=True)
class NoMessageReceived:
    """A long poll ended with nothing new: plan again on the latest statistics."""


@dataclass(frozen=True, slots=True)
class ListenerStopped:
    """The session is closed; `deleted` tells whether the scale set is gone at GitHub."""

    deleted: bool


ListenerReport = (
    SessionOpened | ScaleSetFound | StandbyEntered | ListenerTroubled | CallsTroubled | BatchReceived | NoMessageReceived
    | StatisticsRefreshed | ListenerStopped
)  # fmt: skip
