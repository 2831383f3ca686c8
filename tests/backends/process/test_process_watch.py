from __future__ import annotations

import queue

import pytest

from runscaler.backends.base import BackendAvailable, BackendUnavailable, ResourceEnded, WatchCrashed
from runscaler.backends.process import watch
from runscaler.backends.process.watch import ProcessWatch
from runscaler.errors import BackendError
from runscaler.testing.backend_contract import PATIENCE


@pytest.fixture
def seen():
    return queue.Queue()


@pytest.fixture
def watched(seen):
    """A function that starts a watch without exit descriptors and stops it after the test."""
    watches = []

    def watch(running, look):
        watch = ProcessWatch(running, look, seen.put, lambda _pid: None)
        watches.append(watch)
        watch.start()
        return watch

    yield watch
    for each in watches:
        each.stop()


def test_a_directory_that_cannot_be_listed_is_reported_and_does_not_delay_the_stop(watched, seen):
    def refuse():
        raise BackendError("no permission", fixes=("ask root",))

    watch = watched(refuse, lambda resource_id: None)

    assert seen.get(timeout=PATIENCE) == BackendUnavailable("no permission", ("ask root",))
    watch.stop()
    assert seen.empty()


def test_a_trouble_that_lasts_is_reported_once(watched, seen, monkeypatch):
    monkeypatch.setattr(watch, "LIST_RETRY", 0.0)
    answers = [BackendError("no permission"), BackendError("no permission"), {}]

    def running():
        answer = answers.pop(0)
        if isinstance(answer, BackendError):
            raise answer
        return answer

    watched(running, lambda resource_id: None)

    assert seen.get(timeout=PATIENCE) == BackendUnavailable("no permission")
    assert seen.get(timeout=PATIENCE) == BackendAvailable()


def test_a_runner_that_cannot_be_checked_is_checked_again(watched, seen):
    answers = [BackendError("busy"), None]

    def look(resource_id):
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    watched(lambda: {"runner-00000001": 1}, look)

    assert seen.get(timeout=PATIENCE) == BackendAvailable()
    assert seen.get(timeout=PATIENCE) == ResourceEnded("runner-00000001", None)
    assert answers == []


def test_a_report_may_stop_its_own_watch(seen):
    def report(observation):
        watch.stop()
        seen.put(observation)

    watch = ProcessWatch(dict, lambda resource_id: None, report, lambda _pid: None)
    watch.start()

    assert seen.get(timeout=PATIENCE) == BackendAvailable()
    watch.stop()
    watch.follow("runner-00000001", 1)
    assert seen.empty()


def test_a_watch_that_crashes_says_so(watched, seen):
    def crash():
        raise ZeroDivisionError("a bug of ours")

    watched(crash, lambda resource_id: None)

    crashed = seen.get(timeout=PATIENCE)
    assert isinstance(crashed, WatchCrashed)
    assert crashed.error.startswith("ZeroDivisionError: a bug of ours\n")
