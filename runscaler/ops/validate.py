"""The checks of `runner validate`: all scale sets at the same time, within one time limit."""

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
from runscaler.policy.schedule import timetable
from runscaler.units import format_duration, format_time, in_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings

    CheckFunction = Callable[[ScaleSetSettings, Interrupt], Iterable[Finding]]
    """Checks one scale set. It may block, and must return early when the interrupt is set."""

TIMEOUT = 17.0
"""Seconds for all checks together; the check of GitHub needs slightly less to explain why nothing answers."""
MAX_PARALLEL = 16


class CheckThread(threading.Thread):
    """Runs one check of one scale set. A daemon thread, so that a hanging check cannot block the exit."""

    def __init__(
        self,
        subject: str,
        check: CheckFunction,
        settings: ScaleSetSettings,
        limit: threading.Semaphore,
        interrupt: Interrupt,
    ) -> None:
        super().__init__(name=f"check {subject} of {settings.name}", daemon=True)
        self._subject = subject
        self._check = check
        self._settings = settings
        self._limit = limit
        self._interrupt = interrupt
        self._findings: list[Finding] | None = None

    def run(self) -> None:
        crashed = [self._error(f"checking {self._subject} crashed: this is a bug, please report it")]
        with self._limit:
            found = crashed
            try:
                found = self._run_check()
            finally:
                self._findings = found

    def findings(self, timeout: float) -> list[Finding]:
        """The result; an error if the check has not ended yet, after `timeout` seconds."""
        if self._findings is None:
            return [self._error(f"{self._subject} did not answer within {format_duration(timeout)}")]
        return self._findings

    def _run_check(self) -> list[Finding]:
        name = self._settings.name
        try:
            found = self._check(self._settings, self._interrupt)
            return [replace(one, scale_set=one.scale_set or name) for one in found]
        except Interrupted:
            return [self._error(f"{self._subject} did not answer in time")]
        except RunscalerError as error:
            return [self._error(str(error), error.fixes)]

    def _error(self, message: str, fixes: Sequence[str] = ()) -> Finding:
        return Finding(Level.ERROR, message, tuple(fixes), self._settings.name)


@contextmanager
def open_checks(clock: Clock, version: str) -> Iterator[list[tuple[str, CheckFunction]]]:
    """The checks of each scale set, each with what it is about: the backend, then GitHub."""
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


def summary(settings: ScaleSetSettings) -> Finding:
    """One line with the most important settings of a scale set."""
    text = (
        f"{settings.url}: {settings.min_runners} to {settings.max_runners} runners on {settings.backend}, "
        f"runs-on: {', '.join(settings.labels)}"
    )
    return Finding(Level.OK, text, (), settings.name)


def schedule_findings(settings: ScaleSetSettings, now: float) -> list[Finding]:
    """When each window of its schedule is open next, or is now. `now` in wall-clock seconds."""
    return [_window_finding(settings, entry, now) for entry, _ in enumerate(settings.schedule, 1)]


def _window_finding(settings: ScaleSetSettings, entry: int, now: float) -> Finding:
    alone = settings.model_copy(update={"schedule": (settings.schedule[entry - 1],)})
    found = timetable(alone, now)
    window = found.window or found.next
    if window is None:
        return Finding(Level.WARNING, f"schedule, entry {entry}: no such day ever comes", (), settings.name)
    opens, closes = in_zone(window.opens_at, window.timezone), in_zone(window.closes_at, window.timezone)
    when = "now, " if found.window else ""
    when += format_time(opens) + " to " + format_time(closes, unless=opens) + f" {window.timezone}"
    text = f"schedule, entry {entry}: {window.min} to {window.max} runners {when}"
    return Finding(Level.OK, text, (), settings.name)


def check_all(
    scale_sets: Sequence[ScaleSetSettings],
    checks: Sequence[tuple[str, CheckFunction]],
    clock: Clock,
    timeout: float = TIMEOUT,
) -> list[Finding]:
    """Run each check (its subject and its function) on each scale set; returns the findings in that order."""
    limit, interrupt = threading.Semaphore(MAX_PARALLEL), Interrupt()
    threads = [
        CheckThread(subject, check, one, limit, interrupt) for one in scale_sets for subject, check in checks
    ]
    for thread in threads:
        thread.start()
    deadline = clock.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - clock.monotonic()))
    interrupt.set()
    return [finding for thread in threads for finding in thread.findings(timeout)]


def is_ok(findings: Iterable[Finding]) -> bool:
    return all(one.level is not Level.ERROR for one in findings)
