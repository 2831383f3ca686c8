"""A sweep pauses while containers are being started, but not for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.daemon import wait_until

from runscaler.backends.docker.starts_under_way import StartsUnderWay
from runscaler.errors import Interrupted
from runscaler.interrupt import Interrupt

PATIENCE = 60.0


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_nobody_pauses_where_nothing_is_started():
    StartsUnderWay().let_pass(Interrupt(), PATIENCE)


def test_a_sweep_goes_on_when_the_last_start_is_over(pool):
    starts, order = StartsUnderWay(), []

    def sweep():
        starts.let_pass(Interrupt(), PATIENCE)
        order.append("sweep")

    with starts.one():
        with starts.one():
            going_on = pool.submit(sweep)
            wait_until(lambda: starts._changed._waiters, "the pause of the sweep")
            order.append("first")
        order.append("second")
    going_on.result(PATIENCE)

    assert order == ["first", "second", "sweep"]


def test_starts_that_do_not_end_stop_no_sweep():
    starts = StartsUnderWay()
    with starts.one():
        starts.let_pass(Interrupt(), 0.01)


def test_an_interrupt_ends_the_pause(pool):
    starts, interrupt = StartsUnderWay(), Interrupt()
    with starts.one():
        pause = pool.submit(starts.let_pass, interrupt, PATIENCE)
        interrupt.set()

        with pytest.raises(Interrupted):
            pause.result(PATIENCE)


def test_a_start_that_fails_is_over_too():
    starts = StartsUnderWay()
    with pytest.raises(KeyError), starts.one():
        raise KeyError

    starts.let_pass(Interrupt(), PATIENCE)
