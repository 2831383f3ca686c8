"""The demo agent as a real process against the simulator."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from support.demo_agent import JIT, AgentProcess, start_agent, unpack

from runscaler.testing.simulator import FAST, JobState, RunnerState, SimulatedGitHub, Step

if TYPE_CHECKING:
    from pathlib import Path

    from support.scale_set_client import ScaleSetClient

    from runscaler.testing.simulator import JobView


@pytest.fixture
def github_with_room(github: SimulatedGitHub, client: ScaleSetClient) -> SimulatedGitHub:
    """The client of a scale set that has announced a capacity of ten jobs."""
    github.queue_jobs("my-runners", steps=["true"])
    client.take(10)
    github.cancel_job(github.state().jobs[0].id)
    return github


def one_job(github: SimulatedGitHub, client: ScaleSetClient, folder: Path, *steps: str | Step) -> JobView:
    """Run a job on a real agent until that exits."""
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], folder)
    ids = github.queue_jobs(
        "my-runners", steps=steps, secrets=["s3cr3t"], env={"GREETING": "hello", "CI": "mine"}
    )
    (job,) = github.wait_for_jobs(ids)
    assert agent.end()[0] == 0
    return job


def test_a_job_runs_and_the_agent_prints_the_lines_of_the_real_runner(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    ids = github_with_room.queue_jobs("my-runners", steps=["echo hello"], display_name="greet")

    (job,) = github_with_room.wait_for_jobs(ids)
    code, output = agent.end()

    assert (code, job.result, job.runner) == (0, "succeeded", "runner-1")
    assert job.steps[0].log == ("hello",)
    for line in ("Listening for Jobs", "Running job: greet", "Job greet completed with result: Succeeded"):
        assert line in output
    assert github_with_room.state().runners[0].state is RunnerState.GONE
    assert not github_with_room.violations()


def test_steps_run_in_the_work_folder_with_the_environment_of_the_job_and_no_jit_configuration(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    job = one_job(
        github_with_room, client, tmp_path, f"pwd; echo $GREETING $RUNNER_NAME $CI; echo ${{{JIT}:-none}}"
    )

    assert job.steps[0].log == (str(tmp_path / "_work"), "hello runner-1 mine", "none")


def test_secrets_are_masked_in_log_and_output(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    job = one_job(github_with_room, client, tmp_path, "echo the s3cr3t is out")

    assert job.steps[0].log == ("the *** is out",)


def test_a_failing_step_fails_the_job_and_skips_all_following_steps_but_those_marked_always(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    job = one_job(
        github_with_room,
        client,
        tmp_path,
        Step("may fail", "exit 2", continue_on_error=True),
        Step("fails", "exit 3"),
        Step("skipped", "echo no"),
        Step("always", "echo cleaned", always=True),
    )

    assert job.result == "failed"
    assert [(step.state, step.exit_code) for step in job.steps] == [
        ("failed", 2),
        ("failed", 3),
        ("skipped", None),
        ("succeeded", 0),
    ]


def test_a_step_that_takes_too_long_fails(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    job = one_job(github_with_room, client, tmp_path, Step("slow", "sleep 60", timeout_seconds=0.2))

    assert (job.result, job.steps[0].state) == ("failed", "failed")


def test_a_missing_shell_fails_the_step(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    job = one_job(github_with_room, client, tmp_path, Step("odd", "x", shell="no-such-shell {0}"))

    assert (job.result, job.steps[0].exit_code) == ("failed", 127)


def test_python_can_be_the_shell(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    job = one_job(github_with_room, client, tmp_path, Step("snake", "print(6 * 7)", shell="python"))

    assert job.steps[0].log == ("42",)


def test_a_process_named_runner_worker_exists_only_while_a_job_runs(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    github_with_room.wait_until(lambda state: state.runners[0].polling)
    idle = workers(agent)
    go = tmp_path / "go"
    ids = github_with_room.queue_jobs(
        "my-runners", steps=[f"echo here; until test -e {go}; do sleep 0.05; done"]
    )
    github_with_room.wait_until(lambda state: bool(state.jobs[-1].steps[0].log))
    busy = workers(agent)
    go.touch()
    github_with_room.wait_for_jobs(ids)

    assert agent.end()[0] == 0
    assert (idle, busy) == (0, 1)


def workers(agent: AgentProcess) -> int:
    family = psutil.Process(agent.pid).children(recursive=True)
    return sum("Runner.Worker" in child.cmdline() for child in family)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_idle_ends_the_agent_and_its_session(
    github: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    github.wait_until(lambda state: state.runners[0].polling)

    agent.signal(number)

    assert agent.end()[0] == code
    assert github.state().runners[0].state is RunnerState.OFFLINE


def test_a_signal_during_a_job_cancels_it_and_still_runs_steps_marked_always(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    steps = [Step("long", "sleep 60"), Step("clean", "echo cleaned", always=True)]
    ids = github_with_room.queue_jobs("my-runners", steps=steps)
    github_with_room.wait_until(lambda state: state.jobs[-1].steps[0].state == "started")

    agent.signal(signal.SIGTERM)

    assert agent.end()[0] == 143
    (job,) = github_with_room.wait_for_jobs(ids)
    assert (job.result, [step.state for step in job.steps]) == ("canceled", ["canceled", "succeeded"])


def test_a_job_cancelled_at_github_is_cancelled_on_the_agent(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    (job_id,) = github_with_room.queue_jobs("my-runners", steps=["sleep 60"])
    github_with_room.wait_until(lambda state: state.jobs[-1].steps[0].state == "started")

    github_with_room.cancel_job(job_id)

    (job,) = github_with_room.wait_for_jobs([job_id])
    assert job.result == "canceled"
    assert agent.end()[0] == 0


def test_the_job_of_a_killed_agent_fails_when_its_lease_expires(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    ids = github_with_room.queue_jobs("my-runners", steps=["sleep 60"])
    github_with_room.wait_until(lambda state: state.jobs[-1].steps[0].state == "started")
    family = psutil.Process(agent.pid).children(recursive=True)

    agent.signal(signal.SIGKILL)
    agent.end()
    _, alive = psutil.wait_procs(family, timeout=30)
    github_with_room.pass_time(FAST.lease + 1)

    (job,) = github_with_room.wait_for_jobs(ids)
    assert not alive
    assert job.result == "failed"


def test_a_worker_that_is_killed_fails_the_job_and_the_agent_ends(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    ids = github_with_room.queue_jobs("my-runners", steps=["sleep 0.5"])
    github_with_room.wait_until(lambda state: state.jobs[-1].steps[0].state == "started")

    (worker,) = psutil.Process(agent.pid).children()
    worker.kill()

    assert agent.end()[0] == 0
    assert github_with_room.wait_for_jobs(ids)[0].result == "failed"


def test_an_agent_whose_registration_is_removed_exits_with_0(
    github: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    github.wait_until(lambda state: state.runners[0].polling)

    client.call("DELETE", "_apis/distributedtask/pools/0/agents/1024")

    code, output = agent.end()
    assert code == 0
    assert "registration was removed" in output


def test_the_jit_configuration_may_come_on_standard_input(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    ids = github_with_room.queue_jobs("my-runners")
    encoded = client.jit("runner-1").json()["encodedJITConfig"]

    ended = subprocess.run(
        [sys.executable, str(SimulatedGitHub.agent_path)],
        input=encoded,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != JIT},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0
    assert github_with_room.wait_for_jobs(ids)[0].state is JobState.COMPLETED


@pytest.mark.parametrize("encoded", ["%%%", "e30=", "bm8ganNvbg=="])
def test_a_bad_jit_configuration_exits_with_1(tmp_path: Path, encoded: str) -> None:
    code, output = start_agent(encoded, tmp_path).end()

    assert code == 1
    assert "JIT configuration" in output


@pytest.mark.parametrize(("wanted", "code"), [("", 1), ("1", 7)])
def test_a_refused_version_exits_with_7_if_the_variable_asks_for_it(
    github: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path, wanted: str, code: int
) -> None:
    github.inject("F84")
    variable = {"ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE": wanted}

    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path, **variable)

    assert agent.end()[0] == code


def test_a_used_jit_configuration_exits_with_1(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    encoded = client.jit("runner-1").json()["encodedJITConfig"]
    github_with_room.queue_jobs("my-runners")
    assert start_agent(encoded, tmp_path).end()[0] == 0

    assert start_agent(encoded, tmp_path).end()[0] == 1
    assert unpack(encoded)


def test_the_log_kept_of_a_flood_of_output_is_limited(
    github_with_room: SimulatedGitHub, client: ScaleSetClient, tmp_path: Path
) -> None:
    flood = "i=0; while [ $i -lt 12000 ]; do echo line $i; i=$((i+1)); done"

    job = one_job(github_with_room, client, tmp_path, flood)

    assert job.result == "succeeded"
    assert len(job.steps[0].log) == 10_000
    assert job.steps[0].log[-1] == "line 9999"


def test_the_agent_is_python_3_8_and_imports_only_the_standard_library() -> None:
    tree = ast.parse(SimulatedGitHub.agent_path.read_text(), feature_version=(3, 8))

    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
