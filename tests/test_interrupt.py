"""The one way to reach a thread that blocks in a call: level-triggered, so that none is lost."""

from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from runscaler.errors import Interrupted
from runscaler.interrupt import Interrupt

LIMIT = 30.0


class Call:
    """A blocking call, as of a socket: `cut` from another thread makes it fail."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._over = threading.Event()
        self.cuts = 0

    def run(self) -> NoReturn:
        self.began.set()
        assert self._over.wait(LIMIT)
        raise ConnectionResetError("the socket was shut")

    def cut(self) -> None:
        self.cuts += 1
        self._over.set()


def never() -> NoReturn:
    raise AssertionError("nothing was to be cut")


def test_a_call_in_flight_is_cut_and_its_error_becomes_interrupted() -> None:
    interrupt, call = Interrupt(), Call()
    found: list[BaseException] = []

    def work() -> None:
        try:
            with interrupt.cancelling(call.cut):
                call.run()
        except Interrupted as error:
            found.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert call.began.wait(LIMIT)
    interrupt.set()
    worker.join(LIMIT)

    assert call.cuts == 1
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
    interrupt, cuts, results = Interrupt(), [], []

    with interrupt.cancelling(lambda: cuts.append("cut")):
        interrupt.set()
        results.append("done")

    assert (cuts, results) == (["cut"], ["done"])
    assert interrupt.is_set()


def test_an_error_that_nobody_caused_passes_as_it_is() -> None:
    with pytest.raises(ConnectionResetError), Interrupt().cancelling(never):
        raise ConnectionResetError


def test_a_call_that_is_over_is_not_cut() -> None:
    interrupt = Interrupt()
    with interrupt.cancelling(never):
        pass
    with pytest.raises(ValueError), interrupt.cancelling(never):
        raise ValueError

    interrupt.set()

    assert interrupt.is_set()


def test_the_call_that_is_cut_is_the_latest() -> None:
    interrupt, cuts = Interrupt(), []
    with interrupt.cancelling(lambda: cuts.append("first")):
        pass

    with interrupt.cancelling(lambda: cuts.append("second")):
        interrupt.set()

    assert cuts == ["second"]


def test_a_socket_that_is_closed_already_does_no_harm_to_whoever_cuts_it() -> None:
    def cut() -> NoReturn:
        raise OSError("bad file descriptor")

    interrupt = Interrupt()
    with interrupt.cancelling(cut):
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


def test_a_second_cut_is_not_lost_while_the_message_of_the_first_is_received() -> None:
    interrupt = Interrupt()
    interrupt.set()
    interrupt.set()

    interrupt.clear()
    assert interrupt.is_set()

    interrupt.clear()
    assert not interrupt.is_set()
