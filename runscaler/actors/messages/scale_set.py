"""What a scale set receives, apart from the reports in the `from_…` modules: orders and own deadlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.from_keeper import KeeperReport
from runscaler.actors.messages.from_listener import ListenerReport
from runscaler.actors.messages.from_runner import RunnerReport
from runscaler.actors.messages.shared import ChildCrashed, Ref, RestartChild

if TYPE_CHECKING:
    from runscaler.config.changes import SetChange
    from runscaler.names import RunnerName, SlotNumber


@dataclass(frozen=True, slots=True)
class PeerReplaced:
    """The shared actor of that kind (`HOST`, `KEEPER` or `HEALTH`) was restarted and has this ref now."""

    kind: str
    ref: Ref


@dataclass(frozen=True, slots=True)
class StopScaleSet:
    """End in order. `keep`: leave the runners and the scale set as they are (`on-exit = "keep"`).

    `drain_timeout` in seconds, None: busy runners are waited for. A second order may shorten that or say
    `keep`. `reason` is shown. `delete`: at the end, delete the scale set at GitHub unless `keep` is set.
    """

    drain_timeout: float | None
    keep: bool
    reason: str = "no new jobs"
    delete: bool = True


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """The configuration was reloaded: `change` says what is different for this scale set."""

    change: SetChange


@dataclass(frozen=True, slots=True)
class HostLimitsChanged:
    """The host actor has other limits: tell it what is held, and claim again what is waited for."""


@dataclass(frozen=True, slots=True)
class DrainScaleSet:
    """Take no new jobs, and let the busy runners finish, until `ResumeScaleSet`."""


@dataclass(frozen=True, slots=True)
class ResumeScaleSet:
    """Take jobs again."""


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Sent to itself when something has changed. At most one is queued."""


@dataclass(frozen=True, slots=True)
class PlanDue:
    """Own deadline: the plan may change although nothing has happened."""


@dataclass(frozen=True, slots=True)
class LimitsDue:
    """Own deadline: a window of the schedule opens or closes."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Own deadline: compare the slots with what the backend lists."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Own deadline: publish a new snapshot."""


@dataclass(frozen=True, slots=True)
class SlotDue:
    """Own deadline: the slot's deadline may have come, unless it was moved meanwhile."""

    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class EndedRunnerDue:
    """Own deadline: the time to wait for the job messages of a runner that has ended is over."""

    runner: RunnerName


@dataclass(frozen=True, slots=True)
class DrainTimedOut:
    """Own deadline: busy runners are not waited for any longer, but removed by force."""


@dataclass(frozen=True, slots=True)
class ShutdownStepTimedOut:
    """Own deadline: a step of the stop (`what`) takes too long; go on with the next."""

    what: str


OwnDeadline = (
    MakePlan | PlanDue | LimitsDue | Reconcile | Publish | SlotDue | EndedRunnerDue | DrainTimedOut
    | ShutdownStepTimedOut | RestartChild
)  # fmt: skip
ScaleSetMessage = (
    ListenerReport | RunnerReport | KeeperReport | OwnDeadline | ChildCrashed | PeerReplaced | StopScaleSet
    | DrainScaleSet | ResumeScaleSet | ChangeSettings | HostLimitsChanged
)  # fmt: skip
