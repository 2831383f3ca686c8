"""Making a call again until it succeeds or its caller's patience is over, and saying so meanwhile."""

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
SHORTEST_TRY = 5.0
_Reason = tuple[type[GitHubError], int]


class RetryReporter:
    """The calls of one scale set that are being retried; reports each change of reason once.

    Kind of error and status make a reason: request ids and seconds differ each time and tell nothing new.
    """

    def __init__(self, report: TroubleReport) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._waiting: dict[object, _Reason] = {}
        self._shown: _Reason | None = None

    @contextmanager
    def call(self) -> Iterator[Callable[[GitHubError, float], None]]:
        """Yields what to call with an error and the time of the next try; over when the call is."""
        mark = object()

        def tell(error: GitHubError, retry_at: float) -> None:
            self._tell(mark, error, retry_at)

        try:
            yield tell
        finally:
            if mark in self._waiting:
                self._over(mark)

    def _tell(self, mark: object, error: GitHubError, retry_at: float) -> None:
        reason = (type(error), error.status)
        with self._lock:
            self._waiting[mark] = reason
            if reason != self._shown:
                self._shown = reason
                self._report(Trouble.of(error, retry_at))

    def _over(self, mark: object) -> None:
        with self._lock:
            self._waiting.pop(mark, None)
            if not self._waiting and self._shown is not None:
                self._shown = None
                self._report(None)


class RetryingCaller:
    """Retries calls of one scale set by the rules of `retries`."""

    def __init__(self, clock: Clock, troubles: RetryReporter) -> None:
        self._clock = clock
        self._troubles = troubles

    def call_with_retries(
        self,
        attempt: Callable[[float], Result],
        interrupt: Interrupt,
        seconds: float | None,
        retry: RetryMode,
    ) -> Result:
        """The result of the first attempt that succeeds; each is told how many seconds it may take.

        Raises the last error when the next try would come after `seconds` (None: never), or at once
        when trying again cannot help; `Interrupted`.
        """
        deadline = None if seconds is None else self._clock.monotonic() + seconds
        number = 0
        with self._troubles.call() as tell:
            while True:
                try:
                    return attempt(self._allowance(deadline))
                except GitHubError as error:
                    delay = delay_before_retry(error, number, retry, self._clock.jitter)
                    retry_at = self._clock.monotonic() + (delay or 0.0)
                    if delay is None or (deadline is not None and retry_at >= deadline):
                        raise
                    tell(error, retry_at)
                self._clock.pause(delay, interrupt)
                number += 1

    def _allowance(self, deadline: float | None) -> float:
        if deadline is None:
            return CALL_DEADLINE
        return min(CALL_DEADLINE, max(SHORTEST_TRY, deadline - self._clock.monotonic()))
