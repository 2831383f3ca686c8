"""What GitHub refuses for reasons of its own, or says in no HTTP at all, against the whole program.

It serves what it can, says why in the right words, and is well again by itself (F92 to F96, F99, F100). What
is tried again after a minute is on a daemon with a faster clock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.accelerated import AcceleratedAutoscaler, AcceleratedClock
from support.daemon import Daemon, all_ok, of, wait_until
from support.embedded import EmbeddedDaemon, configured
from support.spoiled_replies import SPOILED
from support.wire_server import WireServer, answer

from runscaler.testing.simulator import FAST, Match, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.daemon import Json

TIMERS = replace(FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0)
NAME = "linux"
FACTOR = 20.0
NEW_TOKEN = "ghp_" + "n3ws3cr3t" * 4
UNCHANGEABLE = {"forbidden": 403, "missing": 404, "unknown": 501, "failing": 503}
POLICIES = {
    "disabled": "self-hosted runners are disabled on this repository",
    "archived": "archived so is read-only",
    "classic": "forbids access via a personal access token (classic)",
    "lifetime": "lifetime is greater than 366 days",
}
NO_HTTP = {name: reply for name, reply in SPOILED.items() if name.startswith("F100")}


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(Options(timers=TIMERS)) as simulated:
        yield simulated


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., EmbeddedDaemon]]:
    """`started(github, *sets)`: a daemon with a faster clock and these scale sets; nothing is left of it."""
    made: list[EmbeddedDaemon] = []

    def start(github: SimulatedGitHub, *sets: dict[str, object]) -> EmbeddedDaemon:
        files = Daemon(tmp_path / "daemon", {"scaleset": list(sets)})
        made.append(EmbeddedDaemon(github, files, AcceleratedClock(FACTOR), AcceleratedAutoscaler))
        made[-1].scaler.start()
        return made[-1]

    yield start
    for one in made:
        one.__exit__(None, None, None)
        one.assert_nothing_is_left()


def reason(embedded: EmbeddedDaemon, name: str = NAME) -> str:
    """Why it is degraded, which it is or soon will be."""
    embedded.wait_for(name, lambda status: status.state == "degraded")
    return embedded.of(name).reason


def assert_serves(embedded: EmbeddedDaemon, name: str = NAME) -> None:
    embedded.wait_for(name, lambda status: status.state == "ok")
    assert {one.result for one in embedded.jobs(name, 1)} == {"succeeded"}


def test_a_scale_set_that_cannot_be_changed_is_used_as_it_is_with_one_warning(
    github: SimulatedGitHub, daemon: Callable[..., Daemon], scale_set: Callable[..., Json]
) -> None:
    """F92; and F93, where GitHub says yes and keeps the labels."""
    names = (*UNCHANGEABLE, "kept")

    def labelled(*labels: str) -> dict[str, Any]:
        keys = {"backend": "process"}
        return {
            "on-exit": "keep",
            "scaleset": [scale_set(name, keys, labels=[name, *labels]) for name in names],
        }

    program = daemon(labelled())
    program.start()
    program.wait_for(all_ok)
    assert program.stop() == 0
    github.client_restarted()
    for name, status in UNCHANGEABLE.items():
        github.inject("F92", match=Match(scale_set=name), status=status)
    program.configure(labelled("gpu"))
    program.start()
    program.wait_for(all_ok)
    jobs = github.wait_for_jobs([github.queue_jobs(name, 1, steps=["true"])[0] for name in names])

    assert {one.result for one in jobs} == {"succeeded"}
    for name in names:
        (line,) = [
            line for line in program.log.splitlines() if " WARN" in line and f"scale_set={name}" in line
        ]
        assert "the scale set is used as it is" in line
        assert "delete the scale set at GitHub" in line
        assert ("labels are fixed when a scale set is created" in line) is (name == "kept")
    program.wait_for(lambda health: not any(one["total"] for one in health["scale_sets"]))
    assert (program.stop(), program.errors, program.leftovers()) == (0, "", [])
    assert github.final_violations() == ()


def test_a_policy_is_told_in_github_s_words_without_advice_about_rights(
    github: SimulatedGitHub, started: Callable[..., EmbeddedDaemon]
) -> None:
    """F94."""
    for kind in POLICIES:
        github.inject("F94", match=Match(path=f"/orgs/{kind}-org/"), kind=kind)
    sets = [configured(github, kind, url=github.config_url(f"{kind}-org")) for kind in POLICIES]
    embedded = started(github, *sets)
    reasons = {kind: reason(embedded, kind) for kind in POLICIES}
    github.clear_faults()

    for kind, words in POLICIES.items():
        assert words in reasons[kind]
        assert "admin:org" not in reasons[kind]
        assert " right" not in reasons[kind]
        assert_serves(embedded, kind)


def test_a_refusal_after_a_redirect_names_it_and_the_new_name(
    github: SimulatedGitHub, started: Callable[..., EmbeddedDaemon]
) -> None:
    """F95."""
    github.inject("F95", name="new-org")
    embedded = started(github, configured(github, NAME))
    told = reason(embedded)
    github.clear_faults()

    assert "GitHub redirects" in told
    assert "new-org" in told
    assert_serves(embedded)


def test_a_wrong_clock_is_named_with_its_amount_wherever_it_matters(
    github: SimulatedGitHub, daemon: Callable[..., Daemon], scale_set: Callable[..., Json]
) -> None:
    """F96: by `validate`, at start, and beside what degrades."""
    words = "this host's clock is 15 min ahead of GitHub's"
    github.inject("F30", seconds=-900.0)
    program = daemon(scale_set(NAME, backend="process"))
    validated = program.command("validate")
    github.client_restarted()
    program.start()
    program.wait_for(all_ok)
    jobs = github.wait_for_jobs(github.queue_jobs(NAME, 1, steps=["true"]))
    program.wait_for(lambda health: of(health, NAME)["total"] == 0)
    at_start = [line for line in program.log.splitlines() if words in line]
    github.inject("F27")
    github.queue_jobs(NAME, 1)
    degraded = program.wait_for(lambda health: of(health, NAME)["state"] == "degraded")

    assert words in validated.out
    assert len(at_start) == 1
    assert {one.result for one in jobs} == {"succeeded"}
    assert words in of(degraded, NAME)["reason"]


def test_a_token_file_is_read_again_after_a_refusal(
    tmp_path: Path, started: Callable[..., EmbeddedDaemon]
) -> None:
    """F99."""
    file = tmp_path / "token"
    file.write_text("ghp_" + "0lds3cr3t" * 4)
    file.chmod(0o600)
    with SimulatedGitHub(Options(timers=TIMERS, tokens=(NEW_TOKEN,))) as github:
        embedded = started(github, configured(github, NAME, token=f"file:{file}"))
        told = reason(embedded)
        file.write_text(NEW_TOKEN)

        assert "the token is wrong" in told
        assert str(file) in told
        assert_serves(embedded)
        embedded.scaler.stop()


@pytest.mark.timeout(180)
def test_what_is_no_http_disturbs_its_own_scale_set_only_and_is_tried_again_with_pauses(
    github: SimulatedGitHub, started: Callable[..., EmbeddedDaemon]
) -> None:
    """F100."""
    with WireServer() as odd:
        odd.on("GET", "runnerscalesets", *NO_HTTP.values())
        odd.on("GET", "runnerscalesets", answer(None, 503), times=float("inf"))
        embedded = started(
            github, configured(github, NAME), configured(github, "odd", url=f"{odd.url}/my-org")
        )
        wait_until(lambda: len(odd.requests("GET", "runnerscalesets")) > len(NO_HTTP), "the last of them")

        assert_serves(embedded)
        assert odd.host in reason(embedded, "odd")
        assert len(odd.requests("GET", "runnerscalesets")) < 3 * len(NO_HTTP)
        assert [embedded.of(name).restarts for name in (NAME, "odd")] == [0, 0]
        assert embedded.scaler.status().restarts == {}
        embedded.scaler.stop()
