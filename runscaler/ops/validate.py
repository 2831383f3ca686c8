"""The work of `runner validate`: every check of every scale set, all at once, none of them for long."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from runscaler.errors import Interrupted, RunscalerError
from runscaler.findings import Finding, Level
from runscaler.interrupt import Interrupt
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings

    Ask = Callable[[ScaleSetSettings, Interrupt], Iterable[Finding]]
    """One question about one scale set; it may block, and ends early when the interrupt is set."""

PATIENCE = 12.0
"""Seconds for all checks together: a host that does not answer is a finding, not a wait."""
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
