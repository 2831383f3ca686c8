"""The daemon's door to its engine in a chaos run: it passes calls on, and breaks just what it is told to."""

from __future__ import annotations

import socketserver
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.bare_engine import BareEngine
from chaos_plan.door import Door
from urllib3.exceptions import HTTPError

from runscaler.clock import SystemClock
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATE = ("POST", "/v1.41/containers/create?name=a", {"Image": "b"})
START = ("POST", "/v1.41/containers/0af/start")
DELETE = ("DELETE", "/v1.41/containers/0af?force=1")
PATIENCE = 30.0


class FakeEngine(BaseHTTPRequestHandler):
    """Answers each call with its method, path and body; its event stream says one event and goes on."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "/events" in self.path:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"Action":"create"}\n')
            self.rfile.read(1)
            self.close_connection = True
        else:
            self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = f"{self.command} {self.path} {body.decode()}".rstrip().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "socket"


@contextmanager
def fake_engine() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp") as folder:
        path = Path(folder) / "engine.sock"
        with socketserver.ThreadingUnixStreamServer(str(path), FakeEngine) as server:
            serving = threading.Thread(target=server.serve_forever, args=(0.01,))
            serving.start()
            yield f"unix://{path}"
            server.shutdown()
            serving.join()


@pytest.fixture
def rig() -> Iterator[tuple[Door, BareEngine]]:
    with ExitStack() as stack:
        door = Door(stack.enter_context(fake_engine()), SystemClock())
        stack.enter_context(door)
        engine = BareEngine(door.url, 4)
        stack.callback(engine.close)
        yield door, engine


def test_calls_pass_with_their_bodies_and_answers(rig):
    door, engine = rig

    assert engine.ask("GET", "/_ping") == b"GET /_ping"
    assert engine.ask(*CREATE) == b'POST /v1.41/containers/create?name=a {"Image": "b"}'
    assert engine.ask(*DELETE) == b"DELETE /v1.41/containers/0af?force=1"
    assert door.hits == 0


def test_a_full_disk_refuses_so_many_calls_of_one_kind_and_no_others(rig):
    door, engine = rig
    door.trouble.fill("create", 2)

    for _ in range(2):
        with pytest.raises(BackendError, match="no space left on device"):
            engine.ask(*CREATE)
    engine.ask(*START)
    engine.ask(*CREATE)

    assert door.hits == 2


@pytest.mark.parametrize(("what", "call"), [("start", START), ("delete", DELETE)])
def test_starts_and_deletions_can_be_refused_too(rig, what, call):
    door, engine = rig
    door.trouble.fill(what, 1)

    with pytest.raises(BackendError, match="no space left"):
        engine.ask(*call)
    engine.ask(*call)


def test_event_streams_are_cut_and_nothing_else(rig):
    door, engine = rig
    stream = engine.stream("/v1.41/events")
    pieces = stream.stream(20)
    assert next(pieces) == b'{"Action":"create"}\n'

    door.cut_events()

    assert list(pieces) == []
    stream.close()
    assert engine.ask("GET", "/_ping")
    assert door.hits == 1


def test_nobody_is_there_while_it_is_away(rig):
    door, engine = rig
    engine.ask("GET", "/_ping")

    door.leave(PATIENCE * 10)

    with pytest.raises((HTTPError, OSError)):
        BareEngine(door.url, 1).ask("GET", "/_ping")
    door.mend()
    assert answers_again(door)


def answers_again(door: Door) -> bool:
    """A new listener takes its moment."""
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE
    while clock.monotonic() < deadline:
        engine = BareEngine(door.url, 1)
        try:
            return bool(engine.ask("GET", "/_ping"))
        except (HTTPError, OSError):
            continue
        finally:
            engine.close()
    return False


def test_it_comes_back_by_itself(rig):
    door, _ = rig
    door.leave(0.01)

    assert answers_again(door)


def test_a_call_hangs_until_it_may_go_on(rig):
    door, engine = rig
    door.trouble.hang(PATIENCE * 10)
    answers: list[bytes] = []
    caller = threading.Thread(target=lambda: answers.append(engine.ask("GET", "/_ping")))
    caller.start()
    while not door.hits:
        assert caller.is_alive()
    assert answers == []

    door.mend()

    caller.join(PATIENCE)
    assert answers == [b"GET /_ping"]


def test_so_many_calls_are_slow(rig):
    door, engine = rig
    door.trouble.slow(2, 0.01)

    for _ in range(3):
        engine.ask("GET", "/_ping")

    assert door.hits == 2


def test_a_door_that_is_closed_lets_nobody_wait():
    with fake_engine() as beyond:
        with Door(beyond, SystemClock()) as door:
            door.trouble.hang(PATIENCE * 10)
            engine = BareEngine(door.url, 1)
            failed = threading.Event()

            def call() -> None:
                with pytest.raises((HTTPError, OSError)):
                    engine.ask("GET", "/_ping")
                failed.set()

            caller = threading.Thread(target=call)
            caller.start()
            while not door.hits:
                assert caller.is_alive()
        assert failed.wait(PATIENCE)
        caller.join()
        engine.close()
