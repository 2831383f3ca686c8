"""The engine's HTTP over a Unix socket, TCP, TLS or ssh, where every call can be cut.

docker-py speaks the engine's API; below it lies one adapter with one pool of connections. (Its own
adapter for Unix sockets makes a pool for each URL, so that it hardly ever uses a connection twice.)
A connection knows which `Call` it carries, so that cutting a call a moment too late never hits the
next one on the same connection.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from requests import PreparedRequest, Response

    from runscaler.backends.docker.address import EngineAddress

CONNECT_SECONDS = 10.0
DIAL = ("docker", "system", "dial-stdio")
_guard = threading.Lock()
_thread = threading.local()


class Call:
    """One piece of work at the engine on one thread, ended early by `cut` from any other."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        """The longest silence of the engine that it bears; None: any."""
        self.is_cut = False
        self._connection: CuttableConnection | None = None

    def cut(self) -> None:
        """Shut the socket in use, if it is (still) ours, and let no other be taken."""
        with _guard:
            self.is_cut = True
            connection = self._connection
            if connection is not None and connection.carries is self:
                _shut(connection.wire)

    @property
    def is_under_way(self) -> bool:
        """Has it sent a request, which the engine may carry out even if we hang up?"""
        return self._connection is not None

    def ride(self, connection: CuttableConnection) -> None:
        """The call's next request goes over this connection."""
        with _guard:
            self.refuse_if_cut()
            self._connection, connection.carries = connection, self

    def refuse_if_cut(self) -> None:
        if self.is_cut:
            raise ConnectionAbortedError("the call was cut")

    @contextmanager
    def on_this_thread(self) -> Iterator[None]:
        """What the body asks of the engine belongs to this call."""
        outer = getattr(_thread, "call", None)
        _thread.call = self
        try:
            yield
        finally:
            _thread.call = outer


def _current() -> Call | None:
    return cast("Call | None", getattr(_thread, "call", None))


def _shut(sock: socket.socket | None) -> None:
    # The plain socket's shutdown, also below TLS, whose own would touch a session that is being read.
    if sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class CuttableConnection(HTTPConnection):
    """A connection that tells the thread's call about itself before each request."""

    carries: Call | None = None
    wire: socket.socket | None = None
    """Its newest socket. After an answer with `Connection: close`, as proxies give, urllib3 calls the
    connection closed and sets `sock` to None, while the answer is still being read from it."""

    def putrequest(
        self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False
    ) -> None:
        if (call := _current()) is not None:
            call.ride(self)
        super().putrequest(method, url, skip_host, skip_accept_encoding)

    def connect(self) -> None:
        super().connect()
        self._connected()

    def _connected(self) -> None:
        self.wire = self.sock
        if (call := _current()) is not None:
            call.refuse_if_cut()


class TlsConnection(CuttableConnection, HTTPSConnection):
    pass


class UnixConnection(CuttableConnection):
    path = ""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self.path)
        self._connected()


class SshConnection(CuttableConnection):
    """Through the system's ssh, whose configuration, keys and agent the user already has.

    The docker command does the same: `docker system dial-stdio` on the far side joins the engine.
    """

    destination: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        self.sock, far = socket.socketpair()
        command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS:.0f}"]
        with far:
            self._process = self._started([*command, *self.destination, *DIAL], far.fileno())
        self._connected()

    def _started(self, command: list[str], far: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command, stdin=far, stdout=far, stderr=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            # Without its number, which would be taken for the engine's socket's.
            raise ConnectionError(f"ssh cannot be run: {error.strerror}") from None

    def close(self) -> None:
        super().close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class UnixPool(HTTPConnectionPool):
    ConnectionCls = UnixConnection


class TcpPool(HTTPConnectionPool):
    ConnectionCls = CuttableConnection


class TlsPool(HTTPSConnectionPool):
    ConnectionCls = TlsConnection


def pool_for(address: EngineAddress, size: int) -> HTTPConnectionPool:
    """The pool of an engine; connects to nothing yet."""
    scheme = address.parts.scheme
    if scheme == "unix":
        of_path = type("UnixConnection", (UnixConnection,), {"path": address.socket_path})
        return _custom(of_path, size)
    if scheme == "ssh":
        of_host = type("SshConnection", (SshConnection,), {"destination": _destination(address)})
        return _custom(of_host, size)
    if scheme in ("tcp", "http", "https"):
        return _tcp_pool(address, size)
    raise BackendError(f"the engine's address {address} has an unknown scheme: use unix, tcp or ssh")


def _custom(connection: type, size: int) -> HTTPConnectionPool:
    pool = HTTPConnectionPool("localhost", maxsize=size)
    pool.ConnectionCls = connection
    return pool


def _tcp_pool(address: EngineAddress, size: int) -> HTTPConnectionPool:
    host, port = address.host_and_port
    if address.tls is None and address.parts.scheme != "https":
        return TcpPool(host, port, maxsize=size)
    try:
        context = _tls_context(address)
        return TlsPool(host, port, maxsize=size, ssl_context=context, cert_reqs=ssl.CERT_REQUIRED)
    except (OSError, ssl.SSLError) as error:
        raise BackendError(f"the certificates for the engine {address} cannot be read: {error}") from error


def _tls_context(address: EngineAddress) -> ssl.SSLContext:
    files = address.tls
    context = ssl.create_default_context(cafile=(files and files.ca) or None)
    if files and files.cert:
        context.load_cert_chain(files.cert, files.key or None)
    return context


def _destination(address: EngineAddress) -> tuple[str, ...]:
    parts = address.parts
    port = ("-p", str(parts.port)) if parts.port else ()
    user = ("-l", parts.username) if parts.username else ()
    return (*user, *port, "--", parts.hostname or "")


class EngineAdapter(HTTPAdapter):
    """Sends every request of a session over one pool, with the time-outs of the thread's call."""

    def __init__(self, pool: HTTPConnectionPool) -> None:
        super().__init__()
        self._pool = pool

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: bool | str = True,
        cert: object = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        call = _current()
        silence = call.seconds if call is not None else None
        if silence is None:
            return super().send(request, stream, (CONNECT_SECONDS, None), verify)
        return super().send(request, stream, (CONNECT_SECONDS, silence), verify)

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """The pool has its certificates; requests would take the URL's scheme for "no TLS"."""

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: object, proxies: object = None, cert: object = None
    ) -> HTTPConnectionPool:
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: object) -> str:
        return request.path_url

    def close(self) -> None:
        super().close()
        self._pool.close()
