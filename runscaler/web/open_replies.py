"""Replies that stay open, such as server-sent events, and hold no thread of the server while they do.

Waitress gives each reply a thread until it is complete, so that a few open streams would leave none for
`/livez`. Here the request's thread writes the head, leaves the connection open and goes back to its pool;
from then on whoever has the `OpenReply` writes to the connection's buffer, which waitress's loop sends.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.task import WSGITask

if TYPE_CHECKING:
    from collections.abc import Callable

KEEP_OPEN = "runscaler.keep_open"
"""Key of the WSGI environment: a function that takes `begin` and returns the `OpenReply` of this request.
`begin` is called with it when the head has been written, on the request's thread."""
MAX_UNSENT = 512 * 1024
"""Bytes that may wait for a client; one that is further behind is disconnected."""
SEND_BUFFER = 64 * 1024
"""Bytes that wait in the kernel, so that a client that does not read is noticed."""
UNACKNOWLEDGED_SECONDS = 60
"""A host that has vanished without a word is given up after so long (Linux)."""


class OpenReply:
    """The rest of one reply. Its methods may be called from any thread, and never block."""

    def __init__(self, channel: StreamChannel, begin: Callable[[OpenReply], None]) -> None:
        self._channel, self._begin = channel, begin
        self._chunked = False

    @property
    def is_open(self) -> bool:
        """Whether the client is there and keeps up."""
        return bool(self._channel.connected and not self._channel.will_close)

    def send(self, data: bytes) -> None:
        """Send `data`; if the client has not taken what was sent before, close its connection."""
        channel = self._channel
        with channel.outbuf_lock:
            if not self.is_open:
                return
            if channel.total_outbufs_len > MAX_UNSENT:
                channel.will_close = True
                cast("Any", channel.server).pull_trigger()
                return
            with suppress(ClientDisconnected):
                channel.write_soon(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """Complete the reply, as far as its client takes that at once."""
        if self._chunked and self.is_open:
            with suppress(ClientDisconnected):
                self._channel.write_soon(b"0\r\n\r\n")

    def begin(self, *, chunked: bool) -> None:
        self._chunked = chunked
        limit_unread(cast("socket.socket", self._channel.socket))
        self._begin(self)


def limit_unread(connection: socket.socket) -> None:
    """Let the kernel hold little for a client that does not read, and give up one that has vanished."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_SECONDS * 1000)


class StreamTask(WSGITask):
    """A request that the application may ask to keep open."""

    reply: OpenReply | None = None

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[KEEP_OPEN] = self._keep_open
        return environ

    def _keep_open(self, begin: Callable[[OpenReply], None]) -> OpenReply:
        channel = cast("StreamChannel", self.channel)
        self.reply = OpenReply(channel, begin)
        channel.leave_open(self.reply)
        return self.reply

    def finish(self) -> None:
        if self.reply is None:
            super().finish()
            return
        self.close_on_finish = False
        self.reply.begin(chunked=self.chunked_response)


class StreamChannel(HTTPChannel):
    """A connection. While its reply is open, two threads write: waitress's loop and the reply's owner."""

    task_class = StreamTask
    open_reply: OpenReply | None = None

    def leave_open(self, reply: OpenReply) -> None:
        """Answer no request after this one."""
        with cast("Any", self).requests_lock:
            self.open_reply = reply
            for request in self.requests[1:]:
                cast("Any", request).close()
            self.requests = self.requests[:1]

    def received(self, data: bytes) -> bool:
        return self.open_reply is None and bool(super().received(data))

    def readable(self) -> bool:
        """Asked on waitress's loop before each round. Waitress closes a connection only when it can be
        written to, so never one whose client does not read."""
        if self.will_close and self._is_registered:
            self.handle_close()
        return self._is_registered and bool(super().readable())

    def writable(self) -> bool:
        return self._is_registered and bool(super().writable())

    @property
    def _is_registered(self) -> bool:
        return cast("Any", self)._fileno is not None

    def handle_write(self) -> None:
        with self.outbuf_lock:
            super().handle_write()

    def shut(self) -> None:
        """Close it now, on the loop's thread. The lock keeps an `OpenReply` from what is closed next."""
        with self.outbuf_lock:
            if self.open_reply is not None:
                self.open_reply.end()
            self.close()
