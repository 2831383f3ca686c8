"""The scenarios of docs/behaviour.md § 10.4 against the whole program: every job runs once and nothing is
left.

Each scenario has its own simulated GitHub and daemon. All run at the same time, as some of them wait for half
a minute. Timers are short, so that a scenario of an hour takes seconds. Where the daemon itself waits for
minutes, its clock runs faster.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
import requests
from loguru import logger
from support.accelerated import AcceleratedAutoscaler, AcceleratedClock
from support.daemon import RUNNER, Daemon, wait_until
from support.embedded import TOKEN, EmbeddedDaemon, configured

from runscaler.clock import SystemClock
from runscaler.ops.demo import free_port
from runscaler.simulator.offset_clock import OffsetClock
from runscaler.simulator.scenarios.catalogue import BY_NAME
from runscaler.testing.simulator import FAST, GITHUB, JobState, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from loguru import Message

    from runscaler.status import ScaleSetStatus
    from runscaler.testing.simulator import JobView

MAX_RUNNERS = 3
TIMERS = replace(
    FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0, pick_up=60.0
)
SLOWER = replace(TIMERS, long_poll=2.5)
"""Makes faults last for seconds, long enough to have an effect."""
PATIENT = replace(GITHUB, long_poll=2.5, session=60.0, agent_silence=600.0, registration=600.0, pick_up=600.0)
"""For a daemon whose clock is faster than GitHub's."""
FACTOR = 20.0
ACCELERATED = ("lost-completions", "never-online", "mass-deregistration", "undeletable")
IDLE_TIMEOUTS = {"mass-deregistration": "300s"}
"""So long that the runners whose registrations have vanished are found before it ends."""
OTHER_TIMERS = {
    **dict.fromkeys(ACCELERATED, PATIENT),
    "silent-minutes": SLOWER,
    "session-stolen": replace(TIMERS, session=10.0),
    "github-away": SLOWER,
    "capacity-trap": SLOWER,
    "rate-limited": SLOWER,
}
LONGER_THAN_GRACE = "sleep 13"
"""A runner may be removed if GitHub has not reported for 10 s that its job runs."""
FIRST_JOBS = {
    **dict.fromkeys(("mass-deregistration", "undeletable"), (0, "")),
    "early-completed": (2, LONGER_THAN_GRACE),
    "registration-race": (0, ""),
    "github-away": (2, "sleep 8"),
}
"""How many jobs are queued after the first event, and their step; 3 short ones in the other scenarios."""
LONGER_THAN_THREE_POLLS = 200.0
CANCELLED = {"registration-race": 1, "mass-deregistration": 3, "undeletable": 3}
"""How many jobs the scenario itself cancels."""


@dataclass
class ScenarioRun:
    """One scenario with its simulated GitHub, its daemon and the log lines of that daemon."""

    name: str
    embedded: EmbeddedDaemon
    clock: OffsetClock
    log: list[str] = field(default_factory=list)

    @property
    def github(self) -> SimulatedGitHub:
        return self.embedded.github

    @property
    def status(self) -> ScaleSetStatus:
        return self.embedded.of(self.name)

    def begin(self) -> None:
        """Wait for the first event, then queue the first jobs."""
        wait_until(lambda: len(self.github.scenario.events) > 1, f"the first event of {self.name}")
        count, step = FIRST_JOBS.get(self.name, (MAX_RUNNERS, "true"))
        self.github.queue_jobs(self.name, count, steps=[step])

    def work_until_over(self) -> None:
        """Run jobs until every event of the scenario has happened."""
        while not self.github.scenario.finished:
            self.embedded.jobs(self.name, 1)

    def all_jobs(self) -> tuple[JobView, ...]:
        """Wait for the end of all jobs and return them."""
        ended = self.github.wait_until(
            lambda state: len(state.jobs_in(JobState.COMPLETED)) == len(state.jobs)
        )
        return ended.jobs

    def events(self, kind: str) -> list[Mapping[str, object]]:
        """GitHub's events of that kind, oldest first."""
        url, headers = f"{self.github.control_url}/events", self.github.control_headers
        return [one for one in requests.get(url, headers=headers, timeout=30).json() if one["event"] == kind]

    def hits(self, fault: str) -> int:
        """How often a fault has acted, also if it has been removed since."""
        return sum(one["fault"] == fault for one in self.events("fault"))

    def work_until_hit(self, fault: str, times: int = 1) -> None:
        while self.hits(fault) < times:
            self.embedded.jobs(self.name, 1)

    def sessions(self) -> int:
        return len(self.github.state().sessions)

    def logged(self, words: str) -> bool:
        return any(words in line for line in self.log)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ScenarioRun]]:
    """All scenarios, started."""
    with ExitStack() as stack:
        made = {name: new_run(name, tmp_path_factory.mktemp(name), stack) for name in BY_NAME}
        stack.enter_context(log_lines_collected(made))
        for run in made.values():
            stack.enter_context(run.embedded)
            run.begin()
        yield made
    for run in made.values():
        run.embedded.assert_nothing_is_left()


