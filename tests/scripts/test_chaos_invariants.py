"""What `scripts/chaos` calls a violation: nothing in a good run, and each thing that may not be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaos_plan.evidence import Counters, Evidence
from chaos_plan.ground import Lodger
from chaos_plan.invariants import MOST_FILES, MOST_THREADS, breaches

from runscaler.testing.simulator import SimulatedGitHub

TOKEN = "ghp_secret"


def crowd(scale_set: str, count: int) -> frozenset[Lodger]:
    return frozenset(Lodger(f"runner-{number}", scale_set) for number in range(count))


@pytest.fixture
def evidence() -> Evidence:
    """Of a run in which nothing was asked for and nothing went wrong."""
    with SimulatedGitHub() as github:
        state = github.state()
    return Evidence(
        github=state,
        violations=(),
        jobs=(),
        proofs={},
        crowds=frozenset({frozenset(), crowd("linux", 2)}),
        most={"linux": 2},
        killed=frozenset(),
        logs=("all is well",),
        tokens=(TOKEN,),
        counted=Counters(0, 0),
    )


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"wrong_ends": ("the daemon ended with 1 after SIGTERM",)}, "ended with 1"),
    ({"unready": "it did not come to rest"}, "did not come to rest"),
    ({"crowds": frozenset({crowd("", 3)})}, "there were 3 runners at once"),
    ({"crowds": frozenset({crowd("linux", 3)}), "most": {"linux": 2, "arm": 2}}, "linux had 3 runners"),
    ({"holds": (MOST_THREADS + 1, 20)}, "threads"),
    ({"holds": (20, MOST_FILES + 1)}, "open files"),
    ({"left": ("a file",)}, "left behind: a file"),
    ({"homeless": ("runner-1",)}, "registration of runner-1 has outlived its runner"),
    ({"touched": ("another's runner",)}, "touched, though it only looks like a runner: another's runner"),
    ({"crashes": ("listener crashed",)}, "listener crashed"),
    ({"logs": (f"token {TOKEN}",)}, "holds the token or secret that begins with ghp_"),
    ({"logs": ("eyJ" + "a" * 50,)}, "JIT configuration or a JWT"),
]


def test_a_run_without_a_flaw_has_no_violation(evidence):
    assert breaches(evidence) == []


@pytest.mark.parametrize(("flaw", "words"), BROKEN)
def test_each_flaw_is_named_alone(evidence, flaw, words):
    (found,) = breaches(replace(evidence, **flaw))

    assert words in found
    assert TOKEN not in found


def test_counters_that_differ_from_github_s_are_named(evidence):
    (found,) = breaches(replace(evidence, counted=Counters(1, 0)))

    assert "/healthz counted" in found


def test_a_job_that_never_ran_is_lost(evidence):
    with SimulatedGitHub() as github:
        jobs = tuple(github.queue_jobs("linux"))
        state = github.state()

    (found,) = breaches(replace(evidence, github=state, jobs=jobs))

    assert "was lost: it is queued" in found
