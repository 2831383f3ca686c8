"""The work of `runner validate`: every check of every scale set, all at once, none of them for long."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendContext
from runscaler.backends.registry import factory_for
from runscaler.errors import Interrupted, RunscalerError
from runscaler.findings import Finding, Level
from runscaler.github.check import check_github
from runscaler.github.identity import Identity
from runscaler.github.pool import TransportPool
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings

    Ask = Callable[[ScaleSetSettings, Interrupt], Iterable[Finding]]
    """One question about one scale set; it may block, and ends early when the interrupt is set."""

PATIENCE = 17.0
"""Seconds for all checks together, a little more than GitHub's own takes to say why nothing answers."""
AT_ONCE = 16


class Check(threading.Thread):
    """One question on a thread of its own, a daemon: what hangs must not keep the program from ending."""

    def __init__(
        self,
        about: str,
        ask: Ask,
        settings: ScaleSetSettings,
        gate: threading.Semaphore,
        interrupt: Interrupt,
    ) -> None:
        super().__init__(name=f"check {about} of {settings.name}", daemon=True)
        self._about = about
        self._ask = ask
        self._settings = settings
        self._gate = gate
        self._interrupt = interrupt
        self._findings: list[Finding] | None = None

    def run(self) -> None:
        crashed = [
            self._error(f"checking {self._about} failed in an unexpected way: a bug, please report it")
        ]
        with self._gate:
            found = crashed
            try:
                found = self._answer()
            finally:
                self._findings = found

    def findings(self, patience: float) -> list[Finding]:
        """What it found; where it has not answered, that."""
        if self._findings is None:
            return [self._error(f"{self._about} did not answer within {format_duration(patience)}")]
        return self._findings

    def _answer(self) -> list[Finding]:
        name = self._settings.name
        try:
            found = self._ask(self._settings, self._interrupt)
            return [replace(one, scale_set=one.scale_set or name) for one in found]
        except Interrupted:
            return [self._error(f"{self._about} did not answer in time")]
        except RunscalerError as error:
            return [self._error(str(error), error.fixes)]

    def _error(self, message: str, fixes: Sequence[str] = ()) -> Finding:
        return Finding(Level.ERROR, message, tuple(fixes), self._settings.name)


@contextmanager
def questions(clock: Clock, version: str) -> Iterator[list[tuple[str, Ask]]]:
    """What the world outside is asked about each set: its backend, then GitHub."""
    pool, identity = TransportPool(clock), Identity(version)

    def backend(settings: ScaleSetSettings, _interrupt: Interrupt) -> list[Finding]:
        context = BackendContext(new_owner_id(), None, clock)
        opened = factory_for(settings.backend).create(settings, context)
        try:
            return opened.check(settings)
        finally:
            opened.close()

    def github(settings: ScaleSetSettings, interrupt: Interrupt) -> list[Finding]:
        return check_github(settings, clock=clock, pool=pool, identity=identity, interrupt=interrupt)

    try:
        yield [("the backend", backend), ("GitHub", github)]
    finally:
        pool.close()


def settings_of(settings: ScaleSetSettings) -> Finding:
    """One line of what the set is, as its settings say it."""
    text = (
        f"{settings.url}: {settings.min_runners} to {settings.max_runners} runners on {settings.backend}, "
        f"runs-on: {', '.join(settings.labels)}"
    )
    return Finding(Level.OK, text, (), settings.name)


def check_all(
    scale_sets: Sequence[ScaleSetSettings],
    asks: Sequence[tuple[str, Ask]],
    clock: Clock,
    patience: float = PATIENCE,
) -> list[Finding]:
    """Ask each of `asks` (what it is about, the question) of each set; findings stand in that order."""
    gate, interrupt = threading.Semaphore(AT_ONCE), Interrupt()
    checks = [Check(about, ask, one, gate, interrupt) for one in scale_sets for about, ask in asks]
    for check in checks:
        check.start()
    deadline = clock.monotonic() + patience
    for check in checks:
        check.join(max(0.0, deadline - clock.monotonic()))
    interrupt.set()
    return [finding for check in checks for finding in check.findings(patience)]


def is_ok(findings: Iterable[Finding]) -> bool:
    return all(one.level is not Level.ERROR for one in findings)
