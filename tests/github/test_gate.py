from __future__ import annotations

import threading

import pytest

from runscaler.errors import Interrupted
from runscaler.github.gate import Gate
from runscaler.interrupt import Interrupt

LIMIT = 20.0


def test_as_many_as_its_width_pass_at_once() -> None:
    gate, most, inside = Gate(3), 0, 0
    lock, all_in, go_on = threading.Lock(), threading.Event(), threading.Event()

    def pass_through() -> None:
        nonlocal most, inside
        with gate.passing(Interrupt()):
            with lock:
                inside += 1
                most = max(most, inside)
                if inside == 3:
                    all_in.set()
            go_on.wait(LIMIT)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=pass_through) for _ in range(10)]
    for thread in threads:
        thread.start()
    assert all_in.wait(LIMIT)
    go_on.set()
    for thread in threads:
        thread.join(LIMIT)

    assert most == 3


def test_a_waiter_is_interrupted_and_the_next_one_still_gets_in() -> None:
    gate, interrupt, outcome = Gate(1), Interrupt(), []
    held, entered = threading.Event(), threading.Event()

    def wait_in_vain() -> None:
        try:
            with gate.passing(interrupt):
                outcome.append("in")
        except Interrupted:
            outcome.append("interrupted")

    def wait() -> None:
        held.set()
        with gate.passing(Interrupt()):
            entered.set()

    with gate.passing(Interrupt()):
        first, second = threading.Thread(target=wait_in_vain), threading.Thread(target=wait)
        first.start()
        second.start()
        held.wait(LIMIT)
        interrupt.set()
        first.join(LIMIT)
        assert outcome == ["interrupted"]
    assert entered.wait(LIMIT)
    second.join(LIMIT)


def test_an_interrupt_that_is_set_keeps_out_also_where_there_is_room() -> None:
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted), Gate(1).passing(interrupt):
        pass
