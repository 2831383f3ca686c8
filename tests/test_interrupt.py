"""How one thread ends a blocking call of another; an interrupt stays set, so none is lost."""

from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from runscaler.errors import Interrupted
from runscaler.interrupt import Interrupt

LIMIT = 30.0


class Call:
    """A blocking call, as of a socket: `cancel` from another thread makes it fail."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._over = threading.Event()
        self.cancellations = 0

    def run(self) -> NoReturn:
        self.began.set()
        assert self._over.wait(LIMIT)
        raise ConnectionResetError("the socket was shut")

    def cancel(self) -> None:
        self.cancellations += 1
        self._over.set()


def never() -> NoReturn:
    raise AssertionError("nothing was to be cancelled")


def test_a_call_in_progress_is_cancelled_and_its_error_becomes_interrupted() -> None:
    interrupt, call = Interrupt(), Call()
    found: list[BaseException] = []

    def work() -> None:
        try:
            with interrupt.cancelling(call.cancel):
                call.run()
        except Interrupted as error:
            found.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert call.began.wait(LIMIT)
    interrupt.set()
    worker.join(LIMIT)

    assert call.cancellations == 1
    assert isinstance(found[0].__cause__, ConnectionResetError)


def test_a_call_after_the_interrupt_is_refused_at_its_door() -> None:
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted), interrupt.cancelling(never):
        raise AssertionError("the call was made")


def test_every_later_call_is_refused_until_the_interrupt_is_cleared() -> None:
    interrupt, calls = Interrupt(), []
    interrupt.set()
    for _ in range(2):
        with pytest.raises(Interrupted), interrupt.cancelling(never):
            calls.append("refused")

    interrupt.clear()
    with interrupt.cancelling(never):
        calls.append("made")

    assert calls == ["made"]
    assert not interrupt.is_set()


def test_a_call_that_finished_all_the_same_keeps_its_result() -> None:
    interrupt, cancelled, results = Interrupt(), [], []

    with interrupt.cancelling(lambda: cancelled.append("cancelled")):
        interrupt.set()
        results.append("done")

    assert (cancelled, results) == (["cancelled"], ["done"])
    assert interrupt.is_set()


def test_an_error_that_nobody_caused_passes_as_it_is() -> None:
    with pytest.raises(ConnectionResetError), Interrupt().cancelling(never):
        raise ConnectionResetError


def test_a_call_that_is_over_is_not_cancelled() -> None:
    interrupt = Interrupt()
    with interrupt.cancelling(never):
        pass
    with pytest.raises(ValueError), interrupt.cancelling(never):
        raise ValueError

    interrupt.set()

    assert interrupt.is_set()


def test_the_call_that_is_cancelled_is_the_latest() -> None:
    interrupt, cancelled = Interrupt(), []
    with interrupt.cancelling(lambda: cancelled.append("first")):
        pass

    with interrupt.cancelling(lambda: cancelled.append("second")):
        interrupt.set()

    assert cancelled == ["second"]


def test_a_socket_that_is_closed_already_does_no_harm_to_whoever_cancels_it() -> None:
    def cancel() -> NoReturn:
        raise OSError("bad file descriptor")

    interrupt = Interrupt()
    with interrupt.cancelling(cancel):
        interrupt.set()

    assert interrupt.is_set()


def test_a_wait_ends_as_soon_as_the_interrupt_is_set() -> None:
    interrupt, found = Interrupt(), []

    def work() -> None:
        try:
            interrupt.wait(3600.0)
        except Interrupted as error:
            found.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    interrupt.set()
    worker.join(LIMIT)

    assert len(found) == 1


def test_a_wait_behind_a_set_interrupt_does_not_begin() -> None:
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted):
        interrupt.wait(3600.0)


def test_a_second_set_is_not_lost_while_the_message_of_the_first_is_received() -> None:
    interrupt = Interrupt()
    interrupt.set()
    interrupt.set()

    interrupt.clear()
    assert interrupt.is_set()

    interrupt.clear()
    assert not interrupt.is_set()
