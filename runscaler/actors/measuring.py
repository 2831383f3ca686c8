"""Counts calls of a backend, and what becomes of actors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from runscaler.errors import BackendDown, BackendError, Interrupted
from runscaler.metrics import own
from runscaler.metrics.words import ActorKind, Operation, OperationResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.actors.start_timer import StartTimer
    from runscaler.clock import Clock
    from runscaler.metrics.metrics import Metrics
    from runscaler.status import StartPhases

_PREFIXES = (
    ("scale-set ", ActorKind.SCALE_SET),
    ("listener", ActorKind.LISTENER),
    ("runner ", ActorKind.RUNNER),
    ("keeper ", ActorKind.KEEPER),
    ("host", ActorKind.HOST),
    ("health", ActorKind.HEALTH),
)
_OPERATIONS = {
    False: {"create": Operation.CREATE, "start": Operation.START},
    True: {"create": Operation.CLONE, "boot": Operation.START, "start": Operation.INJECT},
}
"""What each phase of a start is, for a VM or for none."""


def kind_of_actor(name: str, *, has_vm_slots: bool = False) -> ActorKind:
    """By the name under which its parent knows it."""
    if has_vm_slots:
        return ActorKind.TART_SLOTS
    return next((kind for prefix, kind in _PREFIXES if name.startswith(prefix)), ActorKind.ROOT)


def backend_and_engine(name: str) -> tuple[str, str]:
    """Of "docker unix:///var/run/docker.sock": both parts; the second is empty where there is only one."""
    kind, _, engine = name.partition(" ")
    return kind, engine


@contextmanager
def measured(metrics: Metrics, clock: Clock, backend: str, operation: Operation) -> Iterator[None]:
    """One call of the backend of that name. A call that was cut on purpose is not counted."""
    kind, began = backend_and_engine(backend)[0], clock.monotonic()
    result = OperationResult.OK
    try:
        yield
    except Interrupted:
        raise
    except BackendError as error:
        result = OperationResult.TIMEOUT if isinstance(error, BackendDown) else OperationResult.ERROR
        _count(metrics, kind, operation, result, clock.monotonic() - began)
        raise
    _count(metrics, kind, operation, result, clock.monotonic() - began)


def count_start(metrics: Metrics, backend: str, phases: StartPhases, *, is_vm: bool) -> None:
    """The calls that a start was made of."""
    kind, operations = backend_and_engine(backend)[0], _OPERATIONS[is_vm]
    for phase, operation in operations.items():
        seconds: float | None = getattr(phases, phase)
        if seconds is not None:
            _count(metrics, kind, operation, OperationResult.OK, seconds)


def count_failed_start(metrics: Metrics, backend: str, timer: StartTimer) -> None:
    """The call at which it failed, if it was one of the backend's."""
    if (operation := _OPERATIONS[timer.is_vm].get(timer.phase)) is not None:
        metrics.count(own.OPERATIONS, backend_and_engine(backend)[0], operation, OperationResult.ERROR)


def _count(
    metrics: Metrics, kind: str, operation: Operation, result: OperationResult, seconds: float
) -> None:
    metrics.count(own.OPERATIONS, kind, operation, result)
    metrics.observe(own.OPERATION_SECONDS, seconds, kind, operation)
