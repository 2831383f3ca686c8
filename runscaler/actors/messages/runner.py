"""What the actor of a slot receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors.messages.shared import UseSettings

if TYPE_CHECKING:
    from runscaler.backends.base import Ending, Place, Resource
    from runscaler.github.base import ScaleSetId
    from runscaler.names import Generation, RunnerName


@dataclass(frozen=True, slots=True)
class StartRunner:
    """Register the runner and start it in `place`, until `deadline` (monotonic). `ordered_at` is when the
    demand for it was seen."""

    generation: Generation
    runner: RunnerName
    scale_set_id: ScaleSetId
    place: Place
    deadline: float
    ordered_at: float


@dataclass(frozen=True, slots=True)
class CancelStart:
    """Undo a start, whether it has finished or not. Answered with `RunnerGone`. Sent with the interrupt."""

    generation: Generation
    runner: RunnerName


@dataclass(frozen=True, slots=True)
class AdoptRunner:
    """The resource was found at the backend: it is this slot's from now on."""

    generation: Generation
    resource: Resource


@dataclass(frozen=True, slots=True)
class RetireRunner:
    """Ask GitHub to remove the registration, and then the backend whether a job runs in the runner.

    `after_job`: GitHub says that its job is completed, so the backend is not asked (docs/behaviour.md § 5.1).
    """

    generation: Generation
    scale_set_id: ScaleSetId
    after_job: bool = False


@dataclass(frozen=True, slots=True)
class RemoveRunner:
    """Remove the resource; keep trying until it is gone.

    `force`: even if it is running; `grace`: seconds that it then has, after SIGTERM, to cancel its job.
    `deregister`: GitHub may still have the registration. `prove`: it may have had a job, which its
    registration tells: look at that before removing it. `keep_output`: first save the end of its output,
    together with how it ended (`ending`).
    """

    generation: Generation
    scale_set_id: ScaleSetId
    force: bool
    deregister: bool
    keep_output: bool
    prove: bool = False
    ending: Ending | None = None
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class DeregisterRunner:
    """Remove a registration at GitHub: by id, or if that is not known (0) by name.

    A runner found by name is removed only if it is of that scale set.
    """

    runner: RunnerName
    runner_id: int
    scale_set_id: ScaleSetId


@dataclass(frozen=True, slots=True)
class CheckRegistration:
    """Ask GitHub whether it still knows the runner. Answered with `RegistrationChecked`."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class ProveEnd:
    """Own deadline: look again whether the runner, which has ended, is still registered."""

    runner: RunnerName


@dataclass(frozen=True, slots=True)
class RetryRemoval:
    """Try to remove the resource again: an own deadline, or the backend answers again."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class RetryDeregistration:
    """Own deadline: try all pending deregistrations again."""


@dataclass(frozen=True, slots=True)
class StopRunnerActor:
    """End, after one more attempt at the pending deregistrations."""


RunnerMessage = (
    StartRunner | CancelStart | AdoptRunner | RetireRunner | RemoveRunner | DeregisterRunner
    | CheckRegistration | RetryRemoval | RetryDeregistration | ProveEnd | StopRunnerActor | UseSettings
)  # fmt: skip
