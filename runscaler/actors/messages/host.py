"""What the host actor receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import HoldReportsOverdue

if TYPE_CHECKING:
    from runscaler.actors.messages.shared import Ref
    from runscaler.names import Generation, ScaleSetKey, SlotNumber


@dataclass(frozen=True, slots=True)
class ClaimCapacity:
    """A slot wants a place under the host's cap; answered with `ClaimGranted`, perhaps much later."""

    key: ScaleSetKey
    ref: Ref
    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class ReleaseCapacity:
    """The slot is empty, or no longer wants one. Harmless when repeated."""

    key: ScaleSetKey
    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class HoldCapacity:
    """The scale set holds these slots: `all_of_them` where it has just learnt what there is (or tells a
    new Host), else one more that it adopted."""

    key: ScaleSetKey
    slots: tuple[SlotNumber, ...]
    all_of_them: bool = False


@dataclass(frozen=True, slots=True)
class StopHost:
    """All scale sets are down."""


HostMessage = ClaimCapacity | ReleaseCapacity | HoldCapacity | HoldReportsOverdue | StopHost
