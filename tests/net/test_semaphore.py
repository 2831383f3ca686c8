from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.daemon import wait_until

from runscaler.errors import Interrupted
from runscaler.interrupt import Interrupt
from runscaler.net.admission import Turn
from runscaler.net.semaphore import InterruptibleSemaphore

LIMIT = 20.0


def test_as_many_as_its_limit_hold_it_at_once() -> None:
    semaphore, most, inside = InterruptibleSemaphore(3), 0, 0
    lock, all_in, go_on = threading.Lock(), threading.Event(), threading.Event()

    def hold() -> None:
        nonlocal most, inside
        with semaphore.held(Interrupt()):
            with lock:
                inside += 1
                most = max(most, inside)
                if inside == 3:
                    all_in.set()
            go_on.wait(LIMIT)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=hold) for _ in range(10)]
    for thread in threads:
        thread.start()
    assert all_in.wait(LIMIT)
    go_on.set()
    for thread in threads:
        thread.join(LIMIT)

    assert most == 3


def test_a_waiter_is_interrupted_and_the_next_one_still_gets_in() -> None:
    semaphore, interrupt, outcome = InterruptibleSemaphore(1), Interrupt(), []
    held, entered = threading.Event(), threading.Event()

    def wait_in_vain() -> None:
        try:
            with semaphore.held(interrupt):
                outcome.append("in")
        except Interrupted:
            outcome.append("interrupted")

    def wait() -> None:
        held.set()
        with semaphore.held(Interrupt()):
            entered.set()

    with semaphore.held(Interrupt()):
        first, second = threading.Thread(target=wait_in_vain), threading.Thread(target=wait)
        first.start()
        second.start()
        held.wait(LIMIT)
        interrupt.set()
        first.join(LIMIT)
        assert outcome == ["interrupted"]
    assert entered.wait(LIMIT)
    second.join(LIMIT)


def test_an_interrupt_that_is_set_keeps_out_even_if_it_is_free() -> None:
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted), InterruptibleSemaphore(1).held(interrupt):
        pass


def test_a_wait_ends_after_so_many_seconds() -> None:
    with pytest.raises(TimeoutError), InterruptibleSemaphore(0).held(Interrupt(), 0.01):
        pass


def test_no_more_than_its_limit_ever_hold_it() -> None:
    semaphore, lock = InterruptibleSemaphore(3), threading.Lock()
    inside, most = 0, 0

    def work(_number: int) -> None:
        nonlocal inside, most
        with semaphore.held(Interrupt(), LIMIT):
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(200)))

    assert 1 <= most <= 3


def test_waiters_go_by_their_turns_and_not_as_they_came() -> None:
    semaphore, order = InterruptibleSemaphore(1), []

    def hold(turn: Turn) -> None:
        with semaphore.held(Interrupt(), LIMIT, turn=turn):
            order.append(turn)

    threads = [threading.Thread(target=hold, args=(turn,)) for turn in reversed(Turn)]
    with semaphore.held(Interrupt()):
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_until(lambda number=number: semaphore.waiting == number, "one more that waits")
    for thread in threads:
        thread.join(LIMIT)

    assert order == [Turn.FIRST, Turn.USUAL, Turn.LATER]


def test_who_is_let_in_and_interrupted_at_once_passes_it_on() -> None:
    """Its thread runs again only after both."""
    semaphore, interrupt, outcome = InterruptibleSemaphore(1), Interrupt(), []

    def wait_in_vain() -> None:
        try:
            with semaphore.held(interrupt):
                outcome.append("in")
        except Interrupted:
            outcome.append("interrupted")

    thread = threading.Thread(target=wait_in_vain)
    with semaphore.held(Interrupt()):
        thread.start()
        wait_until(lambda: semaphore.waiting == 1, "one that waits")
        interrupt.set()
    thread.join(LIMIT)

    assert outcome == ["interrupted"]
    with semaphore.held(Interrupt(), 0):
        assert semaphore.waiting == 0
