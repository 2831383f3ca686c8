"""A pool of workers: the outcome of each call comes back as one message. Real threads."""

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

TIMEOUT = 30.0


class Harness:
    """A worker pool, and what it told."""

    def __init__(self, width: int) -> None:
        self.told: queue.Queue[object] = queue.Queue()
        self.workers = WorkerPool("harness", width, self.told.put)

    def submit(self, call: object) -> None:
        self.workers.submit(call, done=lambda it: ("done", it), failed=lambda e: ("failed", str(e)))  # type: ignore[arg-type]

    def result(self) -> object:
        return self.told.get(timeout=TIMEOUT)


@contextmanager
def harness(width: int = 1) -> Iterator[Harness]:
    """Closed at the end, when its threads have ended."""
    made = Harness(width)
    yield made
    made.workers.close()
    wait_for_end()


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("harness ")]


def wait_for_end() -> None:
    for one in threads():
        one.join(TIMEOUT)
        assert not one.is_alive()


def fail(error: Exception) -> None:
    raise error


def test_the_result_of_a_call_is_told_as_the_message_that_done_makes() -> None:
    with harness() as it:
        it.submit(lambda: 42)
        assert it.result() == ("done", 42)


def test_an_expected_error_is_told_as_the_message_that_failed_makes() -> None:
    with harness() as it:
        it.submit(lambda: fail(BackendError("the engine is away")))
        assert it.result() == ("failed", "the engine is away")
        it.submit(lambda: fail(Interrupted()))
        assert it.result() == ("failed", "interrupted")


def test_an_unexpected_error_is_told_without_values_of_variables_and_the_worker_continues() -> None:
    def leak() -> None:
        token = "ghp_" + "secret"
        raise KeyError(len(token))

    with harness() as it:
        it.submit(leak)
        crash = it.result()
        assert isinstance(crash, WorkerCrashed)
        assert crash.error.startswith("KeyError: 10\n")
        assert "ghp_secret" not in crash.error

        it.submit(lambda: 1)
        assert it.result() == ("done", 1)


def test_a_call_that_raises_system_exit_is_a_crash_and_the_worker_continues() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with harness() as it:
        it.submit(leave)
        crash = it.result()
        assert isinstance(crash, WorkerCrashed)
        assert crash.error.startswith("SystemExit: 3")

        it.submit(lambda: 1)
        assert it.result() == ("done", 1)


def test_an_error_in_done_is_a_crash_too() -> None:
    def no_message(_: object) -> object:
        raise TypeError("cannot be told")

    def no_failure(_: RunscalerError) -> object:
        raise AssertionError("nothing failed")

    with harness() as it:
        it.workers.submit(lambda: 1, done=no_message, failed=no_failure)
        assert isinstance(it.result(), WorkerCrashed)


def test_threads_are_started_when_needed_and_no_more_than_the_width() -> None:
    with harness(width=2) as it:
        assert threads() == []
        for _ in range(10):
            it.submit(threading.get_ident)
        assert len({it.result() for _ in range(10)}) <= 2
        assert len(threads()) == 2
        assert all(one.daemon for one in threads())


def test_as_many_calls_run_at_once_as_there_are_threads() -> None:
    with harness(width=3) as it:
        together = threading.Barrier(3)
        for _ in range(3):
            it.submit(lambda: together.wait(TIMEOUT) >= 0)
        assert [it.result() for _ in range(3)] == [("done", True)] * 3


def test_after_close_no_call_begins_and_no_result_is_told() -> None:
    held, begun = threading.Event(), threading.Event()
    with harness() as it:
        it.submit(lambda: begun.set() or held.wait(TIMEOUT))
        it.submit(lambda: "behind")
        assert begun.wait(TIMEOUT)

        it.workers.close()
        it.submit(lambda: "too late")
        held.set()
        wait_for_end()

        assert it.told.empty()


def test_after_close_no_thread_is_started() -> None:
    with harness() as it:
        it.workers.close()
        it.submit(lambda: 1)

        assert threads() == []


def test_closing_twice_is_harmless() -> None:
    with harness() as it:
        it.submit(lambda: 1)
        assert it.result() == ("done", 1)
        it.workers.close()


def test_a_result_that_cannot_be_told_is_a_crash() -> None:
    told: queue.Queue[object] = queue.Queue()

    def tell(message: object) -> None:
        if message == "result":
            raise SystemExit("a bug of ours")
        told.put(message)

    workers = WorkerPool("harness", 1, tell)
    workers.submit(lambda: "result", done=lambda it: it, failed=str)

    crash = told.get(timeout=TIMEOUT)
    assert isinstance(crash, WorkerCrashed)
    assert crash.error.startswith("SystemExit: a bug of ours")
    wait_for_end()
