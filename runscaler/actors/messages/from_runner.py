"""What a scale set hears from the actors of its slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Resource
    from runscaler.names import Generation, RunnerName, SlotNumber


@dataclass(frozen=True, slots=True)
class RunnerUp:
    slot: SlotNumber
    generation: Generation
    resource: Resource


@dataclass(frozen=True, slots=True)
class RunnerStartFailed:
    """Nothing of it is left at the backend; its registration is being removed."""

    slot: SlotNumber
    generation: Generation
    reason: str
    fixes: tuple[str, ...]
    rate_limited: bool = False
    image_missing: bool = False
    vm_limit_reached: bool = False


@dataclass(frozen=True, slots=True)
class RetireAgreed:
    """GitHub removed the registration and the backend sees no job inside."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RetireRefused:
    """A job runs: GitHub said so, or the backend saw it."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RetireFailed:
    """GitHub could not be asked; nothing has changed."""

    slot: SlotNumber
    generation: Generation
    reason: str


@dataclass(frozen=True, slots=True)
class JobDetected:
    """The backend sees a job inside an adopted runner."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RegistrationChecked:
    """Whether GitHub knows the runner. One absence proves nothing (docs/protocol.md § 8.4)."""

    slot: SlotNumber
    generation: Generation
    known: bool


@dataclass(frozen=True, slots=True)
class DeregistrationPending:
    """A registration that nobody uses is to be removed at GitHub, however long that takes."""

    slot: SlotNumber
    runner: RunnerName
    runner_id: int


@dataclass(frozen=True, slots=True)
class DeregistrationDone:
    """It is gone."""

    slot: SlotNumber
    runner: RunnerName


@dataclass(frozen=True, slots=True)
class RunnerGone:
    """The resource is gone; `output` is where its last output was kept, if that was asked for."""

    slot: SlotNumber
    generation: Generation
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class RunnerActorStopped:
    """The slot's actor has ended as ordered, what it owed at GitHub being settled or given up."""

    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class RemovalFailed:
    """The resource could not be removed yet; tried again until it is gone."""

    slot: SlotNumber
    generation: Generation
    reason: str


SlotReport = (
    RunnerUp | RunnerStartFailed | RetireAgreed | RetireRefused | RetireFailed | RunnerGone | RemovalFailed
    | RegistrationChecked | JobDetected
)  # fmt: skip
"""About one runner in a slot: an answer about an earlier one is dropped."""
RunnerReport = SlotReport | DeregistrationPending | DeregistrationDone | RunnerActorStopped
