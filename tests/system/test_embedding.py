"""As a library in another program: several at once, silent, nothing is left. docs/behaviour.md § 13"""

from __future__ import annotations

import threading

import pykka
import pytest
from loguru import logger
from support.daemon import wait_until

from runscaler import Autoscaler, load_config
from runscaler.events import JobCompleted, JobStarted, RunnerRemoved, RunnerStarted

OURS = ("root", "health", "host", "keeper", "scale-set", "listener", "runner", "process", "events", "github")
"""How the names of an autoscaler's threads start; the simulated GitHub has threads too."""


class ForeignActor(pykka.ThreadingActor):
    """An actor that belongs to the embedding program."""

    def on_receive(self, message):
        return f"heard {message}"


@pytest.fixture
def foreign_actor():
    ref = ForeignActor.start()
    yield ref
    ref.stop(timeout=10)


@pytest.fixture
def lines():
    """What runscaler logs to a log sink of the embedding program."""
    heard = []
    logger.remove()
    logger.disable("runscaler")  # as importing it did
    sink = logger.add(lambda line: heard.append(str(line)), level="DEBUG")
    yield heard
    logger.remove(sink)


@pytest.fixture
def scaler(github, daemon, scale_set):
    """`scaler("one")`: an autoscaler with a scale set of that name, not started yet, and its files."""

    def make(name):
        url = github.config_url(f"org-{name}")
        files = daemon(scale_set(name, backend="process", max_runners=2, url=url), name)
        return Autoscaler(load_config(files.path)), files

    return make


def job_runs(github, name):
    (done,) = github.wait_for_jobs(github.queue_jobs(name))
    return done.result == "succeeded"


def test_two_in_one_process_print_nothing_and_leave_no_thread_and_a_foreign_actor_alone(
    github, scaler, foreign_actor, lines, capfd
):
    before = set(threading.enumerate())
    (one, one_files), (two, two_files) = scaler("one"), scaler("two")
    events = []
    one.subscribe(events.append)

    with one, two:
        assert one.wait_ready(30)
        assert two.wait_ready(30)
        assert job_runs(github, "one")
        assert job_runs(github, "two")
        wait_until(lambda: any(isinstance(each, RunnerRemoved) for each in events), "the runner's end")
        assert foreign_actor.ask("a question", timeout=10) == "heard a question"
        ports = {one.health_port, two.health_port}

    assert len(ports) == 2
    assert [type(each) for each in events if each.scale_set == "one" and hasattr(each, "slot")] == [
        RunnerStarted,
        JobStarted,
        JobCompleted,
        RunnerRemoved,
    ]
    assert {each.scale_set for each in events} == {"one"}
    assert foreign_actor.ask("another", timeout=10) == "heard another"
    assert not [one.name for one in set(threading.enumerate()) - before if one.name.startswith(OURS)]
    assert (capfd.readouterr(), lines) == (("", ""), [])
    assert one_files.leftovers() + two_files.leftovers() == []
    assert github.final_violations() == ()


def test_it_can_be_stopped_and_started_repeatedly(github, scaler):
    one, files = scaler("one")

    for _ in range(3):
        github.client_restarted()
        one.start()
        assert one.wait_ready(30)
        assert job_runs(github, "one")
        one.stop()
        assert one.wait() == ""
        assert not one.alive()
        assert all(each.deleted for each in github.state().scale_sets)

    assert files.leftovers() == []
    assert github.final_violations() == ()


def test_a_stop_that_comes_before_the_start_or_twice_does_nothing(github, scaler):
    one, _ = scaler("one")

    one.stop()
    one.start()
    one.stop()
    one.stop()

    assert github.final_violations() == ()
