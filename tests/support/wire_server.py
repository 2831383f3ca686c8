"""An HTTP server that answers exactly what a test scripts, byte by byte, and records its requests."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import IO, Self

TOKEN = "registration-s3cr3t"
ADMIN = "admin-s3cr3t"


@dataclass(frozen=True)
class Seen:
    """A request as it came over the wire; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


@dataclass
class Conversation:
    """A request that has not been answered yet; `ended` is set when the server stops."""

    socket: socket.socket
    seen: Seen
    ended: threading.Event

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)


class Hangup(Exception):
    """The answer has closed the connection."""


@dataclass
class Rule:
    method: str
    part: str
    answer: Callable[[Conversation], None]
    left: float

    def fits(self, seen: Seen) -> bool:
        return self.left > 0 and self.method == seen.method and self.part in seen.target


@dataclass
class WireServer:
    """`on` scripts answers; older rules come first. Requests for tokens are answered unless scripted."""

    tls: ssl.SSLContext | None = None
    name: str = "127.0.0.1"
    seen: list[Seen] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._arrived = threading.Condition(self._lock)
        self.defaults = [
            Rule("POST", "/actions/runners/registration-token", answer({"token": TOKEN}, 201), float("inf")),
            Rule("POST", "/actions/runner-registration", self._register, float("inf")),
        ]

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for each in self._sockets:
                close(each)
            threads = list(self._threads)
        for thread in threads:
            thread.join(10)

    @property
    def host(self) -> str:
        return f"{self.name}:{self._listening.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def on(self, method: str, part: str, *answers: Callable[[Conversation], None], times: float = 1) -> None:
        """Answer requests of that method whose target contains `part`; each answer `times` times."""
        with self._lock:
            self.rules.extend(Rule(method, part, each, times) for each in answers)

    def requests(self, method: str, part: str) -> list[Seen]:
        with self._lock:
            return [each for each in self.seen if each.method == method and part in each.target]

    def wait_for(self, method: str, part: str, count: int = 1) -> list[Seen]:
        """Wait for that many requests and return them."""

        def found() -> list[Seen]:
            return [each for each in self.seen if each.method == method and part in each.target]

        with self._arrived:
            assert self._arrived.wait_for(lambda: len(found()) >= count, 30), self.seen
            return found()

    def _register(self, conversation: Conversation) -> None:
        answer({"url": f"{self.url}/tenant/", "token": ADMIN})(conversation)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            self._spawn(lambda accepted=accepted: self._serve(accepted))

    def _spawn(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        with self._lock:
            self._sockets.add(accepted)
            self.connections += 1
        try:
            if self.tls:
                accepted = self.tls.wrap_socket(accepted, server_side=True)
                with self._lock:
                    self._sockets.add(accepted)
            with accepted.makefile("rb") as reader:
                while (seen := read_request(reader)) is not None:
                    self._answer(Conversation(accepted, seen, self._ended))
        except (OSError, Hangup):
            pass
        finally:
            close(accepted)

    def _answer(self, conversation: Conversation) -> None:
        with self._arrived:
            self.seen.append(conversation.seen)
            self._arrived.notify_all()
            rules = [*self.rules, *self.defaults]
            rule = next((each for each in rules if each.fits(conversation.seen)), None)
            if rule is not None:
                rule.left -= 1
        (rule.answer if rule else answer({"message": "not scripted"}, 404))(conversation)


def read_request(reader: IO[bytes]) -> Seen | None:
    first = reader.readline().decode()
    if not first:
        return None
    method, target, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    while line := reader.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(method, target, headers, reader.read(int(headers.get("content-length", "0"))))


def answer(
    value: object = None, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[Conversation], None]:
    """A complete reply with `value` as its body: bytes unchanged, None as no body, anything else as JSON."""
    body = value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()
    kind = {} if isinstance(value, bytes) or value is None else {"Content-Type": "application/json"}
    lines = {"Content-Length": str(len(body)), "X-GitHub-Request-Id": "AB12:CD", **kind, **(headers or {})}
    return raw(head(status, lines) + body)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode()


def raw(data: bytes) -> Callable[[Conversation], None]:
    return lambda conversation: conversation.send(data)


def hang_up(data: bytes = b"") -> Callable[[Conversation], None]:
    """Send `data`, then close the connection."""

    def act(conversation: Conversation) -> None:
        conversation.send(data)
        raise Hangup

    return act


def reset(data: bytes = b"") -> Callable[[Conversation], None]:
    """Send `data`, then reset the connection."""

    def act(conversation: Conversation) -> None:
        conversation.send(data)
        conversation.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup

    return act


def hang(conversation: Conversation) -> None:
    """Never answer."""
    conversation.ended.wait(60)


def drip(conversation: Conversation) -> None:
    """Send a header that never ends, byte by byte."""
    conversation.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not conversation.ended.wait(0.02):
        conversation.send(b"x")


def close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
