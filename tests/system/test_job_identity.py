"""Which job it is, in the log of the real program and in its status (docs/behaviour.md § 12)."""

from __future__ import annotations

import json

import pytest
from support.daemon import of

from runscaler.testing.simulator import JobState

REPOSITORY = "my-org/demo"
WORKFLOW = f"{REPOSITORY}/.github/workflows/ci.yml@refs/heads/main"


def events_of(program):
    """The lines about jobs, by event and job."""
    lines = [json.loads(line) for line in program.log.splitlines()]
    return {(line["event"], line["job"]): line for line in lines if "event" in line}


@pytest.fixture
def program(daemon, scale_set, backend):
    program = daemon({**scale_set("linux", backend, max_runners=2), "log-format": "json"})
    program.start()
    program.wait_for(lambda health: of(health, "linux")["state"] == "ok")
    return program


def test_a_job_is_told_with_its_repository_and_run_while_it_runs_and_when_it_ended(github, program, latch):
    (job,) = github.queue_jobs("linux", steps=[latch.step, "exit 3"], display_name="unit tests")
    health = program.wait_for(lambda health: any(slot["job"] for slot in of(health, "linux")["slots"]))
    latch.release()
    (done,) = github.wait_for_jobs([job])
    program.wait_for(lambda health: of(health, "linux")["metrics"]["jobs_completed"] == 1)
    program.stop()

    (slot,) = [each for each in of(health, "linux")["slots"] if each["job"]]
    events = events_of(program)
    began, ended = events["job_started", "unit tests"], events["job_completed", "unit tests"]
    assert (slot["runner"], slot["job"], slot["workflow"]) == (done.runner, "unit tests", WORKFLOW)
    for one in (began, ended):
        assert (one["scale_set"], one["runner"], one["workflow"]) == ("linux", done.runner, WORKFLOW)
        assert (one["repository"], one["workflow_run_id"]) == (slot["repository"], slot["workflow_run_id"])
    assert slot["repository"] == REPOSITORY
    assert slot["workflow_run_id"] > 0
    assert (ended["result"], ended["level"]) == ("failed", "INFO")
    assert ended["seconds_run"] >= 0
    assert "runner_lost" not in {event for event, _ in events}


def test_a_runner_that_is_killed_in_its_job_is_said_at_once_and_shown_in_the_status(github, program, latch):
    (job,) = github.queue_jobs("linux", steps=[latch.step], display_name="unit tests")
    github.wait_for_jobs([job], JobState.RUNNING)
    health = program.wait_for(lambda health: any(slot["job"] for slot in of(health, "linux")["slots"]))
    (victim,) = [slot["runner"] for slot in of(health, "linux")["slots"] if slot["job"]]
    program.kill_runner(victim)
    program.wait_for(lambda health: of(health, "linux")["runners_lost"] == 1)
    program.wait_for_log("runner_lost")
    shown = program.command("status")
    program.stop()

    lost = events_of(program)["runner_lost", "unit tests"]
    assert (lost["level"], lost["runner"], lost["repository"]) == ("WARN", victim, REPOSITORY)
    assert "signal 9" in lost["reason"]
    assert f"{victim} died (" in lost["msg"]
    assert "its last output is kept in" in lost["msg"]
    assert "⚠ [linux] runners since the start: 1 died in a job" in shown.out
