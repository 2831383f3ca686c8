"""What a scale set receives beside its children's and its keeper's reports: orders and own deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.from_keeper import KeeperReport
from runscaler.actors.messages.from_listener import ListenerReport
from runscaler.actors.messages.from_runner import RunnerReport
from runscaler.actors.messages.shared import ChildCrashed, Ref, RestartChild

if TYPE_CHECKING:
    from runscaler.names import RunnerName, SlotNumber


@dataclass(frozen=True, slots=True)
class PeerReplaced:
    """Host or the keeper crashed and is back under this ref: claim places anew, ask for an inventory."""

    kind: str
    ref: Ref


@dataclass(frozen=True, slots=True)
class StopScaleSet:
    """End in good order. `keep`: leave runners and scale set as they are (`on-exit = "keep"`)."""

    drain_timeout: float
    keep: bool


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Own: the view has changed; at most one is in flight."""


@dataclass(frozen=True, slots=True)
class PlanDue:
    """Own deadline: time alone may have changed the plan."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Own deadline: compare with the backend's list."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Own deadline: the snapshot on the board is stale."""


@dataclass(frozen=True, slots=True)
class SlotDue:
    """Own deadline: the slot's own deadline may have come (it may have moved meanwhile)."""

    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class EndedRunnerDue:
    """Own deadline: no JobCompleted came for a runner that ended with a job."""

    runner: RunnerName


@dataclass(frozen=True, slots=True)
class DrainTimedOut:
    """Own deadline: busy runners are removed by force now."""


@dataclass(frozen=True, slots=True)
class ShutdownStepTimedOut:
    """Own deadline: a step of the stop (`what`) has taken too long; go on without its answer."""

    what: str


OwnDeadline = (
    MakePlan | PlanDue | Reconcile | Publish | SlotDue | EndedRunnerDue | DrainTimedOut | ShutdownStepTimedOut
    | RestartChild
)  # fmt: skip
ScaleSetMessage = (
    ListenerReport | RunnerReport | KeeperReport | OwnDeadline | ChildCrashed | PeerReplaced | StopScaleSet
)
