"""A waitress server: its connections can be observed and broken, its port can be closed for a while."""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
from contextlib import suppress
from ipaddress import IPv4Network, ip_address
from typing import TYPE_CHECKING, Any, Protocol, cast

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from runscaler.errors import HostError
from runscaler.threads import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONNECTION = "runscaler.simulator.connection"
STOP_SECONDS = 10
BACKLOG = 1024
RESET = struct.pack("ii", 1, 0)


class Trigger(Protocol):
    """Runs a function in waitress's loop (the type stubs declare this wrongly)."""

    def pull_trigger(self, thunk: Callable[[], None]) -> None: ...
    def close(self) -> None: ...


class WatchedChannel(HTTPChannel):
    """An `http_messages.Connection`."""

    keep_open = False
    """`stop_listening` does not close it, so that the reply in progress can be sent."""
    _call: Callable[[], None] | None = None

    def gone(self) -> bool:
        return not self.connected

    def when_gone(self, call: Callable[[], None] | None) -> None:
        self._call = call

    def reset_on_close(self) -> None:
        if self.socket is not None:
            with suppress(OSError):  # the client has closed it meanwhile
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def handle_close(self) -> None:
        super().handle_close()
        call = self._call
        if call is not None:
            call()


class Acceptor(TcpWSGIServer):
    """`networks` are those whose clients are served; empty: all. Others are hung up on."""

    channel_class = WatchedChannel
    networks: tuple[IPv4Network, ...] = ()

    def accept(self) -> tuple[socket.socket, Any] | None:
        accepted: tuple[socket.socket, Any] | None = super().accept()
        if accepted is None or not self.networks:
            return accepted
        connection, peer = accepted
        if any(ip_address(peer[0]) in network for network in self.networks):
            return accepted
        connection.close()
        return None


class HttpServer:
    """A WSGI application on a TCP port. `keeps_open` tells for which paths `stop_listening` leaves the
    connection open. Only clients in one of `networks` (IPv4) are served; without any, all are."""

    def __init__(
        self,
        app: WSGIApplication,
        host: str,
        port: int,
        threads: int,
        keeps_open: Callable[[str], bool],
        networks: Sequence[str] = (),
    ) -> None:
        self._networks = tuple(map(IPv4Network, networks))
        self.host, self.port = host, port
        self._app = app
        self._threads = threads
        self._keeps_open = keeps_open
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.queue_logger.setLevel(logging.ERROR)
        self._map: dict[int, Any] = {}
        self._acceptor: Acceptor | None = None
        self._trigger: Trigger | None = None
        self._loop: threading.Thread | None = None

    def start(self) -> None:
        """Returns when the port is open; raises `HostError` if it cannot be opened."""
        acceptor = self._acceptor = self._accept()
        self.port = int(acceptor.getsockname()[1])
        self._trigger = cast("Trigger", acceptor.trigger)
        self._dispatcher.set_thread_count(self._threads)
        self._loop = keep_running(acceptor.run, "simulator-server")

    def stop(self) -> None:
        """Stop the server and wait for its threads; requests in progress must end by themselves."""
        self._dispatcher.shutdown(timeout=STOP_SECONDS)
        if self._loop is not None and self._trigger is not None:
            self._trigger.pull_trigger(self._end_loop)
            self._loop.join()
            self._trigger.close()
            self._loop = None

    def stop_listening(self) -> None:
        """Close all connections and refuse new ones until `resume_listening`."""
        self._in_loop(self._close_down)

    def resume_listening(self) -> None:
        self._in_loop(self._reopen)

    def _in_loop(self, call: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        if self._trigger is not None:
            self._trigger.pull_trigger(run)
            done.wait(STOP_SECONDS)

    def _end_loop(self) -> None:
        """Close everything except the trigger, which `stop` may not have written to yet."""
        for channel in list(self._map.values()):
            if isinstance(channel, Acceptor):
                wasyncore.dispatcher.close(channel)  # its own close would also close the trigger
            elif channel is not self._trigger:
                channel.close()
        self._map.clear()

    def _close_down(self) -> None:
        if self._acceptor is None:
            return
        wasyncore.dispatcher.close(self._acceptor)
        self._acceptor = None
        for channel in list(self._map.values()):
            if isinstance(channel, WatchedChannel) and not channel.keep_open:
                channel.handle_close()

    def _reopen(self) -> None:
        if self._acceptor is None:
            self._acceptor = self._accept()

    def _accept(self) -> Acceptor:
        try:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            sock = socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise _refused(self.host, self.port, error) from error
        adjustments = Adjustments(
            connection_limit=4096,
            backlog=BACKLOG,
            channel_timeout=300,
            channel_request_lookahead=1,
            max_request_body_size=2 << 20,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,
            ident="",
        )
        acceptor = Acceptor(
            self._serve,
            self._map,
            _sock=sock,
            dispatcher=self._dispatcher,
            adj=adjustments,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )
        acceptor.networks = self._networks
        return acceptor

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        channel: WatchedChannel = environ["waitress.client_disconnected"].__self__
        channel.keep_open = self._keeps_open(environ["PATH_INFO"])
        environ[CONNECTION] = channel
        return self._app(environ, start_response)


def _refused(host: str, port: int, error: OSError) -> HostError:
    """The error without the address that `create_server` repeats after the reason."""
    reason = str(error.strerror or error).partition(" (while attempting")[0]
    text = f"the simulator cannot listen on {host}:{port}: {reason[:1].lower()}{reason[1:]}"
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        return HostError(text, fixes=("choose another port; 0 takes a free one",))
    return HostError(text, fixes=("use an address of this host, such as 127.0.0.1",))
