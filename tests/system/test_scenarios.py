"""The bad days of docs/behaviour.md § 10.4 against the whole program: every job runs once, nothing is left or wrong.

Each day has a simulated GitHub and a daemon of its own; all are played at the same time, as some take
half a minute of waiting. Timers are short, so that an hour's plan takes seconds.
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
from support.daemon import RUNNER, Daemon, wait_until
from support.siege import TOKEN, Siege, configured

from runscaler.clock import SystemClock
from runscaler.ops.demo import free_port
from runscaler.simulator.offset_clock import OffsetClock
from runscaler.simulator.scenarios.catalogue import BY_NAME
from runscaler.testing.simulator import FAST, JobState, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from loguru import Message

    from runscaler.status import ScaleSetStatus
    from runscaler.testing.simulator import JobView

MOST = 3
TIMERS = replace(
    FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0, pick_up=60.0
)
SLOWER = replace(TIMERS, long_poll=2.5)
"""Faults that last long enough to be felt: seconds, not moments."""
OF_THEIR_OWN = {
    "session-stolen": replace(TIMERS, session=10.0),
    "github-away": SLOWER,
    "capacity-trap": SLOWER,
    "rate-limited": SLOWER,
}
LONGER_THAN_DOUBT = "sleep 13"
"""After 10 s without a word of GitHub's that a job runs, a runner that should be done may be removed."""
FIRST_JOBS = {
    "early-completed": (2, LONGER_THAN_DOUBT),
    "registration-race": (0, ""),
    "github-away": (2, "sleep 8"),
}
"""How many are queued when the first blow has fallen, and their step; else 3 short ones."""
PAST_THREE_POLLS = 200.0


@dataclass
class Day:
    """One scenario: who plays it, whom it strikes, and what that one logs."""

    name: str
    siege: Siege
    clock: OffsetClock
    said: list[str] = field(default_factory=list)

    @property
    def github(self) -> SimulatedGitHub:
        return self.siege.github

    @property
    def status(self) -> ScaleSetStatus:
        return self.siege.of(self.name)

    def begin(self) -> None:
        """Wait for the first blow, then queue the first jobs."""
        wait_until(lambda: len(self.github.scenario.events) > 1, f"the first blow of {self.name}")
        count, step = FIRST_JOBS.get(self.name, (MOST, "true"))
        self.github.queue_jobs(self.name, count, steps=[step])

    def work_until_over(self) -> None:
        """Jobs, until all of the plan has struck."""
        while not self.github.scenario.finished:
            self.siege.jobs(self.name, 1)

    def all_jobs(self) -> tuple[JobView, ...]:
        """When each has ended."""
        ended = self.github.wait_until(
            lambda state: len(state.jobs_in(JobState.COMPLETED)) == len(state.jobs)
        )
        return ended.jobs

    def events(self, kind: str) -> list[Mapping[str, object]]:
        """What happened at GitHub, oldest first."""
        url, headers = f"{self.github.control_url}/events", {"X-Sim-Control": "1"}
        return [one for one in requests.get(url, headers=headers, timeout=30).json() if one["event"] == kind]

    def hits(self, fault: str) -> int:
        """How often it struck, also if it has been lifted since."""
        return sum(one["fault"] == fault for one in self.events("fault"))

    def work_until_hit(self, fault: str, times: int = 1) -> None:
        while self.hits(fault) < times:
            self.siege.jobs(self.name, 1)

    def sessions(self) -> int:
        return len(self.github.state().sessions)

    def heard(self, words: str) -> bool:
        return any(words in line for line in self.said)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Day]]:
    """Every day has begun."""
    with ExitStack() as begun:
        made = {name: made_ready(name, tmp_path_factory.mktemp(name), begun) for name in BY_NAME}
        begun.enter_context(overheard(made))
        for day in made.values():
            begun.enter_context(day.siege)
            day.begin()
        yield made
    for day in made.values():
        day.siege.assert_nothing_is_left()


def made_ready(name: str, folder: Path, begun: ExitStack) -> Day:
    timers = OF_THEIR_OWN.get(name, TIMERS)
    github = begun.enter_context(SimulatedGitHub(timers=timers, threads=48, scenario=name))
    keys = configured(github, name, max_runners=MOST, idle_timeout="2s")
    clock = OffsetClock(SystemClock())
    return Day(name, Siege(github, Daemon(folder, keys), clock), clock)


@contextmanager
def overheard(days: Mapping[str, Day]) -> Iterator[None]:
    """Each day gets the log lines of its scale set."""

    def hear(message: Message) -> None:
        day = days.get(message.record["extra"].get("scale_set", ""))
        if day is not None:
            day.said.append(message.record["message"])

    logger.enable("runscaler")
    sink = logger.add(hear, level="INFO")
    yield
    logger.remove(sink)
    logger.disable("runscaler")


def test_counts_that_lie_start_no_more_than_max_runners(days: dict[str, Day]) -> None:
    day = days["stale-statistics"]
    day.work_until_over()
    day.work_until_hit("F66", 3)
    changes = day.events("runner")

    alive, most = set(), 0
    for one in changes:
        (alive.discard if one["state"] == "gone" else alive.add)(one["runner"])
        most = max(most, len(alive))
    assert most <= MOST
    assert day.heard("asking again")


