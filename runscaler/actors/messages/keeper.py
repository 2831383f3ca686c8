"""What a keeper receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import WorkerCrashed
from runscaler.actors.messages.vm_slots import VmSlotMessage
from runscaler.backends.base import BackendAvailable, BackendUnavailable, ResourceEnded, WatchCrashed

if TYPE_CHECKING:
    from runscaler.actors.messages.shared import Ref
    from runscaler.backends.base import Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey


@dataclass(frozen=True, slots=True)
class JoinKeeper:
    """A scale set uses this backend: tell it what happens, and unless it starts no runners any more, prepare
    its image."""

    key: ScaleSetKey
    ref: Ref
    settings: ScaleSetSettings
    starts_runners: bool = True
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ScaleSetChanged:
    """A scale set on this backend has other settings. `revision` goes up if its runners are made in another
    way: then `ImagePrepared` with it says when they can be."""

    key: ScaleSetKey
    settings: ScaleSetSettings
    revision: int


@dataclass(frozen=True, slots=True)
class LeaveKeeper:
    """The scale set has stopped. `keep`: its warm VMs stay for the next start."""

    key: ScaleSetKey
    keep: bool = False


@dataclass(frozen=True, slots=True)
class ListResources:
    """Answered with `Inventory` once a listing succeeds."""

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
    """From a worker. `image_built_at` is in wall-clock seconds, None if unknown."""

    key: ScaleSetKey
    image_built_at: float | None = None


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """From a worker."""

    key: ScaleSetKey
    reason: str
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrepareProgressed:
    """From a worker: `what` is being fetched, `percent` of it is done (None: unknown)."""

    key: ScaleSetKey
    what: str
    percent: int | None


@dataclass(frozen=True, slots=True)
class RetryPrepare:
    """From a scale set whose start found no image; or, with a `turn`, own deadline: the latest counts."""

    key: ScaleSetKey
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class VersionRefused:
    """From a scale set: GitHub refuses the version of the runner in its image, as far as can be told."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class RetryListing:
    """Own deadline after a failed listing. Only the latest `turn` counts."""

    turn: int


@dataclass(frozen=True, slots=True)
class StopKeeper:
    """End: all scale sets have stopped. `keep`: ready warm VMs stay for the next start. `tidy_up`: the
    backend removes what no runner needs any more."""

    keep: bool = False
    tidy_up: bool = False


@dataclass(frozen=True, slots=True)
class TidiedUp:
    """From a worker: what tidying up removed (empty: nothing), or why it `failed`."""

    what: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TidyingTimedOut:
    """Own deadline: the stop goes on, whatever is left."""


@dataclass(frozen=True, slots=True)
class SweepDue:
    """Own deadline: it is time for the sweep of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Swept:
    """From a worker: what the sweep did (empty: nothing), or why it `failed`; how many things it removed, and
    the bytes that became free, as far as it tells."""

    name: str
    what: str
    failed: bool = False
    removed: int = 0
    bytes: int = 0


KeeperMessage = (
    JoinKeeper | ScaleSetChanged | LeaveKeeper | ListResources | Listed | ListingFailed | RetryListing
    | Prepared | PrepareFailed | PrepareProgressed | RetryPrepare | WorkerCrashed | StopKeeper | ResourceEnded
    | BackendUnavailable | BackendAvailable | WatchCrashed | VersionRefused | SweepDue | Swept | TidiedUp
    | TidyingTimedOut
    | VmSlotMessage
)  # fmt: skip
