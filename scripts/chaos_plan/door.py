"""The daemon's door to its engine: a Unix socket that passes everything on, until it is told not to."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from chaos_plan.engine_trouble import EngineTrouble
from chaos_plan.passage import Passage
from runscaler.backends.docker.address import EngineAddress

if TYPE_CHECKING:
    from types import TracebackType

    from runscaler.clock import Clock


class Door:
    """A context; each method may be called from any thread. `url` is where the daemon knocks."""

    def __init__(self, beyond: str, clock: Clock) -> None:
        self._beyond = EngineAddress(beyond)
        self._clock = clock
        # Short, as the path of a Unix socket must be.
        self._folder = Path(tempfile.mkdtemp(prefix="rs-door-", dir="/tmp"))
        self._path = self._folder / "engine.sock"
        self.url = f"unix://{self._path}"
        self.trouble = EngineTrouble(clock)
        self._changed = threading.Condition()
        self._open: set[Passage] = set()
        self._away_until = 0.0
        self._closed = False
        self._listener: socket.socket | None = None
        self._lost = 0

    def __enter__(self) -> Self:
        self._listen()
        self._thread = threading.Thread(target=self._accept, name="door", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.trouble.close()
        with self._changed:
            self._closed = True
            self._shut()
        self._thread.join()
        for passage in self._passages():
            passage.cut()
            passage.join()
        shutil.rmtree(self._folder)

    @property
    def hits(self) -> int:
        """Calls that met a fault, and connections that were cut."""
        return self._lost + self.trouble.hits

    def cut_events(self) -> None:
        self._cut([passage for passage in self._passages() if passage.follows_events])

    def leave(self, seconds: float) -> None:
        """As if the engine were not there: nobody listens, all connections are gone."""
        with self._changed:
            self._away_until = self._clock.monotonic() + seconds
            self._shut()
        self._cut(self._passages())

    def mend(self) -> None:
        """From here on everything passes."""
        self.trouble.mend()
        with self._changed:
            self._away_until = 0.0
            self._changed.notify_all()

    def _cut(self, passages: list[Passage]) -> None:
        self._lost += len(passages)
        for passage in passages:
            passage.cut()

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen(128)

    def _shut(self) -> None:
        if self._listener is not None:
            self._path.unlink(missing_ok=True)
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._changed.notify_all()

    def _accept(self) -> None:
        while (listener := self._awaited()) is not None:
            with suppress(OSError):  # it was shut
                while True:
                    self._admit(listener.accept()[0])

    def _awaited(self) -> socket.socket | None:
        """The listener, when the time away is over; None at the end."""
        with self._changed:
            while not self._closed and (left := self._away_until - self._clock.monotonic()) > 0:
                self._changed.wait(left)
            if not self._closed and self._listener is None:
                self._listen()
            return self._listener

    def _admit(self, client: socket.socket) -> None:
        passage = Passage(client, self._dial, self.trouble, self._ended)
        with self._changed:
            admitted = self._listener is not None
            if admitted:
                self._open.add(passage)
        if admitted:
            passage.start()
        else:
            client.close()

    def _dial(self) -> socket.socket:
        path = self._beyond.socket_path
        if path is None:
            return socket.create_connection(self._beyond.host_and_port)
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(path)
        except OSError:
            made.close()
            raise
        return made

    def _ended(self, passage: Passage) -> None:
        with self._changed:
            self._open.discard(passage)

    def _passages(self) -> list[Passage]:
        with self._changed:
            return list(self._open)
