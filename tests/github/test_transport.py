"""Cancelling a call in whatever phase it is, by its deadline (faults F6, F7) or by its interrupt."""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest
from support.daemon import wait_until
from support.wire_server import WireServer, answer, drip, hang, head

from runscaler.clock import SystemClock
from runscaler.config.secrets import Secret
from runscaler.errors import Interrupted, RunscalerError, Unreachable
from runscaler.github.tls import tls_context
from runscaler.github.transport import Transport
from runscaler.github.wire import Lane, Reply, Request, bearer
from runscaler.interrupt import Interrupt
from runscaler.net.cancellable import CancellableCall
from runscaler.net.deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.wire_server import Conversation

LIMIT = 20.0


@pytest.fixture
def transport() -> Iterator[Transport]:
    deadlines = Deadlines(SystemClock())
    made = Transport(tls_context(environ={}), deadlines)
    yield made
    made.close()
    deadlines.close()


def request(url: str, *, poll: bool = False, grace: float = 0.0, lane: Lane = Lane.START) -> Request:
    headers = {"User-Agent": "x"}
    return Request("try", "GET", url, bearer(Secret("token")), headers, poll=poll, grace=grace, lane=lane)


def half_a_body(conversation: Conversation) -> None:
    conversation.send(head(200, {"Content-Length": "100"}) + b"half")
    conversation.ended.wait(60)


def body_without_end(conversation: Conversation) -> None:
    """Framed by the end of the connection only, so a broken reply could look complete."""
    conversation.send(head(200, {}) + b"{}")
    conversation.ended.wait(60)


STUCK = [hang, drip, half_a_body, body_without_end]


