"""How many connections the health port holds, and for how long: whoever can reach it may open thousands.

There is always room for one more: the oldest connection that waits for nothing but its client is closed for
it. So silence costs an attacker his own connections, and a probe that sends its request at once is answered.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Any, cast

from waitress.server import BaseWSGIServer, TcpWSGIServer, UnixWSGIServer

from runscaler.web.open_replies import StreamChannel

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

MAX_CONNECTIONS = 128
"""Each takes a file descriptor, of which a process has 1,024 by default."""
REQUEST_SECONDS = 10.0
"""A request that is not complete after so long is given up, however steadily it comes in."""
MAX_BODY = 64 * 1024
MAX_HEADER = 16 * 1024
"""Bytes of a request; none needs a body at all."""
OPTIONS: dict[str, object] = {
    "connection_limit": 2 * MAX_CONNECTIONS,  # waitress stops to accept there, so it must never be reached
    "max_request_body_size": MAX_BODY,
    "max_request_header_size": MAX_HEADER,
    "cleanup_interval": 2,
    "log_socket_errors": False,
    "expose_tracebacks": False,
}
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)

SILENT = logging.getLogger("runscaler.web.waitress")
"""What waitress has to say is of clients, with the paths of its own files: nothing for our log."""
SILENT.disabled = True


class HealthChannel(StreamChannel):
    """A connection. `request_began` is when the request that is coming in began (wall clock)."""

    logger = SILENT
    request_began = 0.0

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.request_began = self.last_activity
        return super().received(data)

    @property
    def waits_for_its_client(self) -> bool:
        return not self.requests and not self.will_close and self.open_reply is None


class Acceptor(BaseWSGIServer):
    """Accepts connections without an end, and closes others for them."""

    channel_class = HealthChannel
    logger = SILENT

    def accept(self) -> tuple[socket.socket, Any] | None:
        try:
            return super().accept()
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                self._make_room(0)
            raise

    def handle_accept(self) -> None:
        super().handle_accept()
        self._make_room(MAX_CONNECTIONS)

    def handle_error(self) -> None:
        """What waitress would answer by closing its port without a word ends the loop, and is reported."""
        raise

    def maintenance(self, now: float) -> None:
        super().maintenance(int(now))
        for channel in self._waiting():
            if channel.request is not None and now - channel.request_began > REQUEST_SECONDS:
                channel.will_close = True

    def _make_room(self, most: int) -> None:
        """Close the oldest, before the loop's next round: its descriptor may be ready in this one."""
        open_ones = [channel for channel in self._channels() if not channel.will_close]
        if len(open_ones) > most and (waiting := self._waiting()):
            min(waiting, key=lambda channel: channel.last_activity).will_close = True

    def _waiting(self) -> list[HealthChannel]:
        return [channel for channel in self._channels() if channel.waits_for_its_client]

    def _channels(self) -> Iterable[HealthChannel]:
        return cast("dict[int, HealthChannel]", self.active_channels).values()


class TcpAcceptor(Acceptor, TcpWSGIServer):
    """Of the health port."""


class UnixAcceptor(Acceptor, UnixWSGIServer):
    """Of the admin socket."""
