from __future__ import annotations

import http.client
import os
import queue
import socket
import threading
from contextlib import suppress

import pytest

from runscaler.errors import HostError
from runscaler.web.connections import MAX_CONNECTIONS, REQUEST_SECONDS
from runscaler.web.server import HealthServer, bind, is_loopback


def ok(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@pytest.fixture
def listener():
    made = bind("127.0.0.1", 0)
    yield made
    made.close()


def ask(listener: socket.socket, path: str = "/") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=20)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def test_it_serves_over_a_real_socket(listener, world):
    server = HealthServer(listener, world.app())
    server.start()

    body = ask(listener, "/livez")

    server.stop()
    assert body == b'{"status": "ok"}\n'


def test_the_port_outlives_a_server_and_a_new_one_takes_over(listener):
    first, second = HealthServer(listener, ok), HealthServer(listener, ok)
    first.start()
    assert ask(listener) == b"ok"
    first.stop()

    second.start()

    assert ask(listener) == b"ok"
    second.stop()
    assert not first.serving


def test_a_loop_that_ends_before_stop_pulls_its_trigger_does_no_harm(listener):
    server = HealthServer(listener, ok)
    server.start()
    loop, trigger = server._thread, server._server.trigger
    pull, pulls = trigger._physical_pull, iter(range(2))

    def late():
        if next(pulls) == 1:
            pull()  # as if a worker had just done it: the loop runs the functions and ends
            loop.join(20)
        pull()

    trigger._physical_pull = late
    server.stop()

    assert not server.serving


def test_stop_is_harmless_when_repeated_or_before_the_start(listener):
    server = HealthServer(listener, ok)
    server.stop()
    server.start()

    server.stop()
    server.stop()

    assert not server.serving


def test_a_stop_finishes_the_reply_in_progress(listener):
    asked, go_on = threading.Event(), threading.Event()

    def slow(environ, start_response):
        asked.set()
        go_on.wait(20)
        return ok(environ, start_response)

    server = HealthServer(listener, slow)
    server.start()
    bodies: list[bytes] = []
    client = threading.Thread(target=lambda: bodies.append(ask(listener)))
    client.start()
    assert asked.wait(20)

    stopping = threading.Thread(target=server.stop)
    stopping.start()
    go_on.set()
    stopping.join(20)
    client.join(20)

    assert bodies == [b"ok"]
    assert not server.serving


def test_a_stop_does_not_wait_for_clients_that_only_hold_a_connection_open(listener):
    server = HealthServer(listener, ok)
    server.start()
    with socket.create_connection(listener.getsockname()) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(100)

        server.stop()

        assert not server.serving


def test_a_crash_in_the_application_is_a_500_and_the_next_request_is_answered(listener):
    calls = iter([RuntimeError("bug"), None])

    def app(environ, start_response):
        if (trouble := next(calls)) is not None:
            raise trouble
        return ok(environ, start_response)

    server = HealthServer(listener, app)
    server.start()

    first, second = ask(listener), ask(listener)

    server.stop()
    assert b"Internal Server Error" in first
    assert b"bug" not in first
    assert second == b"ok"


def test_a_taken_port_is_an_error_that_names_the_process(listener):
    port = listener.getsockname()[1]

    with pytest.raises(HostError) as caught:
        bind("127.0.0.1", port)

    assert f"port {port}" in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert any("--health-port" in fix for fix in caught.value.fixes)


def test_an_address_of_another_host_is_an_error():
    with pytest.raises(HostError, match="not an address of this host"):
        bind("192.0.2.1", 0)


def test_a_host_that_does_not_resolve_is_an_error():
    with pytest.raises(HostError, match="cannot be resolved"):
        bind("no such host", 0)


def test_loopback_is_told_from_an_open_port(listener):
    everywhere = bind("0.0.0.0", 0)

    assert is_loopback(listener)
    assert not is_loopback(everywhere)
    everywhere.close()


def connected(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=20)


def said_to(listener: socket.socket, request: bytes) -> bytes:
    """The whole answer, up to the end of the connection."""
    with connected(listener) as client:
        client.sendall(request)
        pieces = []
        while piece := client.recv(4096):
            pieces.append(piece)
        return b"".join(pieces)


