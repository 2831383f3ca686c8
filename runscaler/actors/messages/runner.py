"""What the actor of a slot receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.backends.base import Ending, Place, Resource
    from runscaler.github.base import ScaleSetId
    from runscaler.names import Generation, RunnerName


@dataclass(frozen=True, slots=True)
class StartRunner:
    """`deadline` is on the monotonic clock."""

    generation: Generation
    runner: RunnerName
    scale_set_id: ScaleSetId
    place: Place
    deadline: float


@dataclass(frozen=True, slots=True)
class CancelStart:
    """Undo a start, finished or not; answered with `RunnerGone`. Goes with the runner's interrupt."""

    generation: Generation
    runner: RunnerName


@dataclass(frozen=True, slots=True)
class AdoptRunner:
    """This resource is yours now."""

    generation: Generation
    resource: Resource


@dataclass(frozen=True, slots=True)
class RetireRunner:
    """Ask GitHub to remove the registration, then the backend whether a job runs inside; `after_job`:
    GitHub has called its job completed, and its word alone counts (docs/behaviour.md § 5.1, step 5)."""

    generation: Generation
    scale_set_id: ScaleSetId
    after_job: bool = False


@dataclass(frozen=True, slots=True)
class RemoveRunner:
    """Remove the resource until it is gone. `deregister`: its registration is (or may be) still
    there. `keep_output`: keep the last of its output first."""

    generation: Generation
    scale_set_id: ScaleSetId
    force: bool
    deregister: bool
    keep_output: bool
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class DeregisterRunner:
    """Remove a registration at GitHub, by name where the id is not known (0), and then only if it
    is of that scale set."""

    runner: RunnerName
    runner_id: int
    scale_set_id: ScaleSetId


@dataclass(frozen=True, slots=True)
class CheckRegistration:
    """Does GitHub still know this runner?"""

    generation: Generation


@dataclass(frozen=True, slots=True)
class RetryRemoval:
    """Own deadline."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class RetryDeregistration:
    """Own deadline."""


@dataclass(frozen=True, slots=True)
class StopRunnerActor:
    """The actor is not needed any more: settle what is owed at GitHub once, then end."""


RunnerMessage = (
    StartRunner | CancelStart | AdoptRunner | RetireRunner | RemoveRunner | DeregisterRunner
    | CheckRegistration | RetryRemoval | RetryDeregistration | StopRunnerActor
)  # fmt: skip
