"""How a Docker engine is reached: a Unix socket, TCP, TLS or ssh, all with cancellable connections.

docker-py speaks the engine's API. Beneath it lies one adapter with one pool of connections, because
docker-py's own adapter for Unix sockets makes a pool for each URL, so it hardly ever reuses a connection.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool

from runscaler.backends.docker.answers import Nonsense
from runscaler.config.secret_variables import child_environment
from runscaler.errors import BackendError
from runscaler.net.cancellable import CancellableCall, current_call
from runscaler.net.connections import CancellableConnection, CancellablePool, CancellableTlsPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response

    from runscaler.backends.docker.address import EngineAddress

CONNECT_SECONDS = 10.0
MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that is no stream: a list of 20,000 containers, or none of an engine."""
DIAL = ("docker", "system", "dial-stdio")


class EngineCall(CancellableCall):
    """Calls of the engine's API in a row. `read_timeout` is the longest silence in seconds, None for any."""

    def __init__(self, read_timeout: float | None, *, grace: float = 0.0) -> None:
        super().__init__(grace=grace)
        self.read_timeout = read_timeout


class UnixConnection(CancellableConnection):
    """To the Unix socket at `path`. Connecting to one never blocks."""

    def __init__(self, *args: Any, path: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = path

    def _new_conn(self) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(CONNECT_SECONDS)
            opened.connect(self._path)
        except OSError:
            opened.close()
            raise
        return self.used(opened)


class SshConnection(CancellableConnection):
    """Through the system's ssh, with the configuration, keys and agent that the user already has.

    `docker system dial-stdio` on the remote host connects to the engine there, as the docker command does.
    """

    def __init__(self, *args: Any, destination: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._destination = destination
        self._process: subprocess.Popen[bytes] | None = None

    def _new_conn(self) -> socket.socket:
        opened, far_end = socket.socketpair()
        command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS:.0f}"]
        with far_end:
            try:
                self._process = _started([*command, *self._destination, *DIAL], far_end.fileno())
            except ConnectionError:
                opened.close()
                raise
        return self.used(opened)

    def close(self) -> None:
        super().close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _started(command: list[str], stdio: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=stdio,
            stdout=stdio,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=child_environment(os.environ),
        )
    except OSError as error:
        # Without its error number, which would be taken for that of the engine's socket.
        raise ConnectionError(f"ssh cannot be run: {error.strerror}") from None


class UnixPool(HTTPConnectionPool):
    """A pool of connections to one Unix socket."""

    ConnectionCls = UnixConnection


class SshPool(HTTPConnectionPool):
    """A pool of connections through ssh, each with a process of its own."""

    ConnectionCls = SshConnection


def pool_for(address: EngineAddress, size: int) -> HTTPConnectionPool:
    """The pool of an engine, which keeps up to `size` idle connections. Connects to nothing yet.

    Raises `BackendError` for an address or certificates that cannot be used.
    """
    scheme = address.parts.scheme
    if scheme == "unix":
        return UnixPool("localhost", maxsize=size, path=address.socket_path)
    if scheme == "ssh":
        return SshPool("localhost", maxsize=size, destination=_destination(address))
    if scheme in ("tcp", "http", "https"):
        return _tcp_pool(address, size)
    raise BackendError(f"the engine's address {address} has an unknown scheme: use unix, tcp or ssh")


def _tcp_pool(address: EngineAddress, size: int) -> HTTPConnectionPool:
    host, port = address.host_and_port
    if address.tls is None and address.parts.scheme != "https":
        return CancellablePool(host, port, maxsize=size)
    try:
        context = _tls_context(address)
        return CancellableTlsPool(host, port, maxsize=size, ssl_context=context, cert_reqs=ssl.CERT_REQUIRED)
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
    """Sends every request of a session over one pool, with the read time-out of the thread's `EngineCall`."""

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
        call = current_call()
        read_timeout = call.read_timeout if isinstance(call, EngineCall) else None
        timeouts = (CONNECT_SECONDS, None) if read_timeout is None else (CONNECT_SECONDS, read_timeout)
        response = super().send(request, stream, timeouts, verify)
        if not stream:
            _read(response)
        return response

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """Nothing to do: the pool has its certificates, and requests would take the URL's scheme for
        "no TLS"."""

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: object, proxies: object = None, cert: object = None
    ) -> HTTPConnectionPool:
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: object) -> str:
        return request.path_url

    def close(self) -> None:
        super().close()
        self._pool.close()


def _read(response: Response) -> None:
    """The whole body, as requests itself would, but no more than `MAX_ANSWER` of it."""
    pieces, size = [], 0
    for piece in response.iter_content(64 * 1024):
        size += len(piece)
        if size > MAX_ANSWER:
            response.close()
            raise Nonsense(f"more than {MAX_ANSWER // 2**20} MiB")
        pieces.append(piece)
    response._content = b"".join(pieces)
