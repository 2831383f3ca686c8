"""`runner drain`, `resume`, `why` and `logs` beside a daemon (docs/behaviour.md § 9.4)."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile

import pytest
from support.daemon import RUNNER, all_ok, of

from runscaler.testing.simulator import JobState


@pytest.fixture
def busy(github, daemon, scale_set, latch):
    """A daemon with a runner that runs a job, and one that is idle."""
    keys = {**scale_set("linux", max_runners=3, min_runners=1, idle_timeout="1s"), "backend": "process"}
    program = daemon(keys)
    program.start()
    (job,) = github.queue_jobs("linux", steps=["echo the output of a step", latch.step])
    github.wait_for_jobs([job], JobState.RUNNING)
    program.wait_for(lambda health: (of(health, "linux")["busy"], of(health, "linux")["idle"]) == (1, 1))
    return program, job


def test_a_drain_lets_the_job_finish_and_a_resume_takes_the_next(github, busy, latch):
    program, job = busy
    drained = program.command("drain", "--json")
    health = program.wait_for(lambda health: of(health, "linux")["total"] == 1)
    (late,) = github.queue_jobs("linux", steps=["true"])
    waiting = subprocess.Popen(
        [*RUNNER, "drain", "linux", "--wait", "--state-dir", str(program.state_dir)],
        stdout=subprocess.PIPE,
        text=True,
    )
    latch.release()
    told, _ = waiting.communicate(timeout=30)
    (done,) = github.wait_for_jobs([job])

    assert json.loads(drained.out) == {"scale_sets": ["linux"]}
    assert of(health, "linux")["state"] == "draining"
    assert (waiting.returncode, told) == (
        0,
        "linux: takes no new jobs until `runner resume`\nno runner is left\n",
    )
    assert done.result == "succeeded"
    assert github.state().jobs[-1].state is JobState.QUEUED

    resumed = program.command("resume", "linux")
    github.wait_for_jobs([late])
    assert resumed.out == "linux: takes jobs again\n"
    program.wait_for(all_ok)
    assert (program.stop(), program.leftovers()) == (0, [])
    assert github.final_violations() == ()


def test_a_report_holds_what_the_daemon_says_of_itself(busy, latch, tmp_path):
    program, _ = busy
    told = program.command("report", "--json", "-o", str(tmp_path / "r.tar.gz"))
    latch.release()

    with tarfile.open(tmp_path / "r.tar.gz") as archive:
        (name,) = (one for one in archive.getnames() if one.endswith("/health.json"))
        health = json.load(archive.extractfile(name))
    assert "health.json" in [one["name"] for one in json.loads(told.out)["contents"]]
    assert of(health, "linux")["busy"] == 1
    assert program.stop() == 0


def test_why_and_logs_tell_of_what_lives(busy, latch):
    program, _ = busy
    why = program.command("why")
    (runner,) = [one["runner"] for one in of(program.health(), "linux")["slots"] if one["state"] == "busy"]
    output = program.command("logs", runner)
    latch.release()

    assert why.out == "linux: nothing waits: 1 job is assigned, 1 busy, 1 idle\n"
    assert "Running job: build" in output.out


def test_only_the_owner_may_open_the_socket_and_it_goes_with_the_daemon(busy, latch):
    program, _ = busy
    socket = program.state_dir / "admin.sock"
    mode = stat.S_IMODE(socket.stat().st_mode)
    latch.release()
    program.stop()
    after = program.command("drain")

    assert mode == 0o600
    assert not socket.exists()
    assert after.code == 1
    assert "no runner daemon of this user answers on this host" in after.err


def test_an_unknown_scale_set_or_runner_is_named(busy, latch):
    program, _ = busy
    latch.release()

    for words in (("drain", "linx"), ("resume", "linx"), ("why", "linx")):
        told = program.command(*words)
        assert (told.code, told.err) == (1, "error: there is no scale set 'linx'; there are: linux\n")
    told = program.command("logs", "runner-00000000")
    assert told.code == 1
    assert "there is no runner 'runner-00000000', and no output of one is kept" in told.err


def test_the_output_of_a_runner_that_died_is_there_when_the_daemon_is_gone(github, busy, latch):
    program, _ = busy
    (runner,) = [one["runner"] for one in of(program.health(), "linux")["slots"] if one["state"] == "busy"]
    program.kill_runner(runner)
    program.wait_for_log("its last output is kept")
    latch.release()
    program.stop()
    listed, output = program.command("logs"), program.command("logs", runner)

    assert runner in listed.out.split()
    assert "Running job: build" in output.out
