"""An active daemon and its standby, each a real process (docs/behaviour.md § 8.3, 8.4, 8.6).

A standby looks every 30 to 45 s: all pairs wait side by side, and what takes no waiting is tried meanwhile.
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
ORDERLY, KILLED, LEAVING = "orderly", "killed", "leaving"
"""What comes to a pair: its first is stopped, its first is killed, its second is stopped."""
ALL = (ORDERLY, KILLED, LEAVING)
JOBS = 3
TAKEOVER_SECONDS = 120.0


@dataclass
class Field:
    """All pairs, and what was seen when they were struck."""

    github: SimulatedGitHub
    latch: Latch
    pairs: dict[str, DaemonPair]
    standing_by: dict[str, str] = field_of(default_factory=dict)
    ready: dict[str, int] = field_of(default_factory=dict)
    jobs: dict[str, list[str]] = field_of(default_factory=dict)
    codes: dict[str, int] = field_of(default_factory=dict)
    held: JobView | None = None
    """The job that runs on a killed daemon's runner."""
    sessions_asked_for: int = 0
    """The fault that counts them in the pair whose first stopped in order."""
    stopped_set: int = 0
    """The id of the scale set that this first deleted."""
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
def field(tmp_path_factory) -> Iterator[Field]:
    """Each second stands by, jobs ran on the firsts, then each pair is struck, and jobs are queued."""
    folder, latch = tmp_path_factory.mktemp("pairs"), Latch()
    with SimulatedGitHub(timers=TIMERS) as github:
        keys = {name: configured(github, name, max_runners=4, idle_timeout="2s") for name in ALL}
        made = Field(github, latch, {name: DaemonPair.made(name, folder, keys[name]) for name in ALL})
        try:
            in_peace(made)
            yield made
        finally:
            for pair in made.pairs.values():
                pair.close()
            latch.close()


def in_peace(field: Field) -> None:
    for pair in field.pairs.values():
        pair.first.start()
    for pair in field.pairs.values():
        pair.first.wait_for(all_ok)
        pair.second.start()
    for name, pair in field.pairs.items():
        field.standing_by[name] = pair.stands_by(pair.second)
        field.ready[name] = readiness(pair.second)
        field.jobs[name] = field.queue(name)


def stop_the_first(field: Field) -> None:
    pair = field.pairs[ORDERLY]
    field.stopped_set = field.id_of_set(ORDERLY)
    field.codes[ORDERLY] = pair.first.stop()
    field.sets_at_the_stop = tuple(
        one.name for one in field.github.state().scale_sets if not one.deleted and one.name == ORDERLY
    )
    match = Match("POST", "/sessions", scale_set=ORDERLY)
    field.sessions_asked_for = field.github.inject("delay", count=None, seconds=0.0, match=match)
    field.jobs[ORDERLY] = field.queue(ORDERLY)


def kill_the_first(field: Field) -> None:
    ids = field.queue(KILLED, 1, field.latch.step)
    (field.held,) = field.github.wait_for_jobs(ids, JobState.RUNNING)
    pair = field.pairs[KILLED]
    pair.first.signal(signal.SIGKILL)
    field.codes[KILLED] = pair.first.ended()
    field.jobs[KILLED] = field.queue(KILLED)


def stop_the_second(field: Field) -> None:
    field.codes[LEAVING] = field.pairs[LEAVING].second.stop()
    field.jobs[LEAVING] = field.queue(LEAVING)


@pytest.fixture(scope="module")
def struck(field: Field) -> Field:
    for pair in field.pairs.values():
        pair.wait_for_jobs(pair.first, JOBS)
    stop_the_first(field)
    kill_the_first(field)
    stop_the_second(field)
    return field


@pytest.mark.parametrize("name", ALL)
def test_the_second_daemon_stands_by_ready_and_leaves_the_work_to_the_first(field: Field, name: str) -> None:
    pair = field.pairs[name]
    jobs = field.ended(name)

    assert "session" in field.standing_by[name]
    assert field.ready[name] == READY
    assert {job.result for job in jobs} == {"succeeded"}
    pair.wait_for_jobs(pair.first, JOBS)
    pair.wait_for_jobs(pair.second, 0)
    assert pair.second.resources() == []
    assert "runner is up" not in pair.second.log


