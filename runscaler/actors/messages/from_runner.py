"""What a scale set receives from the actors of its slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.metrics.words import FailureReason
from runscaler.status import NO_PHASES

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Resource
    from runscaler.names import Generation, RunnerName, SlotNumber
    from runscaler.status import StartPhases


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The start has succeeded; `phases` says how long each part of it took, `reaction` how long it was until
    the resource began to be made, without GitHub's answer."""

    slot: SlotNumber
    generation: Generation
    resource: Resource
    phases: StartPhases = NO_PHASES
    reaction: float = 0.0


@dataclass(frozen=True, slots=True)
class RunnerStartFailed:
    """Nothing is left at the backend; the registration, if there is one, is being removed."""

    slot: SlotNumber
    generation: Generation
    reason: str
    fixes: tuple[str, ...]
    kind: FailureReason = FailureReason.START
    rate_limited: bool = False
    image_missing: bool = False
    vm_limit_reached: bool = False
    scale_set_gone: bool = False


@dataclass(frozen=True, slots=True)
class RetireAgreed:
    """GitHub has removed the registration, and the backend sees no job in the runner."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RetireRefused:
    """The runner has a job, as GitHub says or the backend sees."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RetireFailed:
    """GitHub or the backend could not be asked: whether the runner has a job is not known."""

    slot: SlotNumber
    generation: Generation
    reason: str


@dataclass(frozen=True, slots=True)
class JobDetected:
    """The backend sees a job in an adopted runner."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RegistrationChecked:
    """Whether GitHub knows the runner. A single no proves nothing (docs/protocol.md § 8.4).

    `online`: whether it is connected, None where GitHub does not tell. `last_line` is the last line of the
    output of one that may not be.
    """

    slot: SlotNumber
    generation: Generation
    known: bool
    online: bool | None = None
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class DeregistrationPending:
    """The runner may be registered at GitHub, but is not used any more: its actor deregisters it."""

    slot: SlotNumber
    runner: RunnerName
    runner_id: int


@dataclass(frozen=True, slots=True)
class DeregistrationDone:
    """The runner is not registered at GitHub any more."""

    slot: SlotNumber
    runner: RunnerName


@dataclass(frozen=True, slots=True)
class DeregistrationRefused:
    """GitHub will not remove the registration: it holds a job of that runner for running."""

    slot: SlotNumber
    runner: RunnerName


@dataclass(frozen=True, slots=True)
class EndProved:
    """A runner that has ended is still registered (it had no job), or is not (it had its job)."""

    slot: SlotNumber
    runner: RunnerName
    registered: bool


@dataclass(frozen=True, slots=True)
class OutputKept:
    """Where the output of a runner that is being removed was saved (None: nowhere), and its last line."""

    slot: SlotNumber
    generation: Generation
    output: Path | None
    last_line: str = ""


@dataclass(frozen=True, slots=True)
class RunnerGone:
    """The resource is removed."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RunnerActorStopped:
    """The slot's actor has ended as ordered. What it could not deregister is left to the next start."""

    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class RemovalFailed:
    """The resource could not be removed; the slot's actor keeps trying. Sent once for each runner."""

    slot: SlotNumber
    generation: Generation
    reason: str


SlotReport = (
    RunnerUp | RunnerStartFailed | RetireAgreed | RetireRefused | RetireFailed | RemovalFailed
    | RegistrationChecked | JobDetected | OutputKept
)  # fmt: skip
"""About the runner of a generation: dropped if the slot holds another by now."""
RegistrationReport = DeregistrationPending | DeregistrationDone | DeregistrationRefused | EndProved
"""About a registration whose runner has ended, or was never up."""
RunnerReport = SlotReport | RegistrationReport | RunnerGone | RunnerActorStopped
