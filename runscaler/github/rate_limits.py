"""How long GitHub asked us to leave a host alone: whoever calls it next is told, not only who was asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runscaler.errors import RateLimited
from runscaler.units import format_duration

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.github.wire import Request

_REST = "rest "


class HostLimits:
    """The rate limits of one credential. A used-up REST budget holds up REST calls only (fault F16)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._repeats: dict[str, int] = {}

    def check(self, request: Request) -> None:
        """Raises `RateLimited` with the time that is left."""
        left = self._left(request)
        if left > 0:
            pause = format_duration(max(1, round(left)))
            line = f"could not {request.what} yet: {request.host} asks for a pause of {pause} (rate limit)"
            raise RateLimited(line, retry_after=left)

    def note(self, request: Request, seconds: float, *, primary: bool) -> None:
        """A reply asked for a pause. One to a call that was under way when a pause began repeats nothing."""
        key = (_REST if primary and request.rest else "") + request.host
        with self._lock:
            if self._left(request) <= 0:
                self._repeats[request.host] = self._repeats.get(request.host, 0) + 1
            until = self._clock.monotonic() + seconds
            self._until[key] = max(self._until.get(key, 0.0), until)

    def passed(self, request: Request) -> None:
        """A call went through: the next secondary limit starts again at a minute."""
        if self._repeats:
            with self._lock:
                self._repeats.pop(request.host, None)

    def repeats(self, request: Request) -> int:
        """How many limits came in a row before the one that a reply tells of now."""
        with self._lock:
            known = self._repeats.get(request.host, 0)
            return known if self._left(request) <= 0 else max(0, known - 1)

    def _left(self, request: Request) -> float:
        keys = (request.host, _REST + request.host) if request.rest else (request.host,)
        return max(self._until.get(key, 0.0) for key in keys) - self._clock.monotonic()