def test_a_standby_that_is_stopped_leaves_scale_set_and_active_daemon_alone(struck: Field) -> None:
    pair = struck.pairs[LEAVING]
    jobs = struck.ended(LEAVING)

    assert struck.codes[LEAVING] == 0
    assert struck.live_set(LEAVING)
    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    pair.wait_for_jobs(pair.first, 2 * JOBS)
    assert (pair.first.stop(), pair.first.errors, pair.second.errors) == (0, "", "")
    assert not struck.live_set(LEAVING)


@pytest.mark.engine
def test_a_standby_on_the_same_engine_leaves_the_first_s_containers_alone(
    struck: Field, docker, engine_url, tmp_path
) -> None:
    """While the pairs wait."""
    github = struck.github
    keys = {**configured(github, "engine", max_runners=2, min_runners=1), **docker}
    pair = DaemonPair.made("engine", tmp_path, keys, engine_url)
    try:
        pair.first.start()
        pair.first.wait_for(lambda health: of(health, "engine")["idle"] == 1)
        before = pair.first.resources()
        pair.start_second()
        assert (pair.second.stop(), pair.second.errors) == (0, "")
        (job,) = github.wait_for_jobs(struck.queue("engine", 1))

        assert [job.runner] == before
        assert pair.second.leftovers() == []
        assert (pair.first.stop(), pair.first.leftovers()) == (0, [])
    finally:
        pair.close()


def test_a_standby_takes_over_from_one_that_stopped_in_order_and_loses_no_job(struck: Field) -> None:
    """The one that stops deletes the scale set (docs/behaviour.md § 8.3); what is queued meanwhile waits."""
    pair = struck.pairs[ORDERLY]
    jobs = struck.ended(ORDERLY)
    pair.second.wait_for(all_ok)

    assert (struck.codes[ORDERLY], pair.first.errors, pair.first.leftovers()) == (0, "", [])
    assert struck.sets_at_the_stop == ()
    assert struck.github.hits(struck.sessions_asked_for) == 1, "it did not get in at its first try"
    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    pair.wait_for_jobs(pair.second, JOBS)
    assert (pair.second.stop(), pair.second.errors, pair.second.leftovers()) == (0, "", [])
    assert not struck.live_set(ORDERLY)


def test_a_standby_takes_over_from_a_killed_daemon_which_then_stands_by(struck: Field) -> None:
    pair = struck.pairs[KILLED]
    assert struck.held is not None
    jobs = struck.ended(KILLED)
    pair.second.wait_for(all_ok)
    before = struck.id_of_set(KILLED)
    struck.github.client_restarted()
    pair.first.start()
    reason = pair.stands_by(pair.first)
    adopted = pair.first.resources()
    struck.latch.release()
    (held,) = struck.github.wait_for_jobs([struck.held.id])
    pair.first.wait_for(lambda health: of(health, KILLED)["total"] == 0)

    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    assert "session" in reason
    assert adopted == [struck.held.runner]
    assert (held.result, held.attempts, held.runner) == ("succeeded", 1, struck.held.runner)
    assert (pair.first.stop(), pair.first.errors, pair.first.leftovers()) == (0, "", [])
    assert struck.id_of_set(KILLED) == before, "the standby deleted the scale set"
    assert all_ok(pair.second.health() or {"scale_sets": []})
    assert (pair.second.stop(), pair.second.errors, pair.second.leftovers()) == (0, "", [])
    assert not struck.live_set(KILLED)


def test_no_rule_was_broken(struck: Field) -> None:
    """Runs last, when all have stopped in order. A standby may ask for the scale set that another deleted:
    the rules take all clients for one, which would know."""
    excused = f"scale set {struck.stopped_set} was used after it was deleted"

    assert [one for one in struck.github.final_violations() if one.text != excused] == []


# -- one daemon a state directory ---------------------------------------------------------------------


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

    first, *cures = ended.err.splitlines()
    assert ended.code == 1
    assert first.startswith(f"error: state-dir cannot be used: {program.state_dir}")
    assert "Permission denied" in first
    assert cures
    assert all(line.startswith("  → ") for line in cures)
    assert github.state().scale_sets == ()