class InFlight:
    """A call on a thread of its own, and what came of it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._outcome: list[object] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except (RunscalerError, OSError) as error:
            self._outcome.append(error)

    def outcome(self) -> object:
        self._thread.join(LIMIT)
        assert self._outcome, "the call did not end"
        return self._outcome[0]


@pytest.mark.parametrize("act", STUCK)
def test_a_call_has_an_overall_deadline(
    transport: Transport, server: WireServer, act: Callable[[Conversation], None]
) -> None:
    server.on("GET", "/stuck", act)

    with pytest.raises(Unreachable, match="took too long"):
        transport.send(request(f"{server.url}/stuck"), Interrupt(), 0.2)


@pytest.mark.parametrize("poll", [True, False])
@pytest.mark.parametrize("act", STUCK)
def test_an_interrupt_cancels_a_call_that_waits_for_its_reply(
    transport: Transport, server: WireServer, act: Callable[[Conversation], None], poll: bool
) -> None:
    interrupt = Interrupt()
    server.on("GET", "/stuck", act)
    call = InFlight(lambda: transport.send(request(f"{server.url}/stuck", poll=poll), interrupt))
    server.wait_for("GET", "/stuck")

    interrupt.set()

    assert isinstance(call.outcome(), Interrupted)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_interrupt_cancels_a_call_through_a_proxy(server: WireServer, scheme: str) -> None:
    interrupt, deadlines = Interrupt(), Deadlines(SystemClock())
    transport = Transport(tls_context(environ={}), deadlines, proxy=server.url)
    for method in ("GET", "CONNECT"):
        server.on(method, "ghes.example", hang)
    call = InFlight(lambda: transport.send(request(f"{scheme}://ghes.example/"), interrupt))
    server.wait_for("GET" if scheme == "http" else "CONNECT", "ghes.example")

    interrupt.set()

    assert isinstance(call.outcome(), Interrupted)
    transport.close()
    deadlines.close()


def test_calls_are_limited_in_number_and_polls_are_not(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runscaler.github.transport.MAX_CONCURRENT_CALLS", 1)
    deadlines = Deadlines(SystemClock())
    transport = Transport(tls_context(environ={}), deadlines)
    calls: list[tuple[Interrupt, InFlight]] = []

    def begin(path: str, *, poll: bool = False) -> None:
        interrupt = Interrupt()
        server.on("GET", path, hang)
        sent = request(f"{server.url}{path}", poll=poll)
        calls.append((interrupt, InFlight(lambda: transport.send(sent, interrupt))))

    begin("/poll", poll=True)
    server.wait_for("GET", "/poll")
    begin("/call")
    server.wait_for("GET", "/call")
    begin("/waits")

    for interrupt, call in reversed(calls):
        interrupt.set()
        assert isinstance(call.outcome(), Interrupted)
    assert server.requests("GET", "/waits") == []
    transport.close()
    deadlines.close()


def test_a_start_overtakes_housekeeping_that_github_does_not_answer(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runscaler.github.transport.MAX_CONCURRENT_CALLS", 2)
    monkeypatch.setattr("runscaler.github.transport.MAX_CONCURRENT_HOUSEKEEPING", 1)
    deadlines, interrupts = Deadlines(SystemClock()), (Interrupt(), Interrupt())
    transport = Transport(tls_context(environ={}), deadlines)
    server.on("GET", "/look", hang)
    server.on("GET", "/start", answer({}))
    look = request(f"{server.url}/look", lane=Lane.HOUSEKEEPING)
    calls = [InFlight(partial(transport.send, look, interrupt)) for interrupt in interrupts]
    wait_until(lambda: transport._concurrency.waiting == 1, "housekeeping that waits")
    server.wait_for("GET", "/look")

    assert transport.send(request(f"{server.url}/start"), Interrupt()).ok

    assert len(server.requests("GET", "/look")) == 1
    for interrupt in interrupts:
        interrupt.set()
    assert [type(call.outcome()) for call in calls] == [Interrupted, Interrupted]
    transport.close()
    deadlines.close()


def test_a_reply_is_still_waited_for_in_the_grace_of_its_request(
    transport: Transport, server: WireServer
) -> None:
    """Without it, a session that was just opened could not be closed: nobody would know its id."""
    interrupt, answered = Interrupt(), threading.Event()

    def slow(conversation: Conversation) -> None:
        answered.wait(LIMIT)
        answer(b"made")(conversation)

    server.on("GET", "/slow", slow)
    call = InFlight(lambda: transport.send(request(f"{server.url}/slow", grace=LIMIT), interrupt))
    server.wait_for("GET", "/slow")

    interrupt.set()
    answered.set()

    reply = call.outcome()
    assert isinstance(reply, Reply)
    assert reply.text == "made"


def test_a_reply_that_does_not_come_within_its_grace_is_given_up(
    transport: Transport, server: WireServer
) -> None:
    interrupt = Interrupt()
    server.on("GET", "/stuck", hang)
    call = InFlight(lambda: transport.send(request(f"{server.url}/stuck", grace=0.05), interrupt))
    server.wait_for("GET", "/stuck")

    interrupt.set()

    assert isinstance(call.outcome(), Interrupted)


def test_an_interrupt_cancels_a_call_on_a_connection_that_was_kept(
    transport: Transport, server: WireServer
) -> None:
    interrupt = Interrupt()
    server.on("GET", "/", answer(None, 204), hang)
    transport.send(request(f"{server.url}/first"), interrupt)
    call = InFlight(lambda: transport.send(request(f"{server.url}/second"), interrupt))
    server.wait_for("GET", "/second")

    interrupt.set()

    assert isinstance(call.outcome(), Interrupted)


def test_a_cancelled_call_does_not_spoil_the_next_one(transport: Transport, server: WireServer) -> None:
    interrupt = Interrupt()
    server.on("GET", "/", hang, answer(None, 204))
    call = InFlight(lambda: transport.send(request(f"{server.url}/"), interrupt))
    server.wait_for("GET", "/")
    interrupt.set()
    call.outcome()

    interrupt.clear()

    assert transport.send(request(f"{server.url}/"), interrupt).status == 204


def test_a_call_that_is_cancelled_at_its_very_end_spares_the_next_one_on_its_connection(
    transport: Transport, server: WireServer
) -> None:
    go_on, ending = threading.Event(), CancellableCall()

    def late(conversation: Conversation) -> None:
        go_on.wait(LIMIT)
        answer({})(conversation)

    server.on("GET", "/", answer({}), late)
    with ending.running(Interrupt()):
        transport._session.get(server.url)  # its connection is free again; the call has not ended
        following = InFlight(lambda: transport.send(request(server.url), Interrupt()))
        server.wait_for("GET", "/", 2)
        ending.cancel()
        go_on.set()
        reply = following.outcome()

    assert isinstance(reply, Reply)
    assert server.connections == 1


def test_an_interrupt_cancels_a_tls_handshake(transport: Transport) -> None:
    interrupt = Interrupt()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        call = InFlight(lambda: transport.send(request(f"https://127.0.0.1:{port}/"), interrupt))
        accepted, _ = mute.accept()
        with accepted:
            assert accepted.recv(1) == b"\x16"

            interrupt.set()

            assert isinstance(call.outcome(), Interrupted)


def test_an_interrupt_cancels_a_connection_that_is_not_accepted(transport: Transport) -> None:
    interrupt = Interrupt()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        call = InFlight(lambda: transport.send(request(f"http://127.0.0.1:{address[1]}/"), interrupt))

        interrupt.set()

        assert isinstance(call.outcome(), Interrupted)
        for filler in fillers:
            filler.close()


def test_descriptors_do_not_pile_up(transport: Transport, server: WireServer) -> None:
    server.on("GET", "/", answer(None, 204), times=1000)
    interrupt = Interrupt()
    transport.send(request(f"{server.url}/"), interrupt)
    before = psutil.Process().num_fds()

    for _ in range(50):
        transport.send(request(f"{server.url}/"), interrupt)

    assert psutil.Process().num_fds() < before + 25, "whoever else runs here may open a few"
