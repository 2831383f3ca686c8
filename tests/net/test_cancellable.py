from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from runscaler.errors import Interrupted
from runscaler.interrupt import Interrupt
from runscaler.net.cancellable import CONNECT_THREAD, CallCancelled, CancellableCall, current_call

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 20.0
LONG_GRACE = 3600.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT)
    with ours, theirs:
        yield ours, theirs


def test_a_look_up_that_hangs_is_left_behind_and_its_socket_closed() -> None:
    go_on, begun, made = threading.Event(), threading.Event(), socket.socket()

    def connect() -> socket.socket:
        begun.set()
        go_on.wait(LIMIT)
        return made

    call = CancellableCall()
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(call.connect, connect)
        assert begun.wait(LIMIT)
        call.cancel()
        assert isinstance(connecting.exception(LIMIT), CallCancelled)

    go_on.set()
    for thread in threading.enumerate():
        if thread.name == CONNECT_THREAD:
            thread.join(LIMIT)
    assert made.fileno() == -1


def test_a_look_up_that_fails_after_it_was_left_behind_disturbs_nobody() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def connect() -> socket.socket:
        begun.set()
        go_on.wait(LIMIT)
        raise OSError("no such host")

    call = CancellableCall()
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(call.connect, connect)
        assert begun.wait(LIMIT)
        call.cancel()
        assert isinstance(connecting.exception(LIMIT), CallCancelled)

    go_on.set()
    for thread in threading.enumerate():
        if thread.name == CONNECT_THREAD:
            thread.join(LIMIT)


def test_what_goes_wrong_while_connecting_is_raised() -> None:
    def connect() -> socket.socket:
        raise ValueError("no such port")

    with pytest.raises(ValueError, match="no such port"):
        CancellableCall().connect(connect)


def test_a_cancelled_call_refuses_every_later_step(pair: tuple[socket.socket, socket.socket]) -> None:
    call = CancellableCall()

    call.cancel()

    with pytest.raises(CallCancelled):
        call.use(object(), pair[0])
    with pytest.raises(CallCancelled):
        call.connect(socket.socket)


def test_an_interrupt_shuts_the_socket_in_use(pair: tuple[socket.socket, socket.socket]) -> None:
    call, interrupt = CancellableCall(), Interrupt()

    def read() -> None:
        with call.running(interrupt):
            call.use(object(), pair[0])
            interrupt.set()
            assert pair[0].recv(1) == b""
            raise ConnectionResetError

    with pytest.raises(Interrupted):
        read()


def test_a_call_that_has_ended_leaves_its_socket_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    call = CancellableCall()
    with call.running(Interrupt()):
        call.use(object(), pair[0])

    call.cancel()

    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"


def test_a_request_that_was_sent_gets_its_grace(pair: tuple[socket.socket, socket.socket]) -> None:
    call, interrupt = CancellableCall(grace=LONG_GRACE), Interrupt()

    with call.running(interrupt):
        call.use(object(), pair[0])
        interrupt.set()
        interrupt.set()
        pair[1].send(b"x")
        assert pair[0].recv(1) == b"x"

    assert not call.cancelled


def test_a_request_that_is_not_answered_within_its_grace_is_cancelled(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    call, interrupt = CancellableCall(grace=0.01), Interrupt()

    with call.running(interrupt):
        call.use(object(), pair[0])
        interrupt.set()
        assert pair[0].recv(1) == b""

    assert call.cancelled


def test_a_call_that_has_sent_nothing_gets_no_grace() -> None:
    call, interrupt = CancellableCall(grace=LONG_GRACE), Interrupt()

    with call.running(interrupt):
        interrupt.set()

    assert call.cancelled


def test_a_call_that_ends_within_its_grace_leaves_no_thread(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    call, interrupt = CancellableCall(grace=LONG_GRACE), Interrupt()

    with call.running(interrupt):
        call.use(object(), pair[0])
        interrupt.set()

    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(LIMIT)
        assert not timer.is_alive()


def test_calls_of_one_thread_may_lie_within_each_other() -> None:
    outer, inner = CancellableCall(), CancellableCall()

    with outer.running(Interrupt()):
        with inner.running(Interrupt()):
            assert current_call() is inner
        assert current_call() is outer
    assert current_call() is None
