"""A proxy on a Unix socket between the daemon and its engine, which can disturb their connections."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from chaos_plan.engine_faults import EngineFaults
from chaos_plan.proxy_connection import ProxyConnection
from runscaler.backends.docker.address import EngineAddress

if TYPE_CHECKING:
    from types import TracebackType

    from runscaler.clock import Clock


class EngineProxy:
    """A context; all methods are thread-safe. `url` is the address that the daemon uses for its engine."""

    def __init__(self, engine_url: str, clock: Clock) -> None:
        self._engine = EngineAddress(engine_url)
        self._clock = clock
        # In /tmp because the path of a Unix socket must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="rs-proxy-", dir="/tmp"))
        self._path = self._folder / "engine.sock"
        self.url = f"unix://{self._path}"
        self.faults = EngineFaults(clock)
        self._changed = threading.Condition()
        self._open: set[ProxyConnection] = set()
        self._away_until = 0.0
        self._closed = False
        self._listener: socket.socket | None = None
        self._cut_connections = 0

    def __enter__(self) -> Self:
        self._listen()
        self._thread = threading.Thread(target=self._accept, name="engine-proxy", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.close()
        with self._changed:
            self._closed = True
            self._stop_listening()
        self._thread.join()
        for connection in self._connections():
            connection.cut()
            connection.join()
        shutil.rmtree(self._folder)

    @property
    def hits(self) -> int:
        """How many calls met a fault and how many connections were cut, added up."""
        return self._cut_connections + self.faults.hits

    def cut_events(self) -> None:
        """Cut the connections that carry an event stream."""
        self._cut([connection for connection in self._connections() if connection.follows_events])

    def go_away(self, seconds: float) -> None:
        """Cut all connections and refuse new ones for that long, as if the engine were not running."""
        with self._changed:
            self._away_until = self._clock.monotonic() + seconds
            self._stop_listening()
        self._cut(self._connections())

    def clear_faults(self) -> None:
        """From now on every call passes undisturbed."""
        self.faults.clear()
        with self._changed:
            self._away_until = 0.0
            self._changed.notify_all()

    def _cut(self, connections: list[ProxyConnection]) -> None:
        self._cut_connections += len(connections)
        for connection in connections:
            connection.cut()

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen(128)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._path.unlink(missing_ok=True)
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._changed.notify_all()

    def _accept(self) -> None:
        while (listener := self._next_listener()) is not None:
            with suppress(OSError):  # it was closed
                while True:
                    self._admit(listener.accept()[0])

    def _next_listener(self) -> socket.socket | None:
        """Wait until the proxy may listen again; None when it closes."""
        with self._changed:
            while not self._closed and (left := self._away_until - self._clock.monotonic()) > 0:
                self._changed.wait(left)
            if not self._closed and self._listener is None:
                self._listen()
            return self._listener

    def _admit(self, client: socket.socket) -> None:
        connection = ProxyConnection(client, self._dial, self.faults, self._ended)
        with self._changed:
            admitted = self._listener is not None
            if admitted:
                self._open.add(connection)
        if admitted:
            connection.start()
        else:
            client.close()

    def _dial(self) -> socket.socket:
        path = self._engine.socket_path
        if path is None:
            return socket.create_connection(self._engine.host_and_port)
        engine = socket.socket(socket.AF_UNIX)
        try:
            engine.connect(path)
        except OSError:
            engine.close()
            raise
        return engine

    def _ended(self, connection: ProxyConnection) -> None:
        with self._changed:
            self._open.discard(connection)

    def _connections(self) -> list[ProxyConnection]:
        with self._changed:
            return list(self._open)
