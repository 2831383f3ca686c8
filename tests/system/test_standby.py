"""An active daemon and its standby, each a real process. docs/behaviour.md § 8.3, 8.4, 8.6

A standby tries to take over every 30 to 45 s, so all pairs wait at the same time.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from dataclasses import field as field_of
from typing import TYPE_CHECKING

import pytest
from support.daemon import Latch, all_ok, of, without_root_privileges
from support.embedded import configured
from support.standby_pair import READY, DaemonPair, readiness

from runscaler.testing.simulator import FAST, JobState, Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.testing.simulator import JobView

TIMERS = replace(FAST, long_poll=1.0, session=15.0, agent_silence=60.0, registration=600.0, lease=60.0)
STOPPED, KILLED, LEAVING = "stopped", "killed", "leaving"
"""The pairs: its first daemon is stopped, its first daemon is killed, its second daemon is stopped."""
ALL = (STOPPED, KILLED, LEAVING)
JOBS = 3
TAKEOVER_SECONDS = 120.0


@dataclass
class Setup:
    """All pairs, and what was observed when something happened to them."""

    github: SimulatedGitHub
    latch: Latch
    pairs: dict[str, DaemonPair]
    standing_by: dict[str, str] = field_of(default_factory=dict)
    ready: dict[str, int] = field_of(default_factory=dict)
    jobs: dict[str, list[str]] = field_of(default_factory=dict)
    codes: dict[str, int] = field_of(default_factory=dict)
    held: JobView | None = None
    """The job that runs on the killed daemon's runner."""
    session_requests: int = 0
    """The id of the fault that counts them in the pair whose first daemon is stopped."""
    stopped_set: int = 0
    """The id of the scale set that this daemon deleted."""
    sets_at_the_stop: tuple[str, ...] = ()

    def ended(self, name: str) -> tuple[JobView, ...]:
        return self.github.wait_for_jobs(self.jobs[name], timeout=TAKEOVER_SECONDS)

    def queue(self, name: str, count: int = JOBS, step: str = "true") -> list[str]:
        return self.github.queue_jobs(name, count, steps=[step])

    def live_set(self, name: str) -> bool:
        return self.github.state().scale_set(name) is not None

    def id_of_set(self, name: str) -> int:
        found = self.github.state().scale_set(name)
        assert found is not None
        return found.id


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> Iterator[Setup]:
    """Each second daemon stands by, and jobs have been queued."""
    folder, latch = tmp_path_factory.mktemp("pairs"), Latch()
    with SimulatedGitHub(timers=TIMERS) as github:
        keys = {name: configured(github, name, max_runners=4, idle_timeout="2s") for name in ALL}
        made = Setup(github, latch, {name: DaemonPair.make(name, folder, keys[name]) for name in ALL})
        try:
            start_pairs(made)
            yield made
        finally:
            for pair in made.pairs.values():
                pair.close()
            latch.close()


def start_pairs(setup: Setup) -> None:
    for pair in setup.pairs.values():
        pair.first.start()
    for pair in setup.pairs.values():
        pair.first.wait_for(all_ok)
        pair.second.start()
    for name, pair in setup.pairs.items():
        setup.standing_by[name] = pair.wait_for_standby(pair.second)
        setup.ready[name] = readiness(pair.second)
        setup.jobs[name] = setup.queue(name)


def stop_the_first(setup: Setup) -> None:
    pair = setup.pairs[STOPPED]
    setup.stopped_set = setup.id_of_set(STOPPED)
    setup.codes[STOPPED] = pair.first.stop()
    setup.sets_at_the_stop = tuple(
        one.name for one in setup.github.state().scale_sets if not one.deleted and one.name == STOPPED
    )
    match = Match("POST", "/sessions", scale_set=STOPPED)
    setup.session_requests = setup.github.inject("delay", count=None, seconds=0.0, match=match)
    setup.jobs[STOPPED] = setup.queue(STOPPED)


def kill_the_first(setup: Setup) -> None:
    ids = setup.queue(KILLED, 1, setup.latch.step)
    (setup.held,) = setup.github.wait_for_jobs(ids, JobState.RUNNING)
    pair = setup.pairs[KILLED]
    pair.first.signal(signal.SIGKILL)
    setup.codes[KILLED] = pair.first.ended()
    setup.jobs[KILLED] = setup.queue(KILLED)


def stop_the_second(setup: Setup) -> None:
    setup.codes[LEAVING] = setup.pairs[LEAVING].second.stop()
    setup.jobs[LEAVING] = setup.queue(LEAVING)


@pytest.fixture(scope="module")
def afterwards(setup: Setup) -> Setup:
    for pair in setup.pairs.values():
        pair.wait_for_jobs(pair.first, JOBS)
    stop_the_first(setup)
    kill_the_first(setup)
    stop_the_second(setup)
    return setup


@pytest.mark.parametrize("name", ALL)
def test_the_second_daemon_stands_by_ready_and_leaves_the_work_to_the_first(setup: Setup, name: str) -> None:
    pair = setup.pairs[name]
    jobs = setup.ended(name)

    assert "session" in setup.standing_by[name]
    assert setup.ready[name] == READY
    assert {job.result for job in jobs} == {"succeeded"}
    pair.wait_for_jobs(pair.first, JOBS)
    pair.wait_for_jobs(pair.second, 0)
    assert pair.second.resources() == []
    assert "runner is up" not in pair.second.log


