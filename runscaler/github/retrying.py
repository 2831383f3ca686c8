"""Repeats a call until it succeeds or its time is up, and reports while it is being retried."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from runscaler.errors import GitHubError
from runscaler.github.base import Trouble
from runscaler.github.retry_policy import delay_before_retry
from runscaler.github.wire import CALL_DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.clock import Clock
    from runscaler.github.base import TroubleReport
    from runscaler.github.retry_policy import RetryMode
    from runscaler.interrupt import Interrupt

Result = TypeVar("Result")
SHORTEST_ATTEMPT = 5.0
_Reason = tuple[type[GitHubError], int]


class RetryReporter:
    """Knows which calls of one scale set are being retried, and reports each change of the reason once.

    A reason is the class of the error and its status, because request ids and seconds differ each time
    and say nothing new. What is reported is the reason of a call that is still being retried: when that
    call ends while another goes on for another reason, that one is reported. Thread-safe.
    """

    def __init__(self, report: TroubleReport) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._retried: dict[object, tuple[_Reason, Trouble]] = {}
        self._reported: _Reason | None = None

    @contextmanager
    def call(self) -> Iterator[Callable[[GitHubError, float], None]]:
        """One call. Yields the function to report its error and the time of the next attempt to; when the
        last call that was retried ends, None is reported."""
        key = object()

        def retry(error: GitHubError, retry_at: float) -> None:
            self._retry(key, error, retry_at)

        try:
            yield retry
        finally:
            if key in self._retried:
                self._end(key)

    def _retry(self, key: object, error: GitHubError, retry_at: float) -> None:
        reason = (type(error), error.status)
        with self._lock:
            self._retried[key] = reason, Trouble.of(error, retry_at)
            self._show(*self._retried[key])

    def _end(self, key: object) -> None:
        with self._lock:
            self._retried.pop(key, None)
            left = list(self._retried.values())
            if not left:
                self._show(None, None)
            elif self._reported not in [reason for reason, _ in left]:
                self._show(*left[-1])

    def _show(self, reason: _Reason | None, trouble: Trouble | None) -> None:
        if reason != self._reported:
            self._reported = reason
            self._report(trouble)


def _ignore(_error: GitHubError) -> None:
    """For who does not count repeated calls."""


class RetryingCaller:
    """Retries the calls of one scale set as `retry_policy` decides. Thread-safe. `repeats` is told of each
    error after which a call is made again."""

    def __init__(
        self, clock: Clock, reporter: RetryReporter, repeats: Callable[[GitHubError], None] = _ignore
    ) -> None:
        self._clock = clock
        self._repeats = repeats
        self._reporter = reporter

    def call_with_retries(
        self,
        attempt: Callable[[float], Result],
        interrupt: Interrupt,
        seconds: float | None,
        mode: RetryMode,
    ) -> Result:
        """The result of the first attempt that succeeds. Each is given the seconds that it may take.

        Raises the last error where the next attempt would come after `seconds` (None: never too late) or
        cannot help, and `Interrupted`.
        """
        deadline = None if seconds is None else self._clock.monotonic() + seconds
        number = 0
        with self._reporter.call() as report_retry:
            while True:
                try:
                    return attempt(self._allowance(deadline))
                except GitHubError as error:
                    delay = delay_before_retry(error, number, mode, self._clock.jitter)
                    retry_at = self._clock.monotonic() + (delay or 0.0)
                    if delay is None or (deadline is not None and retry_at >= deadline):
                        raise
                    report_retry(error, retry_at)
                    self._repeats(error)
                self._clock.pause(delay, interrupt)
                number += 1

    def _allowance(self, deadline: float | None) -> float:
        if deadline is None:
            return CALL_DEADLINE
        return min(CALL_DEADLINE, max(SHORTEST_ATTEMPT, deadline - self._clock.monotonic()))
