"""Worker threads: what they did comes back as one message. Real threads."""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runscaler.actors.messages import WorkerCrashed
from runscaler.actors.workers import WorkerPool
from runscaler.errors import BackendError, Interrupted, RunscalerError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0


class Bench:
    """WorkerPool, and what they told."""

    def __init__(self, width: int) -> None:
        self.told: queue.Queue[object] = queue.Queue()
        self.workers = WorkerPool("bench", width, self.told.put)

    def submit(self, call: object) -> None:
        self.workers.submit(call, done=lambda it: ("done", it), failed=lambda e: ("failed", str(e)))  # type: ignore[arg-type]

    def hear(self) -> object:
        return self.told.get(timeout=PATIENCE)


@contextmanager
def bench(width: int = 1) -> Iterator[Bench]:
    """Closed at the end, its threads gone."""
    made = Bench(width)
    yield made
    made.workers.close()
    wait_for_end()


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("bench ")]


def wait_for_end() -> None:
    for one in threads():
        one.join(PATIENCE)
        assert not one.is_alive()


def fail(error: Exception) -> None:
    raise error


def test_an_answer_is_told_as_what_done_makes_of_it() -> None:
    with bench() as it:
        it.submit(lambda: 42)
        assert it.hear() == ("done", 42)


def test_an_expected_error_is_told_as_what_failed_makes_of_it() -> None:
    with bench() as it:
        it.submit(lambda: fail(BackendError("the engine is away")))
        assert it.hear() == ("failed", "the engine is away")
        it.submit(lambda: fail(Interrupted()))
        assert it.hear() == ("failed", "interrupted")


def test_an_unexpected_error_is_told_as_text_without_values_and_the_worker_goes_on() -> None:
    def leak() -> None:
        token = "ghp_" + "secret"
        raise KeyError(len(token))

    with bench() as it:
        it.submit(leak)
        crash = it.hear()
        assert isinstance(crash, WorkerCrashed)
        assert crash.error.startswith("KeyError: 10\n")
        assert "ghp_secret" not in crash.error

        it.submit(lambda: 1)
        assert it.hear() == ("done", 1)


def test_a_call_that_exits_is_a_crash_and_the_worker_goes_on() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with bench() as it:
        it.submit(leave)
        crash = it.hear()
        assert isinstance(crash, WorkerCrashed)
        assert crash.error.startswith("SystemExit: 3")

        it.submit(lambda: 1)
        assert it.hear() == ("done", 1)


def test_an_error_while_telling_of_success_is_a_crash_too() -> None:
    def no_message(_: object) -> object:
        raise TypeError("cannot be told")

    def no_failure(_: RunscalerError) -> object:
        raise AssertionError("nothing failed")

    with bench() as it:
        it.workers.submit(lambda: 1, done=no_message, failed=no_failure)
        assert isinstance(it.hear(), WorkerCrashed)


def test_no_thread_is_made_before_it_is_needed_and_no_more_than_the_width() -> None:
    with bench(width=2) as it:
        assert threads() == []
        for _ in range(10):
            it.submit(threading.get_ident)
        assert len({it.hear() for _ in range(10)}) <= 2
        assert len(threads()) == 2
        assert all(one.daemon for one in threads())


def test_as_much_is_done_at_once_as_there_are_workers() -> None:
    with bench(width=3) as it:
        together = threading.Barrier(3)
        for _ in range(3):
            it.submit(lambda: together.wait(PATIENCE) >= 0)
        assert [it.hear() for _ in range(3)] == [("done", True)] * 3


def test_after_close_nothing_is_told_or_begun() -> None:
    held, begun = threading.Event(), threading.Event()
    with bench() as it:
        it.submit(lambda: begun.set() or held.wait(PATIENCE))
        it.submit(lambda: "behind")
        assert begun.wait(PATIENCE)

        it.workers.close()
        it.submit(lambda: "too late")
        held.set()
        wait_for_end()

        assert it.told.empty()


def test_after_close_no_thread_is_made() -> None:
    with bench() as it:
        it.workers.close()
        it.submit(lambda: 1)

        assert threads() == []


def test_closing_twice_is_harmless() -> None:
    with bench() as it:
        it.submit(lambda: 1)
        assert it.hear() == ("done", 1)
        it.workers.close()
