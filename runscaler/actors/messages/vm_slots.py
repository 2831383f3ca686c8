"""What `TartSlotActor` receives in addition to what every keeper does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import HoldReportsOverdue

if TYPE_CHECKING:
    from runscaler.actors.messages.shared import Ref
    from runscaler.backends.base import Place, WarmResource
    from runscaler.names import Generation, ScaleSetKey, SlotNumber


@dataclass(frozen=True, slots=True)
class ClaimVmSlot:
    """A slot of a scale set wants a VM slot. Answered with `ClaimGranted` when it gets one."""

    key: ScaleSetKey
    ref: Ref
    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class ReleaseVmSlot:
    """The slot no longer holds a VM slot, or no longer wants one. Idempotent.

    `vm_limit_reached`: the start failed because the host refused to run one more VM. `unused`: perhaps no
    runner was started in it, so a warm VM that was granted with it may still be there.
    """

    key: ScaleSetKey
    slot: SlotNumber
    vm_limit_reached: bool = False
    unused: bool = False


@dataclass(frozen=True, slots=True)
class HoldVmSlots:
    """The runners of the scale set hold these VM slots.

    `all_of_them`: the report is complete; it follows the first inventory and a restart of this actor. Else
    the VM slots are additional, as runners were adopted later.
    """

    key: ScaleSetKey
    held: tuple[tuple[SlotNumber, Place], ...]
    all_of_them: bool = False


@dataclass(frozen=True, slots=True)
class WarmVmsFound:
    """From a worker: the warm VMs that an earlier process left. `trouble`: why they could not be listed."""

    found: tuple[WarmResource, ...]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class WarmVmReady:
    """From a worker: a warm VM has booted."""

    warm: WarmResource


@dataclass(frozen=True, slots=True)
class WarmBootFailed:
    """From a worker. `vm_limit_reached`: the host refused to run one more VM, which is no failure."""

    place: Place
    kind: str
    reason: str
    vm_limit_reached: bool = False


@dataclass(frozen=True, slots=True)
class WarmVmRemoved:
    """From a worker."""

    place: Place


@dataclass(frozen=True, slots=True)
class WarmRemovalFailed:
    """From a worker; the removal is retried until it succeeds."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class GrantingDue:
    """Own deadline: look again, as a VM slot may be free now, or a warm VM too old."""


@dataclass(frozen=True, slots=True)
class RetryWarmRemoval:
    """Own deadline: try to remove a warm VM again."""

    vm_slot: int


@dataclass(frozen=True, slots=True)
class StopTimedOut:
    """Own deadline: the stop no longer waits for warm VMs to be removed."""


@dataclass(frozen=True, slots=True)
class StopWarming:
    """The scale set is stopping: boot no more warm VMs for it. `keep`: those that are ready stay."""

    key: ScaleSetKey
    keep: bool


@dataclass(frozen=True, slots=True)
class ResumeWarming:
    """The opposite of `StopWarming`."""

    key: ScaleSetKey


VmSlotMessage = (
    ClaimVmSlot | ReleaseVmSlot | HoldVmSlots | WarmVmsFound | WarmVmReady | WarmBootFailed | WarmVmRemoved
    | WarmRemovalFailed | GrantingDue | RetryWarmRemoval | HoldReportsOverdue | StopTimedOut | StopWarming
    | ResumeWarming
)  # fmt: skip
