"""`run` on Tart as a real process, configured by flags only."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from support.planted import TOKEN

from runscaler.testing.fake_tart_host import IMAGE, FakeTart, demo_runner
from runscaler.testing.fake_tart_processes import wait_for
from runscaler.testing.simulator import SimulatedGitHub

TIMEOUT = 60
RUNNER_DIR = "/Users/admin/my-runner"


@pytest.fixture
def mac(tmp_path):
    with FakeTart(tmp_path / "mac") as tart:
        (script,) = demo_runner(SimulatedGitHub.agent_path).values()
        tart.add_image(IMAGE, {"my-runner/run.sh": script})
        yield tart


@pytest.fixture
def github():
    with SimulatedGitHub() as server:
        yield server


@pytest.fixture
def daemon(mac, github, tmp_path):
    """`daemon(*flags)` starts `run` with a scale set `macs`."""
    started = []

    def start(*flags: str) -> subprocess.Popen[str]:
        words = ("--url", github.config_url(), "--name", "macs")
        here = ("--backend", "tart", "--runner-image", IMAGE, "--health-port", "0", "--max-runners", "2")
        variables = {
            "RUNNER_TOKEN": TOKEN,
            "RUNSCALER_TART_SLOTS": str(tmp_path / "slots"),
            "STATE_DIRECTORY": str(tmp_path / "state"),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "runscaler", "run", *words, *here, *flags],
            env={**mac.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_flags_of_tart_reach_the_commands_they_are_for(mac, github, daemon):
    sizes = ("--tart-cpu", "3", "--tart-memory", "6144", "--tart-pool-size", "1")
    process = daemon(*sizes, "--tart-runner-dir", RUNNER_DIR)
    wait_for(lambda: any(name.startswith("pool-") for name in mac.running_vms()))

    jobs = github.wait_for_jobs(github.queue_jobs("macs", 2))
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 0, output
    assert [job.result for job in jobs] == ["succeeded"] * 2
    asked = {call.argv[2:] for call in mac.calls("set")}
    assert asked == {("--cpu", "3", "--memory", "6144")}
    injections = [call for call in mac.calls("exec") if call.argv[1] == "-i"]
    assert {call.argv[-1] for call in injections} == {RUNNER_DIR}
    mac.assert_nothing_left()
