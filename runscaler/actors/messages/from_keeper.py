"""What a scale set receives from its keeper and from the host actor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.base import ResourceEnded

if TYPE_CHECKING:
    from runscaler.backends.base import Place, Resource
    from runscaler.names import Generation, SlotNumber


@dataclass(frozen=True, slots=True)
class Inventory:
    """The resources of the scale set. `as_of` is when the listing began (monotonic)."""

    as_of: float
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class BackendDown:
    """The backend does not answer, or cannot list its resources.

    `retry_at` is when it is tried again, in monotonic seconds; None: all the time, a few seconds apart.
    """

    reason: str
    fixes: tuple[str, ...] = ()
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class BackendUp:
    """The backend answers, perhaps again: the scale set should ask for an inventory."""


@dataclass(frozen=True, slots=True)
class ImagePrepared:
    """The backend has everything that it needs to start a runner of the scale set, such as the image.

    `revision` is the one of the settings that it was prepared for (`ScaleSetChanged`). `image_built_at` is in
    wall-clock seconds, None if unknown.
    """

    revision: int = 0
    image_built_at: float | None = None


@dataclass(frozen=True, slots=True)
class ImageAbsent:
    """The opposite of `ImagePrepared`: the image is being fetched, or that has `failed` and is retried, at
    `retry_at` in monotonic seconds. `earlier_serves`: what runners are made of until then is there."""

    reason: str
    fixes: tuple[str, ...] = ()
    failed: bool = True
    retry_at: float | None = None
    earlier_serves: bool = False


@dataclass(frozen=True, slots=True)
class ClaimGranted:
    """The answer to `ClaimCapacity` or `ClaimVmSlot`. `place` is empty from the host actor."""

    slot: SlotNumber
    generation: Generation
    place: Place


@dataclass(frozen=True, slots=True)
class VmSlotsFull:
    """The scale set waits for a VM slot; `holders` says who holds them all. None: it waits no longer."""

    holders: str | None


@dataclass(frozen=True, slots=True)
class HostShort:
    """From the host actor: what the scale set claimed waits, as the host is short of something. None: it is
    short no more. It looks again at `look_at` (monotonic)."""

    reason: str | None
    look_at: float = 0.0


KeeperReport = (
    Inventory
    | BackendDown
    | BackendUp
    | ImagePrepared
    | ImageAbsent
    | ResourceEnded
    | ClaimGranted
    | VmSlotsFull
    | HostShort
)
