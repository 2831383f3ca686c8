"""The demo runner in a guest, started as the backend starts it (docs/tart.md § 6)."""

import pytest
from support.fake_tart import clone, running, sh, wait_for
from support.scale_set_client import ScaleSetClient

from runscaler.testing.fake_tart_host import IMAGE, demo_runner
from runscaler.testing.simulator import SimulatedGitHub

INJECT = """
IFS= read -r ACTIONS_RUNNER_INPUT_JITCONFIG; export ACTIONS_RUNNER_INPUT_JITCONFIG
mkdir -p "$HOME/.runscaler"; cd "$1"; set -m
( ./run.sh; echo $? >"$HOME/.runscaler/exit" ) >"$HOME/.runscaler/log" 2>&1 </dev/null &
echo "started $!"
"""
WATCH = 'b=$HOME/.runscaler/exit; while [ ! -e "$b" ]; do kill -0 "$1" || break; sleep 0.05; done; cat "$b"'


@pytest.fixture
def github():
    with SimulatedGitHub(threads=32) as simulated:
        yield simulated


def test_a_runner_in_a_guest_takes_a_job_and_ends(tart, github):
    tart.add_image(IMAGE, demo_runner(SimulatedGitHub.agent_path))
    client = ScaleSetClient(github)
    with client.http, running(tart):
        client.ready()
        jit = client.jit("runner-1").json()["encodedJITConfig"]
        started = sh(tart, INJECT, "runscaler", "/Users/admin/actions-runner", stdin=f"{jit}\n".encode())
        word, pid = started.stdout.decode().split()
        client.take(1)
        go = tart.guest_home("vm") / "go"
        ids = github.queue_jobs("my-runners", steps=["pwd", f"while [ ! -e {go} ]; do sleep 0.05; done"])
        wait_for(lambda: sh(tart, "pgrep -f Runner.Worker").returncode == 0)
        go.touch()
        (job,) = github.wait_for_jobs(ids)
        watched = tart.call("exec", "vm", "/bin/sh", "-c", WATCH, "runscaler", pid)
        log = (tart.guest_home("vm") / ".runscaler" / "log").read_text()

    assert (started.returncode, word) == (0, "started")
    assert (job.result, job.runner) == ("succeeded", "runner-1")
    assert job.steps[0].log[0].startswith(str(tart.guest_home("vm")))
    assert (watched.returncode, watched.stdout) == (0, b"0\n")
    assert "Job build completed with result: Succeeded" in log
    assert jit not in tart.journal_text() + tart.agent_log("vm")


def test_a_runner_without_an_address_never_reaches_github(tart, github):
    tart.state(lease_places=0)
    tart.add_image(IMAGE, demo_runner(SimulatedGitHub.agent_path))
    clone(tart, "vm")
    client = ScaleSetClient(github)
    with client.http, running(tart):
        client.ready()
        jit = client.jit("runner-1").json()["encodedJITConfig"]
        sh(tart, INJECT, "runscaler", "/Users/admin/actions-runner", stdin=f"{jit}\n".encode())
        tart.call("exec", "vm", "true")

        assert github.state().runners_in("idle", "busy") == ()
        assert (tart.vm_path("vm") / "offline").exists()