def test_a_standby_that_is_stopped_leaves_scale_set_and_active_daemon_alone(afterwards: Setup) -> None:
    pair = afterwards.pairs[LEAVING]
    jobs = afterwards.ended(LEAVING)

    assert afterwards.codes[LEAVING] == 0
    assert afterwards.live_set(LEAVING)
    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    pair.wait_for_jobs(pair.first, 2 * JOBS)
    assert (pair.first.stop(), pair.first.errors, pair.second.errors) == (0, "", "")
    assert not afterwards.live_set(LEAVING)


@pytest.mark.engine
def test_a_standby_on_the_same_engine_leaves_the_first_s_containers_alone(
    afterwards: Setup, docker, engine_url, tmp_path
) -> None:
    """Runs here because the pairs are waiting anyway."""
    github = afterwards.github
    keys = {**configured(github, "engine", max_runners=2, min_runners=1), **docker}
    pair = DaemonPair.make("engine", tmp_path, keys, engine_url)
    try:
        pair.first.start()
        pair.first.wait_for(lambda health: of(health, "engine")["idle"] == 1)
        before = pair.first.resources()
        pair.start_second()
        assert (pair.second.stop(), pair.second.errors) == (0, "")
        (job,) = github.wait_for_jobs(afterwards.queue("engine", 1))

        assert [job.runner] == before
        assert pair.second.leftovers() == []
        assert (pair.first.stop(), pair.first.leftovers()) == (0, [])
    finally:
        pair.close()


def test_a_standby_takes_over_from_one_that_stopped_in_order_and_loses_no_job(afterwards: Setup) -> None:
    """The daemon that stops deletes the scale set; jobs that are queued then wait. docs/behaviour.md § 8.3"""
    pair = afterwards.pairs[STOPPED]
    jobs = afterwards.ended(STOPPED)
    pair.second.wait_for(all_ok)

    assert (afterwards.codes[STOPPED], pair.first.errors, pair.first.leftovers()) == (0, "", [])
    assert afterwards.sets_at_the_stop == ()
    assert afterwards.github.hits(afterwards.session_requests) == 1, "its first request for a session failed"
    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    pair.wait_for_jobs(pair.second, JOBS)
    assert (pair.second.stop(), pair.second.errors, pair.second.leftovers()) == (0, "", [])
    assert not afterwards.live_set(STOPPED)


def test_a_standby_takes_over_from_a_killed_daemon_which_then_stands_by(afterwards: Setup) -> None:
    pair = afterwards.pairs[KILLED]
    assert afterwards.held is not None
    jobs = afterwards.ended(KILLED)
    pair.second.wait_for(all_ok)
    before = afterwards.id_of_set(KILLED)
    afterwards.github.client_restarted()
    pair.first.start()
    reason = pair.wait_for_standby(pair.first)
    adopted = pair.first.resources()
    afterwards.latch.release()
    (held,) = afterwards.github.wait_for_jobs([afterwards.held.id])
    pair.first.wait_for(lambda health: of(health, KILLED)["total"] == 0)

    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    assert "session" in reason
    assert adopted == [afterwards.held.runner]
    assert (held.result, held.attempts, held.runner) == ("succeeded", 1, afterwards.held.runner)
    assert (pair.first.stop(), pair.first.errors, pair.first.leftovers()) == (0, "", [])
    assert afterwards.id_of_set(KILLED) == before, "the standby deleted the scale set"
    assert all_ok(pair.second.health() or {"scale_sets": []})
    assert (pair.second.stop(), pair.second.errors, pair.second.leftovers()) == (0, "", [])
    assert not afterwards.live_set(KILLED)


def test_no_rule_was_broken(afterwards: Setup) -> None:
    """Runs last, when all daemons have been stopped.

    A standby may ask for a scale set that the other daemon has deleted. The rules count that as a violation
    because they take all clients for one.
    """
    excused = f"scale set {afterwards.stopped_set} was used after it was deleted"

    assert [one for one in afterwards.github.final_violations() if one.text != excused] == []


# -- one daemon for each state directory --------------------------------------------------------------


def test_the_lock_of_a_killed_daemon_blocks_nobody(github, daemon, scale_set) -> None:
    program = daemon(scale_set("linux", backend="process"))
    program.start()
    program.wait_for(all_ok)
    program.signal(signal.SIGKILL)
    program.ended()
    stale = (program.state_dir / "holder.json").read_text()
    github.client_restarted()
    program.start()
    program.wait_for(all_ok)

    assert (program.state_dir / "holder.json").read_text() != stale
    assert (program.stop(), program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()


@pytest.mark.parametrize("exists", [False, True])
def test_a_state_dir_that_cannot_be_written_is_one_line_with_a_fix(github, daemon, scale_set, exists):
    program = daemon(scale_set("linux", backend="process"))
    program.before = without_root_privileges()
    if exists:
        program.state_dir.mkdir(mode=0o500)
    program.folder.chmod(0o500)

    ended = program.command("run")
    program.folder.chmod(0o700)

    first, *fixes = ended.err.splitlines()
    assert ended.code == 1
    assert first.startswith(f"error: state-dir cannot be used: {program.state_dir}")
    assert "Permission denied" in first
    assert fixes
    assert all(line.startswith("  → ") for line in fixes)
    assert github.state().scale_sets == ()
