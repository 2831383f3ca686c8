"""What `scripts/chaos` calls a violation: nothing in a good run, and each thing that may not be."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runscaler.testing.simulator import SimulatedGitHub

SCRIPTS = Path(__file__).parents[2] / "scripts"
TOKEN = "ghp_secret"


@pytest.fixture
def chaos(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("chaos_plan.invariants"), importlib.import_module("chaos_plan.evidence")


@pytest.fixture
def evidence(chaos):
    """Of a run in which nothing was asked for and nothing went wrong."""
    with SimulatedGitHub() as github:
        state = github.state()
    return chaos[1].Evidence(
        github=state,
        violations=(),
        jobs=(),
        proofs={},
        crowds=frozenset({frozenset(), frozenset({"runner-1", "runner-2"})}),
        most={"linux": 2},
        killed=frozenset(),
        exit_code=0,
        logs=("all is well",),
        tokens=(TOKEN,),
        counted=chaos[1].Counters(0, 0),
    )


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"exit_code": 1}, "ended with 1"),
    ({"unready": "it did not come to rest"}, "did not come to rest"),
    ({"crowds": frozenset({frozenset({"a", "b", "c"})})}, "3 runners at once"),
    ({"left": ("a file",)}, "left behind: a file"),
    ({"bystanders_live": False}, "was touched"),
    ({"crashes": ("listener crashed",)}, "listener crashed"),
    ({"logs": (f"token {TOKEN}",)}, "holds the token that begins with ghp_"),
    ({"logs": ("eyJ" + "a" * 50,)}, "JIT configuration or a JWT"),
]


def test_a_run_without_a_flaw_has_no_violation(chaos, evidence):
    assert chaos[0].breaches(evidence) == []


@pytest.mark.parametrize(("flaw", "words"), BROKEN)
def test_each_flaw_is_named_alone(chaos, evidence, flaw, words):
    (found,) = chaos[0].breaches(replace(evidence, **flaw))

    assert words in found
    assert TOKEN not in found


def test_counters_that_differ_from_github_s_are_named(chaos, evidence):
    (found,) = chaos[0].breaches(replace(evidence, counted=chaos[1].Counters(1, 0)))

    assert "/healthz counted" in found


def test_a_job_that_never_ran_is_lost(chaos, evidence):
    with SimulatedGitHub() as github:
        jobs = tuple(github.queue_jobs("linux"))
        state = github.state()

    (found,) = chaos[0].breaches(replace(evidence, github=state, jobs=jobs))

    assert "was lost: it is queued" in found
