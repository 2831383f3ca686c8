"""What a keeper receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.vm_slots import VmSlotMessage
from runscaler.backends.base import BackendAvailable, BackendUnavailable, ResourceEnded

if TYPE_CHECKING:
    from runscaler.actors.messages.shared import Ref
    from runscaler.backends.base import Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey


@dataclass(frozen=True, slots=True)
class JoinKeeper:
    """A scale set lives on this thing: tell it of ends and availability, prepare its image."""

    key: ScaleSetKey
    ref: Ref
    settings: ScaleSetSettings


@dataclass(frozen=True, slots=True)
class LeaveKeeper:
    """The scale set is gone from here; `keep`: the program ends, and the next start goes on from here."""

    key: ScaleSetKey
    keep: bool = False


@dataclass(frozen=True, slots=True)
class ListResources:
    """Answered with `Inventory`, or not at all while the thing is down (`BackendUp` comes then)."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class Listed:
    """From a worker; `as_of` is when the listing began (monotonic)."""

    as_of: float
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class ListingFailed:
    """From a worker."""

    reason: str
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """From a worker."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class PreparingFailed:
    """From a worker."""

    key: ScaleSetKey
    reason: str
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparingGoesOn:
    """From a worker: `what` is being fetched, `percent` of it is here (None: unknown)."""

    key: ScaleSetKey
    what: str
    percent: int | None


@dataclass(frozen=True, slots=True)
class PrepareAgain:
    """From a scale set whose start found the image missing; with a `turn` the keeper's own deadline,
    of which only the latest counts."""

    key: ScaleSetKey
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class ListAgain:
    """Own deadline: the last listing failed. Only the latest `turn` counts."""

    turn: int


@dataclass(frozen=True, slots=True)
class WorkerCrashed:
    """From a worker: something escaped that no backend may raise; the keeper crashes with it."""

    error: str


@dataclass(frozen=True, slots=True)
class StopKeeper:
    """All scale sets are down. `keep`: warm resources stay for the next start."""

    keep: bool = False


@dataclass(frozen=True, slots=True)
class SweepDue:
    """Own deadline: the sweep of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Swept:
    """From a worker: what the sweep did, or (`failed`) why it did not; empty: nothing."""

    name: str
    what: str
    failed: bool = False


KeeperMessage = (
    JoinKeeper | LeaveKeeper | ListResources | Listed | ListingFailed | ListAgain | Prepared
    | PreparingFailed | PreparingGoesOn | PrepareAgain | WorkerCrashed | StopKeeper | ResourceEnded
    | BackendUnavailable | BackendAvailable | SweepDue | Swept | VmSlotMessage
)  # fmt: skip