def new_run(name: str, folder: Path, stack: ExitStack) -> ScenarioRun:
    timers = OTHER_TIMERS.get(name, TIMERS)
    github = stack.enter_context(SimulatedGitHub(timers=timers, threads=48, scenario=name))
    idle_timeout = IDLE_TIMEOUTS.get(name, "2s")
    files = Daemon(folder, configured(github, name, max_runners=MAX_RUNNERS, idle_timeout=idle_timeout))
    clock = OffsetClock(SystemClock())
    if name in ACCELERATED:
        embedded = EmbeddedDaemon(github, files, AcceleratedClock(FACTOR), AcceleratedAutoscaler)
    else:
        embedded = EmbeddedDaemon(github, files, clock)
    return ScenarioRun(name, embedded, clock)


@contextmanager
def log_lines_collected(runs: Mapping[str, ScenarioRun]) -> Iterator[None]:
    """A context in which each run gets the log lines of its scale set."""

    def hear(message: Message) -> None:
        run = runs.get(message.record["extra"].get("scale_set", ""))
        if run is not None:
            run.log.append(message.record["message"])

    logger.enable("runscaler")
    sink = logger.add(hear, level="INFO")
    yield
    logger.remove(sink)
    logger.disable("runscaler")


def test_wrong_statistics_start_no_more_than_max_runners(runs: dict[str, ScenarioRun]) -> None:
    run = runs["stale-statistics"]
    run.work_until_over()
    run.work_until_hit("F66", 3)
    changes = run.events("runner")

    alive, most = set(), 0
    for one in changes:
        (alive.discard if one["state"] == "gone" else alive.add)(one["runner"])
        most = max(most, len(alive))
    assert most <= MAX_RUNNERS
    assert run.logged("asking again")


def test_lost_acknowledgements_count_nothing_twice(runs: dict[str, ScenarioRun]) -> None:
    run = runs["lost-acks"]
    run.work_until_over()
    jobs = run.all_jobs()

    wait_until(lambda: run.status.counters.jobs_completed >= len(jobs), "word of all of them")
    assert (run.status.counters.jobs_started, run.status.counters.jobs_completed) == (len(jobs), len(jobs))


def test_an_outage_touches_no_runner_and_logs_few_lines(runs: dict[str, ScenarioRun]) -> None:
    run = runs["github-away"]
    before, *_ = running = run.github.wait_until(lambda state: state.jobs_in(JobState.RUNNING)).jobs
    run.github.wait_for_scenario()
    jobs = run.all_jobs()

    assert [(one.id, one.runner) for one in jobs] == [(one.id, one.runner) for one in running]
    assert before.attempts == 1
    assert run.sessions() == 1
    assert len([line for line in run.log if "job" not in line]) <= 8


def test_no_request_comes_before_the_time_that_github_named(runs: dict[str, ScenarioRun]) -> None:
    """An earlier request would be a violation of rule V11."""
    run = runs["rate-limited"]
    run.work_until_over()
    run.work_until_hit("F15")

    assert (run.hits("F14"), run.hits("F15")) == (1, 1)
    assert run.logged("rate limit")


def test_the_announced_capacity_does_not_dip_while_starts_fail(runs: dict[str, ScenarioRun]) -> None:
    run = runs["capacity-trap"]
    run.github.queue_jobs(run.name, MAX_RUNNERS, steps=["true"])
    run.github.wait_for_scenario()
    run.all_jobs()

    assert {one["capacity"] for one in run.events("capacity")} == {MAX_RUNNERS}
    assert run.hits("F72") > 0


def test_jobs_that_are_assigned_and_ignored_leak_no_runner(runs: dict[str, ScenarioRun]) -> None:
    run = runs["assigned-but-ignored"]
    run.github.wait_for_scenario()
    jobs = run.all_jobs()

    assert run.status.counters.runners_started == len(jobs) == MAX_RUNNERS


def test_a_mute_session_is_closed_and_opened_again(runs: dict[str, ScenarioRun]) -> None:
    run = runs["mute-session"]
    run.clock.advance(LONGER_THAN_THREE_POLLS)
    run.all_jobs()

    assert run.logged("mute")
    assert run.sessions() == 2


def test_refused_versions_are_reported_and_retried_slowly(runs: dict[str, ScenarioRun]) -> None:
    run = runs["version-refused"]
    run.github.wait_for_scenario()
    run.all_jobs()

    assert run.logged("GitHub refuses this runner version")
    assert run.hits("F84") <= 3 * MAX_RUNNERS


def test_tokens_that_expire_all_at_once_cost_no_job(runs: dict[str, ScenarioRun]) -> None:
    run = runs["token-expiry-storm"]
    run.work_until_over()
    run.work_until_hit("F26", 2)

    assert run.hits("F31") > 0
    assert run.hits("F26") == 2