def test_acknowledgements_that_get_lost_count_nothing_twice(days: dict[str, Day]) -> None:
    day = days["lost-acks"]
    day.work_until_over()
    jobs = day.all_jobs()

    wait_until(lambda: day.status.jobs_completed >= len(jobs), "word of all of them")
    assert (day.status.jobs_started, day.status.jobs_completed) == (len(jobs), len(jobs))


def test_an_outage_touches_no_runner_and_is_said_in_few_words(days: dict[str, Day]) -> None:
    day = days["github-away"]
    before, *_ = running = day.github.wait_until(lambda state: state.jobs_in(JobState.RUNNING)).jobs
    day.github.wait_for_scenario()
    jobs = day.all_jobs()

    assert [(one.id, one.runner) for one in jobs] == [(one.id, one.runner) for one in running]
    assert before.attempts == 1
    assert day.sessions() == 1
    assert len([line for line in day.said if "job" not in line]) <= 8


def test_no_request_comes_before_the_time_that_github_named(days: dict[str, Day]) -> None:
    """The simulator would note it as a violation (V11)."""
    day = days["rate-limited"]
    day.work_until_over()
    day.work_until_hit("F15")

    assert (day.hits("F14"), day.hits("F15")) == (1, 1)
    assert day.heard("rate limit")


def test_the_announced_capacity_does_not_dip_while_starts_fail(days: dict[str, Day]) -> None:
    day = days["capacity-trap"]
    day.github.queue_jobs(day.name, MOST, steps=["true"])
    day.github.wait_for_scenario()
    day.all_jobs()

    assert {one["capacity"] for one in day.events("capacity")} == {MOST}
    assert day.hits("F72") > 0


def test_jobs_that_are_assigned_and_ignored_leak_no_runner(days: dict[str, Day]) -> None:
    day = days["assigned-but-ignored"]
    day.github.wait_for_scenario()
    jobs = day.all_jobs()

    assert day.status.runners_started == len(jobs) == MOST


def test_a_mute_session_is_cut_and_opened_anew(days: dict[str, Day]) -> None:
    day = days["mute-session"]
    day.clock.advance(PAST_THREE_POLLS)
    day.all_jobs()

    assert day.heard("mute")
    assert day.sessions() == 2


def test_refused_versions_are_named_and_tried_slowly(days: dict[str, Day]) -> None:
    day = days["version-refused"]
    day.github.wait_for_scenario()
    day.all_jobs()

    assert day.heard("GitHub refuses this runner version")
    assert day.hits("F84") <= 3 * MOST


def test_tokens_that_expire_all_at_once_cost_no_job(days: dict[str, Day]) -> None:
    day = days["token-expiry-storm"]
    day.work_until_over()
    day.work_until_hit("F26", 2)

    assert day.hits("F31") > 0
    assert day.hits("F26") == 2


def test_a_runner_whose_job_was_called_completed_is_not_killed(days: dict[str, Day]) -> None:
    day = days["early-completed"]
    day.work_until_over()
    day.work_until_hit("F43", 2)

    assert (day.hits("F46"), day.hits("F43")) == (2, 2)


def test_a_runner_that_gets_its_job_after_its_removal_is_not_killed(days: dict[str, Day]) -> None:
    day = days["registration-race"]
    day.github.wait_for_scenario()
    cancelled, late = day.all_jobs()
    (runner,) = day.github.state().runners

    assert (cancelled.result, cancelled.runner) == ("canceled", "")
    assert (late.result, late.runner) == ("succeeded", runner.name)
    assert day.status.runners_started == 1


def test_a_stolen_session_makes_a_standby_that_takes_over_without_a_fight(days: dict[str, Day]) -> None:
    day = days["session-stolen"]
    day.all_jobs()

    assert day.heard("standby")
    assert day.sessions() == 3
    assert day.status.state == "ok"


@pytest.mark.parametrize("name", BY_NAME)
def test_after_it_every_job_has_run_once_and_no_rule_was_broken(days: dict[str, Day], name: str) -> None:
    """Where every runner is refused, jobs wait so long that GitHub may assign them anew."""
    day = days[name]
    day.siege.wait_until_clear(name)
    by_people = [one for one in day.all_jobs() if one.result == "canceled"]
    worked = [one for one in day.all_jobs() if one.result != "canceled"]

    assert {one.result for one in worked} == {"succeeded"}
    assert name == "version-refused" or {one.attempts for one in worked} == {1}
    assert len(by_people) == (name == "registration-race")
    assert day.github.violations() == ()
    assert (day.status.restarts, day.github.scenario.finished) == (0, True)


def test_a_newcomer_sees_a_bad_day_with_two_commands(tmp_path: Path) -> None:
    port, name = free_port(), "lost-acks"
    options = ("--port", str(port), "--fast", "--scenario", name, "--jobs", "5", "--seed", "3")
    keys = {"url": f"http://127.0.0.1:{port}/my-org", "name": "linux", "token": TOKEN, "backend": "process"}
    daemon = Daemon(tmp_path, keys)
    with subprocess.Popen((*RUNNER, "simulate", *options), stdout=subprocess.PIPE, text=True) as simulator:
        try:
            daemon.start()
            assert simulator.stdout is not None
            told = list(takewhile(lambda line: line[0] not in "✓✗", simulator.stdout))
            assert daemon.stop() == 0
        finally:
            daemon.close()
            simulator.terminate()
        assert simulator.wait(30) == 0

    blows = [line.split(": ", 1)[1].strip() for line in told if f" {name}: " in line]
    assert blows == ["linux is listening", *(step.text for step in BY_NAME[name].steps)]
    assert daemon.leftovers() == []