def test_silent_connections_give_way_to_new_ones_and_a_probe_is_answered(listener):
    server = HealthServer(listener, ok)
    server.start()
    silent = [connected(listener) for _ in range(MAX_CONNECTIONS + 20)]

    assert ask(listener) == b"ok"

    assert all(one.recv(1) == b"" for one in silent[:20]), "the oldest are closed"
    assert len(server._server.active_channels) <= MAX_CONNECTIONS
    for one in silent:
        one.close()
    server.stop()


def test_clients_that_do_not_read_their_reply_give_way_to_new_ones(listener):
    def large(environ, start_response):
        if environ["PATH_INFO"] == "/livez":
            return ok(environ, start_response)
        start_response("200 OK", [("Content-Length", "200000")])
        return [b"x" * 200_000]

    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # and so of its connections
    server = HealthServer(listener, large)
    server.start()
    deaf = []
    for _ in range(3 * MAX_CONNECTIONS):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(listener.getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(9), "it is being answered"
        deaf.append(client)

    assert ask(listener, "/livez") == b"ok"

    assert len(server._server.active_channels) <= MAX_CONNECTIONS + 1
    for one in deaf:
        one.close()
    server.stop()


def test_a_request_that_drips_is_given_up(listener):
    server = HealthServer(listener, ok)
    server.start()
    with connected(listener) as client:
        client.sendall(b"GET /")
        assert ask(listener) == b"ok", "the other connection has been read by now"
        acceptor = server._server
        (channel,) = [one for one in acceptor.active_channels.values() if one.request is not None]

        acceptor.maintenance(channel.request_began + REQUEST_SECONDS + 1)
        acceptor.pull_trigger()

        assert client.recv(1) == b""
    server.stop()


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000000\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"20000\r\n" + b"x" * 0x20000 + b"\r\n",
    ],
)  # fmt: skip
def test_a_body_of_more_than_64_kib_is_refused_unread(listener, request_):
    asked: list[object] = []
    server = HealthServer(listener, lambda environ, start: asked.append(environ) or ok(environ, start))
    server.start()

    with connected(listener) as client:
        client.sendall(request_)
        answer = client.recv(4096)

    server.stop()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert asked == []


@pytest.mark.parametrize(
    "line",
    [
        b"GET",
        b"GET / HTTP/9.9",
        b"\xff\xfe\x00",
        b"GET http://[x HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"G\x01T / HTTP/1.1",
        b"GET / HTTP/1.1\r\nContent-Length: x",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: y",
        b"GET / HTTP/1.1\r\n: z",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000,
    ],
    ids=lambda it: repr(it)[:40],
)
def test_what_is_no_request_is_refused_without_a_word_in_the_log(listener, line, log_lines, capsys, caplog):
    server = HealthServer(listener, ok)
    server.start()

    with connected(listener) as client, suppress(OSError):  # the server may have closed it already
        client.sendall(line + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        client.recv(4096)
    assert ask(listener) == b"ok"

    server.stop()
    assert (log_lines, caplog.records) == ([], [])
    assert capsys.readouterr() == ("", "")


def test_a_thread_that_crashes_is_told_and_a_new_server_takes_over(listener, monkeypatch):
    crashed: queue.Queue[str] = queue.Queue()
    first, second = HealthServer(listener, ok, crashed.put), HealthServer(listener, ok)
    first.start()
    assert ask(listener) == b"ok"

    def fail(_: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(first._server, "_make_room", fail)
    with connected(listener):
        assert crashed.get(timeout=20).startswith("ZeroDivisionError: a bug of ours\n")
    first.stop()
    second.start()

    assert ask(listener) == b"ok"
    second.stop()


def test_a_loop_that_ends_by_itself_is_a_crash(listener, monkeypatch):
    crashed: queue.Queue[str] = queue.Queue()
    server = HealthServer(listener, ok, crashed.put)
    server.start()

    def leave() -> bool:
        raise SystemExit(3)

    monkeypatch.setattr(server._server, "readable", leave)
    server._server.pull_trigger()

    assert "has ended by itself" in crashed.get(timeout=20)
    server.stop()
