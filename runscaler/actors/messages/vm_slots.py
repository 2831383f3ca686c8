"""What the actor of the host's VM slots receives, beside what every keeper does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import HoldReportsOverdue

if TYPE_CHECKING:
    from runscaler.actors.messages.shared import Ref
    from runscaler.backends.base import Place, Warm
    from runscaler.names import Generation, ScaleSetKey, SlotNumber


@dataclass(frozen=True, slots=True)
class ClaimVmSlot:
    """A slot wants one of the host's VM slots; answered with `ClaimGranted`, perhaps much later."""

    key: ScaleSetKey
    ref: Ref
    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class ReleaseVmSlot:
    """The slot is empty, or no longer wants one. `vm_limit_reached`: the host would not run another VM; `unused`:
    no runner is known to have lived there, so a warm VM that came with it may be there still."""

    key: ScaleSetKey
    slot: SlotNumber
    vm_limit_reached: bool = False
    unused: bool = False


@dataclass(frozen=True, slots=True)
class HoldVmSlots:
    """The scale set holds these: `all_of_them` where it has just learnt what there is, or this actor is
    new, else some that it took over."""

    key: ScaleSetKey
    held: tuple[tuple[SlotNumber, Place], ...]
    all_of_them: bool = False


@dataclass(frozen=True, slots=True)
class WarmVmsFound:
    """From a worker: what an earlier process left in the pool; `trouble` if that cannot be told."""

    found: tuple[Warm, ...]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class WarmVmReady:
    """From a worker."""

    warm: Warm


@dataclass(frozen=True, slots=True)
class WarmBootFailed:
    """From a worker. `vm_limit_reached`: the host would not run another VM, which is no failure."""

    place: Place
    kind: str
    reason: str
    vm_limit_reached: bool = False


@dataclass(frozen=True, slots=True)
class WarmVmRemoved:
    """From a worker: it is gone."""

    place: Place


@dataclass(frozen=True, slots=True)
class WarmRemovalFailed:
    """From a worker; tried again until it is gone."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class HandOutDue:
    """Own deadline: a slot of the host may be free now, or a warm VM too old."""


@dataclass(frozen=True, slots=True)
class RetryWarmRemoval:
    """Own deadline."""

    vm_slot: int


@dataclass(frozen=True, slots=True)
class StopTimedOut:
    """Own deadline: the end does not wait any longer."""


@dataclass(frozen=True, slots=True)
class StopWarming:
    """The scale set is stopping: no new warm VM for it. `keep`: those that are ready stay."""

    key: ScaleSetKey
    keep: bool


VmSlotMessage = (
    ClaimVmSlot | ReleaseVmSlot | HoldVmSlots | WarmVmsFound | WarmVmReady | WarmBootFailed | WarmVmRemoved
    | WarmRemovalFailed | HandOutDue | RetryWarmRemoval | HoldReportsOverdue | StopTimedOut | StopWarming
)  # fmt: skip
