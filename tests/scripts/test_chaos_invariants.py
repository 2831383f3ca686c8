"""The invariants of `scripts/chaos`: a good run violates none, and each flaw is reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaos_plan.evidence import Counters, Evidence, Usage
from chaos_plan.invariants import MAX_OPEN_FILES, MAX_THREADS, violations
from chaos_plan.target import Resource

from runscaler.testing.simulator import SimulatedGitHub

TOKEN = "ghp_secret"


def snapshot(scale_set: str, count: int) -> frozenset[Resource]:
    return frozenset(Resource(f"runner-{number}", scale_set) for number in range(count))


@pytest.fixture
def evidence() -> Evidence:
    """Of a run without jobs in which nothing went wrong."""
    with SimulatedGitHub() as github:
        state = github.state()
    return Evidence(
        github=state,
        rule_violations=(),
        jobs=(),
        job_output={},
        snapshots=frozenset({frozenset(), snapshot("linux", 2)}),
        max_runners={"linux": 2},
        killed=frozenset(),
        logs=("all is well",),
        secrets=(TOKEN,),
        counters=Counters(0, 0),
    )


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"unexpected_exits": ("the daemon ended with 1 after SIGTERM",)}, "ended with 1"),
    ({"unsettled": "it did not settle"}, "did not settle"),
    ({"snapshots": frozenset({snapshot("", 3)})}, "there were 3 runners at once"),
    (
        {"snapshots": frozenset({snapshot("linux", 3)}), "max_runners": {"linux": 2, "arm": 2}},
        "linux had 3 runners",
    ),
    ({"usage": Usage(MAX_THREADS + 1, 20)}, "threads"),
    ({"usage": Usage(20, MAX_OPEN_FILES + 1)}, "open files"),
    ({"leftovers": ("a file",)}, "left behind: a file"),
    ({"orphaned_registrations": ("runner-1",)}, "registration of runner-1 has outlived its runner"),
    ({"unregistered_runners": ("runner-1",)}, "runner-1 has outlived its registration"),
    (
        {"changed_decoys": ("another's runner",)},
        "changed, though it only looks like a runner: another's runner",
    ),
    ({"crashes": ("listener crashed",)}, "listener crashed"),
    ({"logs": (f"token {TOKEN}",)}, "holds the token or secret that begins with ghp_"),
    ({"logs": ("eyJ" + "a" * 50,)}, "JIT configuration or a JWT"),
]


def test_a_run_without_a_flaw_has_no_violation(evidence):
    assert violations(evidence) == []


@pytest.mark.parametrize(("flaw", "words"), BROKEN)
def test_each_flaw_is_named_alone(evidence, flaw, words):
    (found,) = violations(replace(evidence, **flaw))

    assert words in found
    assert TOKEN not in found


def test_counters_that_differ_from_github_s_are_named(evidence):
    (found,) = violations(replace(evidence, counters=Counters(1, 0)))

    assert "/healthz counted" in found


def test_a_job_that_never_ran_is_lost(evidence):
    with SimulatedGitHub() as github:
        jobs = tuple(github.queue_jobs("linux"))
        state = github.state()

    (found,) = violations(replace(evidence, github=state, jobs=jobs))

    assert "was lost: it is queued" in found
