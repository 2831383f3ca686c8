"""A backend's periodic housekeeping, on a worker of its keeper's. A part of the keeper.

The first round of each comes one interval after the start: starts come before housekeeping
(docs/behaviour.md § 6.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler.actors.messages import SweepDue, Swept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.actors.context import Jobs
    from runscaler.backends.base import Backend, Sweep
    from runscaler.config.model import ScaleSetSettings


class Office(Protocol):
    def after(self, seconds: float, message: SweepDue, /) -> None: ...


class Sweeping:
    def __init__(self, office: Office, backend: Backend, jobs: Jobs) -> None:
        self._office, self._backend, self._jobs = office, backend, jobs
        self._sweeps: dict[str, Sweep] = {}

    def plan(self, settings: Sequence[ScaleSetSettings]) -> None:
        """What these sets ask for; those that are planned already keep their time."""
        planned, self._sweeps = self._sweeps, {one.name: one for one in self._backend.sweeps(settings)}
        for name, sweep in self._sweeps.items():
            if name not in planned:
                self._office.after(sweep.interval, SweepDue(name))

    def begin(self, name: str) -> None:
        """Its time has come."""
        sweep = self._sweeps.get(name)
        if sweep is None:
            return
        self._jobs.submit(
            sweep.run,
            done=lambda what: Swept(name, what),
            failed=lambda error: Swept(name, str(error), failed=True),
        )

    def done(self, swept: Swept) -> None:
        sweep = self._sweeps.get(swept.name)
        if swept.failed:
            logger.warning("{} failed: {}; tried again next time", swept.name, swept.what)
        elif swept.what:
            logger.info("{}: {}", swept.name, swept.what)
        if sweep is not None:
            self._office.after(sweep.interval, SweepDue(swept.name))

    def close(self) -> None:
        self._jobs.close()
