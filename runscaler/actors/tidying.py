"""Lets a backend tidy up before its keeper ends; a part of a keeper (docs/behaviour.md § 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors.messages import TidiedUp, TidyingTimedOut
from runscaler.backends.base import TidyBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.actors.workers import WorkerPool
    from runscaler.backends.base import Backend
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt
    from runscaler.names import ScaleSetKey

MOST_SECONDS = 30.0
"""A stop does not wait longer. What is left then, the next exit removes."""


class Tidying:
    """`interrupt` cuts it; `after` delivers a message to the keeper in so many seconds."""

    def __init__(
        self,
        after: Callable[[float, TidyingTimedOut], None],
        backend: Backend,
        workers: WorkerPool,
        interrupt: Interrupt,
    ) -> None:
        self._after, self._backend, self._workers, self._interrupt = after, backend, workers, interrupt
        self._sets: dict[ScaleSetKey, ScaleSetSettings] = {}
        self._begun = False

    def serves(self, settings: Sequence[ScaleSetSettings]) -> None:
        """The scale sets that the backend has runners of now; at the stop they have left."""
        self._sets |= {one.key: one for one in settings}

    def begin(self) -> bool:
        """Returns whether the keeper has to wait for `TidiedUp` or `TidyingTimedOut`. Begins once only, as a
        keeper may be told to stop several times."""
        backend, settings = self._backend, list(self._sets.values())
        if not isinstance(backend, TidyBackend) or self._begun:
            return self._begun
        self._begun = True
        self._after(MOST_SECONDS, TidyingTimedOut())
        self._workers.submit(
            lambda: backend.tidy_up(settings, self._interrupt),
            done=TidiedUp,
            failed=lambda error: TidiedUp(str(error), failed=True),
        )
        return True

    def ended(self, outcome: TidiedUp | TidyingTimedOut) -> None:
        name = self._backend.name
        if isinstance(outcome, TidyingTimedOut):
            logger.warning(
                "{}: tidying up took longer than {:.0f} s, it is left unfinished", name, MOST_SECONDS
            )
        elif outcome.failed:
            logger.warning("{}: tidying up failed: {}", name, outcome.what)
        elif outcome.what:
            logger.info("{}: {}", name, outcome.what)
