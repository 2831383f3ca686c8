"""One try of a call with GitHub's wishes heeded: hosts that asked for a pause get it from every caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.errors import RateLimited
from runscaler.github.error_replies import exception_in, server_time
from runscaler.github.rate_limits import HostLimits
from runscaler.github.retry_policy import asked_to_wait, is_primary
from runscaler.units import format_duration

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.github.transport import Transport
    from runscaler.github.wire import Reply, Request
    from runscaler.interrupt import Interrupt


class RateLimitedTransport:
    """One per credential; shared by all its scale sets and threads."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._limits = HostLimits(clock)

    def send(self, request: Request, interrupt: Interrupt, seconds: float | None = None) -> Reply:
        """A reply of any status but those that ask for patience: these raise `RateLimited`, as does a
        host that still waits to be left alone, without being asked. Otherwise as `Transport.send`."""
        self._limits.check(request)
        reply = self._transport.send(request, interrupt, seconds)
        asked = asked_to_wait(
            reply.status,
            reply.headers,
            reply.text,
            now=server_time(reply) or self._clock.wall(),
            repeats=self._limits.repeats(request),
        )
        if asked is None:
            self._limits.passed(request)
            return reply
        self._limits.note(request, asked, primary=is_primary(reply.headers))
        raise self._limited(request, reply, asked)

    def close(self) -> None:
        self._transport.close()

    @staticmethod
    def _limited(request: Request, reply: Reply, asked: float) -> RateLimited:
        why = exception_in(reply)[1] or "rate limit"
        pause = format_duration(round(asked))
        line = f"could not {request.what}: {request.host} asks for a pause of {pause} ({why})"
        return RateLimited(line, retry_after=asked, status=reply.status, request_id=reply.request_id)
