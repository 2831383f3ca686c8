"""What the host actor receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import HoldReportsOverdue, WorkerCrashed

if TYPE_CHECKING:
    from runscaler.actors.messages.shared import Ref
    from runscaler.config.model import HostSettings
    from runscaler.names import Generation, ScaleSetKey, SlotNumber
    from runscaler.policy.host_guard import Measurement


@dataclass(frozen=True, slots=True)
class ClaimCapacity:
    """A slot wants to start a runner under the host's cap. Answered with `ClaimGranted` when it may."""

    key: ScaleSetKey
    ref: Ref
    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class ReleaseCapacity:
    """The slot no longer holds a runner, or no longer wants one. Idempotent."""

    key: ScaleSetKey
    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class HoldCapacity:
    """These slots of the scale set hold runners that were not claimed here.

    `all_of_them`: the report is complete; it follows the first inventory and a restart of the host actor.
    Else the slots are additional, as runners were adopted later.
    """

    key: ScaleSetKey
    slots: tuple[SlotNumber, ...]
    all_of_them: bool = False


@dataclass(frozen=True, slots=True)
class ExpectReports:
    """The scale sets that have runners or may have some, those not configured any more included: each will
    report what it holds already."""

    keys: frozenset[ScaleSetKey]


@dataclass(frozen=True, slots=True)
class LookAtHost:
    """Own deadline: measure what is free on this host."""


@dataclass(frozen=True, slots=True)
class HostMeasured:
    """From the worker: the result of the look with that number."""

    look: int
    measured: Measurement


@dataclass(frozen=True, slots=True)
class HostLookOverdue:
    """Own deadline: the look with that number has taken too long."""

    look: int


@dataclass(frozen=True, slots=True)
class ApplyHostSettings:
    """The configuration was reloaded. Where there is a cap now, all scale sets report what they hold."""

    settings: HostSettings


@dataclass(frozen=True, slots=True)
class StopHost:
    """End: all scale sets have stopped."""


HostMessage = (
    ClaimCapacity | ReleaseCapacity | HoldCapacity | ExpectReports | HoldReportsOverdue | LookAtHost
    | HostMeasured | HostLookOverdue | WorkerCrashed | ApplyHostSettings | StopHost
)  # fmt: skip
