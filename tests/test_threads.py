from __future__ import annotations

import queue

from runscaler.threads import MOST_CRASHES, keep_running, start_thread

TIMEOUT = 30.0


def test_a_crash_is_told_to_the_owner_and_said(log_lines: list[str]) -> None:
    told: queue.Queue[str] = queue.Queue()

    def run() -> None:
        raise SystemExit("a bug of ours")

    thread = start_thread(run, "watcher", told.put)

    assert told.get(timeout=TIMEOUT).startswith("SystemExit: a bug of ours\n")
    thread.join(TIMEOUT)
    assert (thread.name, thread.daemon) == ("watcher", True)
    assert any("thread watcher crashed: SystemExit" in line for line in log_lines)


def test_an_end_in_order_is_no_crash() -> None:
    told: list[str] = []

    thread = start_thread(lambda: None, "watcher", told.append)

    thread.join(TIMEOUT)
    assert told == []


def test_one_that_is_kept_running_goes_on_after_a_crash(log_lines: list[str]) -> None:
    steps = iter([ValueError("first"), None])

    def run() -> None:
        if (error := next(steps)) is not None:
            raise error

    thread = keep_running(run, "clock")

    thread.join(TIMEOUT)
    assert next(steps, "none left") == "none left"
    assert [line.strip() for line in log_lines] == ["thread clock crashed, and goes on: ValueError: first"]


def test_one_that_crashes_without_end_is_given_up(log_lines: list[str]) -> None:
    runs: list[int] = []

    def run() -> None:
        runs.append(1)
        raise ValueError("always")

    thread = keep_running(run, "clock")

    thread.join(TIMEOUT)
    assert len(runs) == MOST_CRASHES
    assert f"thread clock has crashed {MOST_CRASHES} times, and ends" in log_lines[-1]