def test_a_runner_whose_job_was_called_completed_is_not_killed(runs: dict[str, ScenarioRun]) -> None:
    run = runs["early-completed"]
    run.work_until_over()
    run.work_until_hit("F43", 2)

    assert (run.hits("F46"), run.hits("F43")) == (2, 2)


def test_a_runner_that_gets_its_job_after_its_removal_is_not_killed(runs: dict[str, ScenarioRun]) -> None:
    run = runs["registration-race"]
    run.github.wait_for_scenario()
    cancelled, late = run.all_jobs()
    (runner,) = run.github.state().runners

    assert (cancelled.result, cancelled.runner) == ("canceled", "")
    assert (late.result, late.runner) == ("succeeded", runner.name)
    assert run.status.counters.runners_started == 1


def test_a_daemon_whose_session_was_stolen_stands_by_and_takes_over_again(
    runs: dict[str, ScenarioRun],
) -> None:
    run = runs["session-stolen"]
    run.all_jobs()

    assert run.logged("standby")
    assert run.sessions() == 3
    assert run.status.state == "ok"


def test_jobs_whose_messages_come_late_or_never_are_no_failures(runs: dict[str, ScenarioRun]) -> None:
    """GitHub's counts come with messages: those of the last job bring the true ones."""
    run = runs["silent-minutes"]
    run.work_until_over()
    run.work_until_hit("F87", 6)
    run.embedded.jobs(run.name, 1)
    jobs = run.all_jobs()

    assert run.status.counters.runners_failed == 0
    assert len({one.runner for one in jobs}) == len(jobs)


def test_runners_that_hang_after_a_job_whose_end_is_lost_are_removed(runs: dict[str, ScenarioRun]) -> None:
    run = runs["lost-completions"]
    run.work_until_over()
    run.work_until_hit("F88", 2)
    run.embedded.wait_until_clear(run.name)

    assert run.status.counters.runners_lost == 0


def test_runners_that_cannot_connect_are_named_and_replaced(runs: dict[str, ScenarioRun]) -> None:
    run = runs["never-online"]
    run.work_until_over()
    run.work_until_hit("F76", 2)
    run.all_jobs()

    assert run.logged("GitHub does not see it")


def test_registrations_that_vanish_at_once_cost_no_job(runs: dict[str, ScenarioRun]) -> None:
    run = runs["mass-deregistration"]
    run.work_until_over()
    later = run.embedded.jobs(run.name, MAX_RUNNERS)

    assert {one.result for one in later} == {"succeeded"}
    assert len({one.runner for one in later}) == MAX_RUNNERS


def test_registrations_that_cannot_be_removed_are_removed_later(runs: dict[str, ScenarioRun]) -> None:
    run = runs["undeletable"]
    run.github.wait_for_scenario()
    run.embedded.wait_until_clear(run.name)

    assert run.hits("F12") > 0
    assert {one.result for one in run.embedded.jobs(run.name, MAX_RUNNERS)} == {"succeeded"}


@pytest.mark.parametrize("name", BY_NAME)
def test_after_a_scenario_every_job_has_run_once_and_no_rule_was_broken(
    runs: dict[str, ScenarioRun], name: str
) -> None:
    """If every runner is refused, jobs wait so long that GitHub may assign them again."""
    run = runs[name]
    run.embedded.wait_until_clear(name)
    cancelled = [one for one in run.all_jobs() if one.result == "canceled"]
    others = [one for one in run.all_jobs() if one.result != "canceled"]

    assert {one.result for one in others} == {"succeeded"}
    assert name == "version-refused" or {one.attempts for one in others} == {1}
    assert len(cancelled) == CANCELLED.get(name, 0)
    assert run.github.violations() == ()
    assert (run.status.restarts, run.github.scenario.finished) == (0, True)


def test_a_scenario_can_be_played_with_two_commands(tmp_path: Path) -> None:
    port, name = free_port(), "lost-acks"
    options = ("--port", str(port), "--fast", "--scenario", name, "--jobs", "5", "--seed", "3")
    keys = {"url": f"http://127.0.0.1:{port}/my-org", "name": "linux", "token": TOKEN, "backend": "process"}
    daemon = Daemon(tmp_path, keys)
    with subprocess.Popen((*RUNNER, "simulate", *options), stdout=subprocess.PIPE, text=True) as simulator:
        try:
            daemon.start()
            assert simulator.stdout is not None
            lines = list(takewhile(lambda line: line[0] not in "✓✗", simulator.stdout))
            assert daemon.stop() == 0
        finally:
            daemon.close()
            simulator.terminate()
        assert simulator.wait(30) == 0

    faults = [line.split(": ", 1)[1].strip() for line in lines if f" {name}: " in line]
    assert faults == ["linux is listening", *(step.text for step in BY_NAME[name].steps)]
    assert daemon.leftovers() == []
