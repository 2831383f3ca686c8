"""The health port beside a thousand clients that mean no good: `/livez`, memory and files of a daemon.

Of the clients a quarter each connects and is silent; sends half a request; asks for the status, or for the
stream of events, and does not read. Whoever is disconnected comes back. One viewer reads his stream.
"""

from __future__ import annotations

import http.client
import resource
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from benchmarks.counts import positive
from benchmarks.programs import Daemon, Simulator
from benchmarks.report import Figure, Goal, Report

if TYPE_CHECKING:
    import argparse

HOST = b"Host: 127.0.0.1\r\n"
REQUESTS = (
    b"",
    b"GET /livez HTTP/1.1\r\n" + HOST,
    b"GET /api/v1/status HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /api/v1/events HTTP/1.1\r\n" + HOST + b"\r\n",
)
MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=positive, default=1000)
    parser.add_argument("--seconds", type=positive, default=20, help="of each round")
    parser.add_argument("--rounds", type=positive, default=1)


def run(arguments: argparse.Namespace) -> Report:
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2
    )
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder)
        github = stack.enter_context(Simulator(path))
        settings = {"url": f"{github.url}/org", "name": "web", "token": "t", "backend": "process"}
        daemon = stack.enter_context(Daemon(path, path / "state", settings))
        rounds = [_round(daemon, arguments.clients, arguments.seconds) for _ in range(arguments.rounds)]
    figures = [Figure.of(name, unit, (one[name] for one in rounds), goal) for name, unit, goal in _FIGURES]
    conditions = {"clients": arguments.clients, "seconds": arguments.seconds, "rounds": arguments.rounds}
    return Report("web", tuple(figures), conditions, (__doc__.partition("\n\n")[2].replace("\n", " "),))


_FIGURES = (
    ("livez, median", "ms", None),
    ("livez, 99 of 100", "ms", None),
    ("livez, slowest", "ms", Goal("<=", 2000)),
    ("livez, not answered", "", Goal("<=", 0)),
    ("connections made", "", None),
    ("messages to the viewer", "", Goal(">=", 1)),
    ("memory more", "MiB", Goal("<=", 40)),
    ("open files more afterwards", "", Goal("<=", 2)),
    ("threads more afterwards", "", Goal("<=", 0)),
)


def _round(daemon: Daemon, clients: int, seconds: float) -> dict[str, float]:
    ask(daemon.port, "/livez")
    threads, files = daemon.threads_and_files()
    memory = daemon.memory()
    with Viewer(daemon.port) as viewer, Crowd(daemon.port, clients) as crowd:
        times, missed = _probe(daemon.port, seconds)
        most = daemon.memory()
        told = viewer.messages
    _wait_until_idle(daemon, files)
    threads_after, files_after = daemon.threads_and_files()
    cuts = quantiles([*times, *times], n=100)
    return {
        "livez, median": cuts[49] * 1e3,
        "livez, 99 of 100": cuts[98] * 1e3,
        "livez, slowest": max(times) * 1e3,
        "livez, not answered": missed,
        "connections made": crowd.made,
        "messages to the viewer": told,
        "memory more": (most - memory) / MIB,
        "open files more afterwards": files_after - files,
        "threads more afterwards": threads_after - threads,
    }


def _probe(port: int, seconds: float) -> tuple[list[float], int]:
    times, missed, end = [0.0], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            ask(port, "/livez")
        except (OSError, http.client.HTTPException):
            missed += 1
        times.append(time.monotonic() - began)
        time.sleep(0.02)
    return times, missed


def _wait_until_idle(daemon: Daemon, files: int) -> None:
    """The server notices the end of a connection in its own time; at most a minute."""
    end = time.monotonic() + 60
    while daemon.threads_and_files()[1] > files + 1 and time.monotonic() < end:
        time.sleep(0.1)


def ask(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    finally:
        connection.close()


class Crowd:
    """A context: that many clients on one thread, each of which comes back when it is disconnected."""

    def __init__(self, port: int, clients: int) -> None:
        self.made = 0
        self._port, self._clients = port, clients
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        open_: list[socket.socket] = []
        requests = cycle(REQUESTS)
        while not self._over.is_set():
            while len(open_) < self._clients and not self._over.is_set():
                with suppress(OSError):
                    open_.append(self._connect(next(requests)))
            open_ = [one for one in open_ if not _is_closed(one)]
            self._over.wait(0.2)
        for one in open_:
            one.close()

    def _connect(self, request: bytes) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(1)
        made.connect(("127.0.0.1", self._port))
        made.sendall(request)
        made.setblocking(False)
        self.made += 1
        return made


def _is_closed(client: socket.socket) -> bool:
    """Read what little there is of nothing, or one byte of what nobody reads, and see whether it ended."""
    try:
        closed = client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        closed = True
    if closed:
        client.close()
    return closed


class Viewer:
    """A context: a reader of the stream of events that counts what it is told."""

    def __init__(self, port: int) -> None:
        self.messages = 0
        self._client = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._client.sendall(REQUESTS[3])
        self._thread = threading.Thread(target=self._read, name="viewer", daemon=True)

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._client.close()

    def _read(self) -> None:
        while got := self._client.recv(65536):
            self.messages += got.count(b"\ndata: ")
