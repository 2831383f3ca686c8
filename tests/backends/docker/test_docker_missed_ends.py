from __future__ import annotations

from dataclasses import replace

import pytest
from support.engine import RunnerScript

from runscaler.backends.base import Ending, Resource, ResourceState
from runscaler.backends.docker import watch as watching
from runscaler.backends.docker.missed_ends import GRACE_SECONDS, LIST_SECONDS, MissedEnds
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId, RunnerName, ScaleSetKey, SlotNumber
from runscaler.testing.backend_contract import Observed, Orders
from runscaler.testing.clock import FakeClock

KEY = ScaleSetKey.of("https://github.com/o", "", "s")
RUNS = Resource("r", OwnerId("o"), KEY, SlotNumber(0), RunnerName("runner-1"), 1, 0.0)
ENDED = replace(RUNS, state=ResourceState.ENDED, ending=Ending(0))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def missed(clock):
    return MissedEnds("unix:///engine.sock", clock, lambda: [ENDED])


def warnings(log_lines):
    return [line for line in log_lines if "does not report every end" in line]


def test_an_end_that_no_event_tells_is_said_once_and_the_list_is_asked_from_then_on(missed, clock, log_lines):
    missed.listed([RUNS])
    missed.listed([ENDED])
    assert not missed.is_due()

    clock.advance(GRACE_SECONDS)

    assert missed.is_due()
    assert [end.resource_id for end in missed.ends()] == ["r"]
    assert not missed.is_due()
    clock.advance(LIST_SECONDS)
    assert missed.is_due()
    assert len(warnings(log_lines)) == 1
    assert missed.silence == LIST_SECONDS


def test_an_end_is_told_once_however_often_it_is_listed(missed):
    missed.heard("r")
    missed.listed([ENDED])

    assert missed.ends() == []


def test_an_event_that_comes_after_the_list_is_not_missed(missed, clock, log_lines):
    missed.started("r")
    missed.listed([ENDED])
    missed.heard("r")
    clock.advance(10 * GRACE_SECONDS)

    assert not missed.is_due()
    assert warnings(log_lines) == []


@pytest.mark.parametrize("before", ["nothing", "a break of the stream"])
def test_what_may_have_ended_without_a_stream_is_not_held_against_it(missed, clock, before):
    if before != "nothing":
        missed.started("r")
        missed.forget()
    missed.listed([ENDED])
    clock.advance(10 * GRACE_SECONDS)

    assert not missed.is_due()
    assert missed.silence == float("inf")


@pytest.mark.engine
def test_ends_are_heard_on_an_engine_whose_events_tell_none(rig, owner, monkeypatch, log_lines):
    monkeypatch.setattr(watching, "MEANINGS", {"oom": "oom"})
    defaults = {"silence_seconds": 0.2, "ping_seconds": 10.0}
    monkeypatch.setattr(watching.Watch.__init__, "__kwdefaults__", defaults)
    backend, orders = rig.open(owner), Orders(rig)
    observed = Observed(backend)
    observed.first()
    first = backend.start(orders.make(RunnerScript(exit_code=3)), Interrupt())
    while backend.inventory()[0].state is not ResourceState.ENDED:
        pass

    assert observed.end_of(first).ending.exit_code == 3
    second = backend.start(orders.make(RunnerScript(exit_code=4)), Interrupt())
    assert observed.end_of(second).key == second.key

    observed.stop()
    backend.close()
    assert len(warnings(log_lines)) == 1
