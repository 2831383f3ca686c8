"""No JIT configuration and no token is in a command line, an environment of the host, a file or a log."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.daemon import all_ok
from support.missing import missing
from support.secret_watch import SecretWatch, files_below, found_in

from runscaler.testing.simulator import JobState

JOBS = 6
TOKEN = "ghp_" + "s3cr3t0fth3mac" * 3
"""Of this module alone, as the processes of all other tests are looked at too."""


@pytest.fixture
def watch():
    if not Path("/proc/self/environ").exists():
        missing("/proc, to look into all processes")
    return SecretWatch()


@pytest.mark.parametrize("pool_size", [0, 2], ids=["cold", "warm"])
def test_jit_configurations_and_tokens_reach_only_the_runner(
    github, mac, mac_daemon, scale_set, latch, watch, pool_size
):
    """Checked while runners are busy, because some files are removed with their VMs, and after the end."""
    mac.tart.state(limit=3)
    tart = mac.keys(max_vms=3, pool_size=pool_size)
    program = mac_daemon(scale_set("macs", tart, token=TOKEN, max_runners=3), log_level="debug")
    with watch:
        program.start()
        program.wait_for(all_ok)
        held = github.queue_jobs("macs", steps=[latch.step])
        github.wait_for_jobs(held, JobState.RUNNING)
        done = github.wait_for_jobs(github.queue_jobs("macs", JOBS, steps=["sleep 0.05"]))
        files = [*files_below(mac.folder, program.state_dir)]
        agent_logs = [mac.tart.agent_log(vm) for vm in mac.pids()]
        latch.release()
        jobs = [*github.wait_for_jobs(held), *done]
        assert program.stop() == 0

    files += files_below(mac.folder, program.state_dir)
    files += [program.log.encode(), program.errors.encode(), mac.tart.journal_text().encode()]
    configurations = [one.encoded for one in mac.injected()]
    injections = {call.stdin_sha256 for call in mac.tart.calls("exec") if call.stdin_length}
    assert {job.result for job in jobs} == {"succeeded"}
    assert len(configurations) >= len(jobs)
    assert {hashlib.sha256(f"{one}\n".encode()).hexdigest() for one in configurations} == injections
    assert any("run.sh" in log or "actions-runner" in log for log in agent_logs), "the agents' logs are seen"
    assert found_in(configurations, watch.variables_of_runners) != [], "variables are seen"
    assert any(b"clone" in words for words in watch.words), "commands of tart are seen"
    secrets = [*configurations, TOKEN]
    assert found_in(secrets, watch.words) == []
    assert found_in(secrets, watch.variables) == []
    assert found_in(secrets, files) == []
    mac.assert_nothing_is_left(program, github)
