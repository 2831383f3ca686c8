"""A transport that keeps to GitHub's rate limits: a host that asked for a pause gets it from every caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.errors import GitHubError, RateLimited
from runscaler.github.clock_skew import ClockSkew
from runscaler.github.error_replies import exception_in, server_time
from runscaler.github.rate_limits import is_primary, requested_pause
from runscaler.github.wire import CALL_DEADLINE
from runscaler.units import format_duration

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.github.call_meter import CallMeter
    from runscaler.github.pacing import Pacer
    from runscaler.github.rate_limits import RateLimits
    from runscaler.github.transport import Transport
    from runscaler.github.wire import Reply, Request
    from runscaler.interrupt import Interrupt


class RateLimitedTransport:
    """Shared by all scale sets with the same credential, proxy and CA. Thread-safe.

    `limits` and `pacer` are those of the credential. `skew` is what the replies tell of this host's clock.
    """

    def __init__(
        self, transport: Transport, clock: Clock, limits: RateLimits, pacer: Pacer, meter: CallMeter
    ) -> None:
        self.skew = ClockSkew()
        self.meter = meter
        self._transport = transport
        self._clock = clock
        self._limits = limits
        self._pacer = pacer

    def send(self, request: Request, interrupt: Interrupt, seconds: float | None = None) -> Reply:
        """As `Transport.send`, but a reply that asks for a pause raises `RateLimited`. Until that is over,
        requests to its host raise the same and are not sent. One that comes too fast after others waits for
        its turn; it raises `RateLimited` if that would take longer than the exchange itself may."""
        self._limits.check(request)
        self._await_turn(request, interrupt, seconds)
        sent = self._clock.wall()
        reply = self._attempt(request, interrupt, seconds)
        self.skew.measure(reply, sent, self._clock.wall())
        self.meter.skewed(self.skew.seconds)
        pause = requested_pause(
            reply.status,
            reply.headers,
            reply.text,
            now=server_time(reply) or self._clock.wall(),
            in_a_row=self._limits.in_a_row(request),
        )
        if pause is None:
            self._limits.passed(request)
            return reply
        primary = is_primary(reply.headers)
        longer = self._limits.limited(request, pause, primary=primary)
        self.meter.ordered_to_wait(reply, longer)
        if not primary:
            self._pacer.limited(request.host, self._clock.monotonic() + pause)
        raise _rate_limited(request, reply, pause)

    def _attempt(self, request: Request, interrupt: Interrupt, seconds: float | None) -> Reply:
        began = self._clock.monotonic()
        try:
            reply = self._transport.send(request, interrupt, seconds)
        except GitHubError:
            self.meter.attempted(request, None, self._clock.monotonic() - began)
            raise
        self.meter.attempted(request, reply, self._clock.monotonic() - began)
        return reply

    def _await_turn(self, request: Request, interrupt: Interrupt, seconds: float | None) -> None:
        delay = self._pacer.delay(request, CALL_DEADLINE if seconds is None and not request.poll else seconds)
        if delay > 0:
            self._clock.pause(delay, interrupt)
            self._limits.check(request)

    def close(self) -> None:
        self._transport.close()


def _rate_limited(request: Request, reply: Reply, pause: float) -> RateLimited:
    why = exception_in(reply)[1]
    seconds = format_duration(round(pause))
    line = f"rate limited: could not {request.what}: {request.host} asks for a pause of {seconds}"
    line += f" ({why})" if why else ""
    line += reply.request_note
    return RateLimited(line, retry_after=pause, status=reply.status, request_id=reply.request_id)
