"""The proxy between daemon and engine in a chaos run: it forwards calls, and disturbs what it is told to."""

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
from chaos_plan.engine_proxy import EngineProxy
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
    """Answers each call with its method, path and body; its event stream sends one event and stays open."""

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
def rig() -> Iterator[tuple[EngineProxy, BareEngine]]:
    with ExitStack() as stack:
        proxy = EngineProxy(stack.enter_context(fake_engine()), SystemClock())
        stack.enter_context(proxy)
        engine = BareEngine(proxy.url, 4)
        stack.callback(engine.close)
        yield proxy, engine


def test_calls_pass_with_their_bodies_and_answers(rig):
    proxy, engine = rig

    assert engine.ask("GET", "/_ping") == b"GET /_ping"
    assert engine.ask(*CREATE) == b'POST /v1.41/containers/create?name=a {"Image": "b"}'
    assert engine.ask(*DELETE) == b"DELETE /v1.41/containers/0af?force=1"
    assert proxy.hits == 0


def test_a_full_disk_refuses_the_given_number_of_calls_of_one_kind_and_no_others(rig):
    proxy, engine = rig
    proxy.faults.fill_disk("create", 2)

    for _ in range(2):
        with pytest.raises(BackendError, match="no space left on device"):
            engine.ask(*CREATE)
    engine.ask(*START)
    engine.ask(*CREATE)

    assert proxy.hits == 2


@pytest.mark.parametrize(("what", "call"), [("start", START), ("delete", DELETE)])
def test_starts_and_deletions_can_be_refused_too(rig, what, call):
    proxy, engine = rig
    proxy.faults.fill_disk(what, 1)

    with pytest.raises(BackendError, match="no space left"):
        engine.ask(*call)
    engine.ask(*call)


def test_event_streams_are_cut_and_nothing_else(rig):
    proxy, engine = rig
    stream = engine.stream("/v1.41/events")
    pieces = stream.stream(20)
    assert next(pieces) == b'{"Action":"create"}\n'

    proxy.cut_events()

    assert list(pieces) == []
    stream.close()
    assert engine.ask("GET", "/_ping")
    assert proxy.hits == 1


def test_connections_are_refused_while_it_is_away(rig):
    proxy, engine = rig
    engine.ask("GET", "/_ping")

    proxy.go_away(PATIENCE * 10)

    with pytest.raises((HTTPError, OSError)):
        BareEngine(proxy.url, 1).ask("GET", "/_ping")
    proxy.clear_faults()
    assert answers_again(proxy)


def answers_again(proxy: EngineProxy) -> bool:
    """Tries until the proxy listens again."""
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE
    while clock.monotonic() < deadline:
        engine = BareEngine(proxy.url, 1)
        try:
            return bool(engine.ask("GET", "/_ping"))
        except (HTTPError, OSError):
            continue
        finally:
            engine.close()
    return False


def test_it_listens_again_by_itself(rig):
    proxy, _ = rig
    proxy.go_away(0.01)

    assert answers_again(proxy)


def test_a_call_hangs_until_the_faults_are_cleared(rig):
    proxy, engine = rig
    proxy.faults.hang(PATIENCE * 10)
    answers: list[bytes] = []
    caller = threading.Thread(target=lambda: answers.append(engine.ask("GET", "/_ping")))
    caller.start()
    while not proxy.hits:
        assert caller.is_alive()
    assert answers == []

    proxy.clear_faults()

    caller.join(PATIENCE)
    assert answers == [b"GET /_ping"]


def test_only_the_given_number_of_calls_is_slow(rig):
    proxy, engine = rig
    proxy.faults.slow(2, 0.01)

    for _ in range(3):
        engine.ask("GET", "/_ping")

    assert proxy.hits == 2


def test_closing_the_proxy_ends_calls_that_hang():
    with fake_engine() as upstream:
        with EngineProxy(upstream, SystemClock()) as proxy:
            proxy.faults.hang(PATIENCE * 10)
            engine = BareEngine(proxy.url, 1)
            failed = threading.Event()

            def call() -> None:
                with pytest.raises((HTTPError, OSError)):
                    engine.ask("GET", "/_ping")
                failed.set()

            caller = threading.Thread(target=call)
            caller.start()
            while not proxy.hits:
                assert caller.is_alive()
        assert failed.wait(PATIENCE)
        caller.join()
        engine.close()
