"""A proxy to an engine that answers, holds or cuts the requests that a test selects."""

from __future__ import annotations

import json
import re
import select
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK_SIZE = 65536
HELD_BACK = ("connection", "content-length")
"""Headers of a request that are replaced."""


@dataclass(eq=False)
class Rule:
    """For requests with this method whose path, without version and query, matches the pattern `path`.

    They are answered with `status` and `message`; with status 0 they are held and never answered.
    """

    method: str
    path: str
    status: int = 0
    message: str = ""
    times: int | None = None
    hits: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def is_for(self, method: str, path: str) -> bool:
        ready = not self.over.is_set() and (self.times is None or self.hits < self.times)
        return ready and method == self.method and re.fullmatch(self.path, path) is not None


class EngineProxy(socketserver.ThreadingUnixStreamServer):
    """A context: forwards from the socket `path` to the engine's socket.

    Each request gets a connection of its own. Requests that no rule matches are forwarded unchanged.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, engine: str, path: Path) -> None:
        self.engine = engine.removeprefix("unix://")
        self.url = f"unix://{path}"
        self._rules: list[Rule] = []
        self._open: dict[socket.socket, str] = {}
        self._lock = threading.Lock()
        super().__init__(str(path), _Request)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="engine-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for rule in list(self._rules):
            self.lift(rule)
        self.shutdown()
        self.server_close()
        self.cut(".*")

    def refuse(self, method: str, path: str, status: int, message: str, times: int | None = None) -> Rule:
        """Answer the next `times` such requests (None: all) with this error, in the engine's format."""
        return self._add(Rule(method, path, status, message, times))

    def hold(self, method: str, path: str) -> Rule:
        """Do not answer such requests; their connections are closed when the rule is lifted."""
        return self._add(Rule(method, path))

    def lift(self, rule: Rule) -> None:
        with self._lock:
            self._rules.remove(rule)
        rule.over.set()

    def cut(self, path: str) -> int:
        """Cut the connections of pending requests whose path matches; returns how many there were."""
        with self._lock:
            ends = [end for end, its in self._open.items() if re.fullmatch(path, its)]
        for end in ends:
            _shut(end)
        return len(ends)

    def under_way(self, path: str) -> int:
        """How many requests of this path have not been answered completely."""
        with self._lock:
            return sum(re.fullmatch(path, its) is not None for its in self._open.values())

    def rule_for(self, method: str, path: str) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.is_for(method, path):
                    rule.hits += 1
                    return rule
        return None

    @contextmanager
    def carrying(self, end: socket.socket, path: str) -> Iterator[None]:
        with self._lock:
            self._open[end] = path
        try:
            yield
        finally:
            with self._lock:
                del self._open[end]

    def _add(self, rule: Rule) -> Rule:
        with self._lock:
            self._rules.append(rule)
        return rule


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EngineProxy
    connection: socket.socket

    def serve(self) -> None:
        path = re.sub(r"^/v[\d.]+(?=/)", "", self.path).partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.close_connection = True
        with self.server.carrying(self.connection, path), suppress(OSError):
            rule = self.server.rule_for(self.command, path)
            if rule is None:
                self._pass_on(body)
            elif rule.status:
                self._answer(rule)
            else:
                rule.over.wait()

    def __getattr__(self, name: str) -> Callable[[], None]:
        """All methods, such as `do_GET`, are served in the same way."""
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, rule: Rule) -> None:
        body = json.dumps({"message": rule.message}).encode()
        self.send_response(rule.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self, body: bytes) -> None:
        kept = [(name, value) for name, value in self.headers.items() if name.lower() not in HELD_BACK]
        lines = [f"{name}: {value}" for name, value in (*kept, ("Connection", "close"))]
        head = [f"{self.command} {self.path} HTTP/1.1", *lines, f"Content-Length: {len(body)}"]
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self.server.engine)
            engine.sendall("\r\n".join([*head, "", ""]).encode() + body)
            _copy_reply(engine, self.connection)


def _copy_reply(source: socket.socket, target: socket.socket) -> None:
    """Copy until the engine has sent everything or the client sends or closes."""
    while True:
        ready, _, _ = select.select([source, target], [], [])
        if target in ready or not (chunk := source.recv(CHUNK_SIZE)):
            return
        target.sendall(chunk)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
