"""Problems that heal: logged once with a fix, shown while they last. docs/behaviour.md § 8.4, 8.5"""

from __future__ import annotations

import pytest
from support.daemon import all_ok, of, without_root_privileges
from support.relay import Relay, ShortFolder

from runscaler.ops.demo import free_port
from runscaler.testing.simulator import Match, SimulatedGitHub

PROBLEMS = {
    "away": ("refused the connection", "check url, this host's network"),
    "refused": ("the token is wrong", "make a new token"),
    "missing": ("does not exist", "start the engine"),
    "forbidden": ("no permission to use the engine", "into the docker group"),
}
HEALING_SECONDS = 150.0
"""A refused token is tried again every minute."""


@pytest.fixture
def folder():
    with ShortFolder() as made:
        yield made


@pytest.fixture
def locked(engine_url, folder):
    """A socket of the engine that nobody may use yet."""
    with Relay(engine_url.removeprefix("unix://"), folder / "locked.sock") as relay:
        relay.path.chmod(0)
        yield relay.path


@pytest.fixture
def program(github, docker, daemon, scale_set, folder, locked):
    """Five scale sets, one of them ok, each of the others with another problem; and an unused port."""
    port = free_port()

    def docker_at(socket):
        return {**docker, "docker": {**docker["docker"], "host": f"unix://{socket}"}}

    sets = [
        scale_set("well", backend="process"),
        scale_set("away", backend="process", url=f"http://127.0.0.1:{port}/away-org"),
        scale_set("refused", backend="process", url=github.config_url("refused-org")),
        scale_set("missing", docker_at(folder / "engine.sock")),
        scale_set("forbidden", docker_at(locked)),
    ]
    made = daemon({"scaleset": sets})
    made.before = without_root_privileges()
    return made, port


@pytest.fixture
def refusal(github):
    return github.inject("F27", count=None, admin=False, match=Match(path="/orgs/refused-org/"))


def assert_reports_every_problem(ended):
    assert (ended.code, ended.err) == (1, "")
    lines = ended.out.splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("✗ ")]
    assert len(errors) == len(PROBLEMS)
    for number, (name, (what, fix)) in zip(errors, PROBLEMS.items(), strict=True):
        assert lines[number].startswith(f"✗ [{name}] ")
        assert what in lines[number]
        assert lines[number + 1].startswith("  → ")
        assert fix in lines[number + 1]


@pytest.mark.engine
@pytest.mark.parametrize("words", [("validate",), ("run", "--dry-run")])
def test_validate_and_a_dry_run_report_each_problem_with_a_fix_and_fail(github, program, refusal, words):
    ended = program[0].command(*words)

    assert_reports_every_problem(ended)
    assert github.state().scale_sets == ()
    assert not program[0].state_dir.exists()


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_each_problem_is_logged_once_and_heals_by_itself(
    github, program, refusal, folder, locked, engine_url
):
    daemon, port = program
    daemon.start()
    daemon.wait_for(lambda health: of(health, "well")["state"] == "ok")
    health = daemon.wait_for(lambda health: all(of(health, name)["state"] == "degraded" for name in PROBLEMS))
    (job,) = github.queue_jobs("well")
    (done,) = github.wait_for_jobs([job])

    assert health["status"] == "degraded"
    assert done.result == "succeeded"
    for name, (what, fix) in PROBLEMS.items():
        (line,) = [each for each in daemon.log.splitlines() if f"scale_set={name}" in each]
        assert "WARN" in line
        assert what in line
        assert fix in line
        assert "or or" not in line
        assert what in of(health, name)["reason"]

    with SimulatedGitHub(port=port) as there:
        github.remove_fault(refusal)
        (folder / "engine.sock").symlink_to(engine_url.removeprefix("unix://"))
        locked.chmod(0o600)
        daemon.wait_for(all_ok, HEALING_SECONDS)
        for name in ("refused", "missing", "forbidden"):
            github.wait_for_jobs(github.queue_jobs(name))
        there.wait_for_jobs(there.queue_jobs("away"))
        assert (daemon.stop(), daemon.errors, daemon.leftovers()) == (0, "", [])
        assert there.final_violations() + github.final_violations() == ()
