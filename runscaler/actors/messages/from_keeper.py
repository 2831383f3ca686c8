"""What a scale set hears from its keeper and the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.base import ResourceEnded

if TYPE_CHECKING:
    from runscaler.backends.base import Place, Resource
    from runscaler.names import Generation, SlotNumber


@dataclass(frozen=True, slots=True)
class Inventory:
    """The scale set's resources; `as_of` is when the listing began (monotonic)."""

    as_of: float
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class BackendDown:
    reason: str
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendUp:
    """It answers (again): an inventory is due."""


@dataclass(frozen=True, slots=True)
class ImagePrepared:
    """The runner image and what belongs to it are present."""


@dataclass(frozen=True, slots=True)
class ImageAbsent:
    """They are not: still on their way, or `failed`; the keeper tries again by itself."""

    reason: str
    fixes: tuple[str, ...] = ()
    failed: bool = True


@dataclass(frozen=True, slots=True)
class ClaimGranted:
    slot: SlotNumber
    generation: Generation
    place: Place


@dataclass(frozen=True, slots=True)
class VmSlotsFull:
    """The host runs as many VMs as it may; `holders` are who holds its VM slots, for people. None: this
    scale set waits for none any more."""

    holders: str | None


KeeperReport = (
    Inventory
    | BackendDown
    | BackendUp
    | ImagePrepared
    | ImageAbsent
    | ResourceEnded
    | ClaimGranted
    | VmSlotsFull
)
