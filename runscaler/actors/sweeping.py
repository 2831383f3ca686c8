"""A backend's periodic housekeeping: the part of the keeper that runs the backend's sweeps on a worker.

A sweep first runs one interval after it is planned, so that housekeeping does not slow down a start of the
daemon (docs/behaviour.md § 6.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors.messages import SweepDue, Swept
from runscaler.metrics import own

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.actors.workers import WorkerPool
    from runscaler.backends.base import Backend, Sweep, SweepResult
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.metrics.metrics import Metrics


class Sweeping:
    """`after` delivers a message to the keeper in so many seconds; the keeper passes it on to this part."""

    def __init__(
        self,
        after: Callable[[float, SweepDue], None],
        backend: Backend,
        workers: WorkerPool,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._metrics, self._clock = metrics, clock
        self._after, self._backend, self._workers = after, backend, workers
        self._sweeps: dict[str, Sweep] = {}

    def plan(self, settings: Sequence[ScaleSetSettings]) -> None:
        """Plan the sweeps that these scale sets ask for. One that is planned already keeps its time."""
        planned, self._sweeps = self._sweeps, {one.name: one for one in self._backend.sweeps(settings)}
        for name, sweep in self._sweeps.items():
            if name not in planned:
                self._after(sweep.interval, SweepDue(name))

    def run(self, name: str) -> None:
        """Start the sweep of that name, unless no scale set asks for it any more."""
        sweep = self._sweeps.get(name)
        if sweep is None:
            return
        self._workers.submit(
            sweep.run,
            done=lambda result: _swept(name, result),
            failed=lambda error: Swept(name, str(error), failed=True),
        )

    def swept(self, swept: Swept) -> None:
        """Log what the sweep did, and plan it again."""
        sweep = self._sweeps.get(swept.name)
        if sweep is not None:
            self._count(sweep.kind, swept)
        if swept.failed:
            logger.warning("{} failed: {}; it is tried again next time", swept.name, swept.what)
        elif swept.what:
            logger.info("{}: {}", swept.name, swept.what)
        if sweep is not None:
            self._after(sweep.interval, SweepDue(swept.name))

    def _count(self, kind: str, swept: Swept) -> None:
        self._metrics.count(own.SWEEPS_DONE, kind, "error" if swept.failed else "ok")
        if not swept.failed:
            self._metrics.publish_one(own.SWEEP_AT, self._clock.wall(), kind)
            self._metrics.count(own.SWEEP_REMOVED, kind, by=swept.removed)
            self._metrics.count(own.SWEEP_BYTES, kind, by=swept.bytes)

    def close(self) -> None:
        self._workers.close()


def _swept(name: str, result: SweepResult | str) -> Swept:
    if isinstance(result, str):
        return Swept(name, result)
    return Swept(name, result.words, removed=result.removed, bytes=result.bytes)
