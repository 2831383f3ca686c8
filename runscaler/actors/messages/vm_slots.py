"""What the actor of the host's VM slots receives, beside what every keeper does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.actors.messages.shared import Ref
    from runscaler.backends.base import Place, WarmResource
    from runscaler.names import Generation, ScaleSetKey, SlotNumber


@dataclass(frozen=True, slots=True)
class ClaimVmSlot:
    """A slot wants one of the host's VM slots; answered with `PlaceGranted`, perhaps much later."""

    key: ScaleSetKey
    ref: Ref
    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class ReturnVmSlot:
    """The slot is empty, or no longer wants one. `refused`: the host would not run another VM; `unused`:
    no runner is known to have lived there, so a warm VM that came with it may be there still."""

    key: ScaleSetKey
    slot: SlotNumber
    refused: bool = False
    unused: bool = False


@dataclass(frozen=True, slots=True)
class HoldVmSlots:
    """The scale set holds these: `all_of_them` where it has just learnt what there is, or this actor is
    new, else some that it took over."""

    key: ScaleSetKey
    held: tuple[tuple[SlotNumber, Place], ...]
    all_of_them: bool = False


@dataclass(frozen=True, slots=True)
class WarmOnesFound:
    """From a worker: what an earlier process left in the pool; `trouble` if that cannot be told."""

    found: tuple[WarmResource, ...]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class WarmReady:
    """From a worker."""

    warm: WarmResource


@dataclass(frozen=True, slots=True)
class WarmFailed:
    """From a worker. `no_place`: the host would not run another VM, which is no failure."""

    place: Place
    kind: str
    reason: str
    no_place: bool = False


@dataclass(frozen=True, slots=True)
class Cooled:
    """From a worker: it is gone."""

    place: Place


@dataclass(frozen=True, slots=True)
class CoolingFailed:
    """From a worker; tried again until it is gone."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class LookForPlaces:
    """Own deadline: a slot of the host may be free now, or a warm VM too old."""


@dataclass(frozen=True, slots=True)
class CoolAgain:
    """Own deadline."""

    vm_slot: int


@dataclass(frozen=True, slots=True)
class LeaveOver:
    """Own deadline: the end does not wait any longer."""


@dataclass(frozen=True, slots=True)
class WarmNoMore:
    """The scale set is stopping: no new warm VM for it. `keep`: those that are ready stay."""

    key: ScaleSetKey
    keep: bool


@dataclass(frozen=True, slots=True)
class WaitForHolders:
    """Own deadline: scale sets that cannot say what they hold do not hold up the others."""


VmSlotMessage = (
    ClaimVmSlot | ReturnVmSlot | HoldVmSlots | WarmOnesFound | WarmReady | WarmFailed | Cooled
    | CoolingFailed | LookForPlaces | CoolAgain | WaitForHolders | LeaveOver | WarmNoMore
)  # fmt: skip
