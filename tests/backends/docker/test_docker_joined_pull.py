from __future__ import annotations

import threading

import pytest

from runscaler.backends.docker.joined_pull import JoinedPull
from runscaler.errors import ImageMissing, Interrupted
from runscaler.interrupt import Interrupt

PATIENCE = 30.0


class Waiter(threading.Thread):
    """Joins on a thread of its own; `error` is what it raised, `heard` the progress it was told."""

    def __init__(self, pull, way="a"):
        super().__init__(name="waiter")
        self.pull, self.way = pull, way
        self.interrupt, self.has_joined = Interrupt(), threading.Event()
        self.heard, self.error, self.had_its_turn = [], None, False

    def progress(self, *step):
        self.heard.append(step)
        self.has_joined.set()

    def run(self):
        try:
            with self.pull.joined(self.progress, self.interrupt) as ticket:
                self.had_its_turn = True
                self.pull.raise_shared(ticket, self.way)
        except (ImageMissing, Interrupted) as error:
            self.error = error

    def join_in(self):
        self.start()
        assert self.has_joined.wait(PATIENCE)

    def leave(self):
        self.join(PATIENCE)
        assert not self.is_alive()


@pytest.fixture
def pull():
    return JoinedPull()


def nothing(*_):
    pass


def test_whoever_joins_sees_how_far_it_is_and_what_follows(pull):
    waiter = Waiter(pull)
    with pull.joined(nothing, Interrupt()):
        pull.tell("pulling x", 1, 3)
        waiter.join_in()
        pull.tell("pulling x", 3, 3)
    waiter.leave()

    assert waiter.heard == [("pulling x", 1, 3), ("pulling x", 3, 3)]
    assert waiter.error is None


@pytest.mark.parametrize(("way", "shared"), [("a", True), ("b", False)])
def test_a_failure_counts_for_those_who_waited_and_go_the_same_way(pull, way, shared):
    waiter = Waiter(pull, way)
    failure = ImageMissing("it is not there", fixes=("look",))
    with pull.joined(nothing, Interrupt()):
        pull.tell("pulling x", 0, 0)
        waiter.join_in()
        pull.failed("a", failure)
    waiter.leave()

    assert waiter.had_its_turn
    assert (waiter.error is not None) == shared
    if shared:
        assert (str(waiter.error), waiter.error.fixes) == ("it is not there", ("look",))
        assert waiter.error is not failure


def test_a_failure_does_not_count_for_whoever_comes_later(pull):
    with pull.joined(nothing, Interrupt()):
        pull.failed("a", ImageMissing("it is not there"))

    with pull.joined(nothing, Interrupt()) as ticket:
        pull.raise_shared(ticket, "a")


def test_progress_of_an_earlier_pull_is_told_to_nobody(pull):
    heard = []
    with pull.joined(nothing, Interrupt()):
        pull.tell("pulling x", 1, 3)

    with pull.joined(lambda *step: heard.append(step), Interrupt()):
        pass

    assert heard == []


def test_one_that_waits_can_be_interrupted(pull):
    waiter = Waiter(pull)
    with pull.joined(nothing, Interrupt()):
        pull.tell("pulling x", 1, 3)
        waiter.join_in()
        waiter.interrupt.set()
        waiter.leave()
        pull.tell("pulling x", 2, 3)

    assert isinstance(waiter.error, Interrupted)
    assert waiter.heard == [("pulling x", 1, 3)]
