"""The health server: binds its port before anything else starts, then runs waitress on its own threads."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Protocol, cast

from loguru import logger
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from runscaler.errors import HostError
from runscaler.threads import error_text, start_thread
from runscaler.web.connections import OPTIONS, SILENT, TcpAcceptor, UnixAcceptor

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from runscaler.web.connections import Acceptor
    from runscaler.web.open_replies import StreamChannel

THREADS = 8
"""Waitress needs one thread for each reply in progress; with 8 a few slow clients block nobody."""
IDLE_SECONDS = 30
"""An idle connection is closed after this."""
STOP_SECONDS = 3
"""Time for replies in progress at a stop; the slowest, `/livez`, takes 2 s."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `HostError` that tells who uses the port (docs/behaviour.md § 12)."""
    family, address = _resolve(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can connect to it."""
    return ipaddress.ip_address(str(listener.getsockname()[0])).is_loopback


def bind_admin(path: Path) -> socket.socket | None:
    """A listening Unix socket that only this user and root may open; None if there can be none (logged).

    Its directory must be ours alone, and locked: what another process left there is replaced.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(16)
    except OSError as error:
        listener.close()
        logger.warning("no admin socket, so no `runner drain` and `runner logs`: {}: {}", path, error)
        return None
    return listener


class HealthServer:
    """Serves `app` on a duplicate of `listener`: the port stays bound, and another server can follow.

    `crashed` is called, on the server's own thread, if that ends with an error.
    """

    def __init__(
        self,
        listener: socket.socket,
        app: WSGIApplication,
        crashed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._listener = listener
        self._app = _said(app)
        self._crashed = crashed
        self._server: Acceptor | None = None
        self._thread: threading.Thread | None = None

    @property
    def serving(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start serving; returns at once."""
        server = self._server = self._accepting(self._listener.dup())
        self._thread = start_thread(lambda: self._run(server), "health-server", self._crashed)

    def _accepting(self, listener: socket.socket) -> Acceptor:
        """As `waitress.create_server` makes one, with our own class."""
        settings = Adjustments(
            sockets=[listener],
            threads=THREADS,
            ident="runner",
            clear_untrusted_proxy_headers=True,
            channel_timeout=IDLE_SECONDS,
            asyncore_use_poll=True,
            **OPTIONS,
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.logger = dispatcher.queue_logger = SILENT
        dispatcher.set_thread_count(THREADS)
        kind = UnixAcceptor if listener.family == socket.AF_UNIX else TcpAcceptor
        return kind(
            self._app,
            {},
            True,
            listener,
            dispatcher=dispatcher,
            adj=settings,
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
        )

    def _run(self, server: Acceptor) -> None:
        server.run()
        if self._server is server:
            raise RuntimeError("the loop of the health server has ended by itself")

    def stop(self) -> None:
        """Finish the replies in progress, then stop. Harmless if repeated, not started or crashed."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        if not self.serving:
            server.task_dispatcher.shutdown(timeout=STOP_SECONDS)
            _end_loop(server)
            server.close()
            return
        on_loop = cast("Trigger", server.trigger).pull_trigger
        on_loop(lambda: setattr(server, "accepting", False))
        server.task_dispatcher.shutdown(timeout=STOP_SECONDS)
        on_loop(lambda: _end_loop(server))
        self._thread.join(STOP_SECONDS)
        if not self.serving:
            server.close()


def _said(app: WSGIApplication) -> WSGIApplication:
    """The application; what it raises is ours to mend, and logged."""

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except Exception as error:
            logger.error("the health server cannot answer a request: {}", error_text(error))
            raise

    return served


class Servers:
    """A running server for each listening socket and its application; `crashed` as for each of them."""

    def __init__(
        self, apps: Sequence[tuple[socket.socket, WSGIApplication]], crashed: Callable[[str], None]
    ) -> None:
        self._servers = [HealthServer(listener, app, crashed) for listener, app in apps]
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        for server in self._servers:
            server.stop()


class Trigger(Protocol):
    """How to run a function on waitress's thread; missing in its type stubs."""

    def pull_trigger(self, thunk: Callable[[], None], /) -> None: ...

    def del_channel(self) -> None: ...


def _end_loop(server: Acceptor) -> None:
    """Close all channels. Runs on the loop's thread, and the loop ends when it has no channel left.

    `pull_trigger` writes to the trigger's pipe. If the pipe were closed too early, its file descriptor could
    belong to another file by then. Therefore the pipe is closed only when no worker runs any more; a worker
    that still runs pulls the trigger when it ends, and then the pipe and the loop's thread are left open.
    """
    for channel in list(cast("dict[int, StreamChannel]", server.active_channels).values()):
        channel.shut()
    if not server.task_dispatcher.threads:
        cast("Trigger", server.trigger).del_channel()
        server.del_channel()


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str | int | bytes, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise HostError(
            f"health-host {host!r} cannot be resolved: {error.strerror or error}",
            fixes=('use an address of this host, such as health-host = "127.0.0.1"',),
        ) from error
    family, _, _, _, address = found[0]
    return family, address


def _refused(host: str, port: int, error: OSError) -> HostError:
    if error.errno == errno.EADDRINUSE:
        return HostError(
            f"health port {port} on {host} is in use{_port_user(port)}",
            fixes=("choose another port with --health-port (0: no health server)", "stop the other program"),
        )
    if error.errno == errno.EACCES:
        return HostError(
            f"health port {port} on {host} is not allowed for this user",
            fixes=("use a port above 1023 with --health-port",),
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return HostError(
            f"health-host {host} is not an address of this host",
            fixes=("use --health-host 127.0.0.1, or 0.0.0.0 for all addresses",),
        )
    return HostError(f"health port {port} on {host} cannot be opened: {error.strerror}")


def _port_user(port: int) -> str:
    """Which process listens on the port: " by nginx (pid 12)"; empty if this user may not know."""
    import psutil

    try:
        for one in psutil.net_connections(kind="tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr[1:2] == (port,) and one.pid:
                return f" by {psutil.Process(one.pid).name()} (pid {one.pid})"
    except (psutil.Error, OSError):
        pass
    return ""
