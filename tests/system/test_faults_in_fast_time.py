"""Faults that take minutes to recover from, on one daemon with a faster clock; each has its own scale set.

GitHub's clock is real, with short durations, except for tokens, which the daemon renews by its own clock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.accelerated import AcceleratedAutoscaler, AcceleratedClock
from support.daemon import Daemon
from support.embedded import EmbeddedDaemon, configured, make_fault

from runscaler.testing.simulator import GITHUB, JobState, Match, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTOR = 20.0
TIMERS = replace(GITHUB, long_poll=1.0, session=60.0, agent_silence=600.0, registration=600.0, pick_up=600.0)
GROUP = "Builders"
SILENT, GHOSTLY, ASKED, GROUPED = "silent", "ghostly", "asked", "grouped"
KEYS: dict[str, dict[str, object]] = {
    SILENT: {},
    GHOSTLY: {"min_runners": 1},
    ASKED: {"idle_timeout": "60s"},
    GROUPED: {"runner_group": GROUP},
}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Iterator[EmbeddedDaemon]:
    """All faults have been injected; each test waits for the consequences of one of them."""
    with SimulatedGitHub(Options(timers=TIMERS, groups=(GROUP,))) as github:
        sets = [configured(github, name, max_runners=2, **keys) for name, keys in KEYS.items()]
        files = Daemon(tmp_path_factory.mktemp("minutes"), {"scaleset": sets})
        made = EmbeddedDaemon(github, files, AcceleratedClock(FACTOR), AcceleratedAutoscaler)
        made.inject(make_fault("F62", count=None))
        with made:
            yield made
        made.assert_nothing_is_left()


def replaced(embedded: EmbeddedDaemon, name: str, runner: str) -> None:
    """Whether `runner` is gone and another one of that scale set is idle or busy."""
    embedded.wait_for(name, lambda status: runner not in {slot.runner for slot in status.slots})


def lone_runner(embedded: EmbeddedDaemon, name: str) -> str:
    embedded.wait_for(name, lambda status: [slot.state for slot in status.slots] == ["idle"])
    (slot,) = embedded.of(name).slots
    return str(slot.runner)


def connected(embedded: EmbeddedDaemon, runner: str) -> None:
    embedded.github.wait_until(lambda state: any(one.name == runner and one.polling for one in state.runners))


def test_a_missing_runner_group_is_reported_and_waited_for(embedded: EmbeddedDaemon) -> None:
    """F62."""
    embedded.wait_for(GROUPED, lambda status: status.state == "degraded")
    reason = embedded.of(GROUPED).reason
    embedded.github.clear_faults()
    embedded.wait_for(GROUPED, lambda status: status.state == "ok")

    assert f"the runner group '{GROUP}' does not exist" in reason
    assert {one.result for one in embedded.jobs(GROUPED, 1)} == {"succeeded"}


def test_a_runner_that_never_connects_is_replaced_while_a_job_waits_for_it(embedded: EmbeddedDaemon) -> None:
    """F76: the fault hits the next runner that registers, which is that of this scale set."""
    connected(embedded, lone_runner(embedded, GHOSTLY))
    (fault,) = embedded.inject(make_fault("F76", count=1))
    ids = embedded.github.queue_jobs(SILENT, 1, steps=["true"])
    runner = lone_runner(embedded, SILENT)
    embedded.wait_for_hits([fault])
    (job,) = embedded.github.wait_for_jobs(ids, timeout=120.0)

    assert (job.result, job.runner != runner) == ("succeeded", True)
    replaced(embedded, SILENT, runner)


def test_a_ghost_is_replaced_and_the_next_job_runs(embedded: EmbeddedDaemon) -> None:
    """F79."""
    runner = lone_runner(embedded, GHOSTLY)
    connected(embedded, runner)
    embedded.github.change_runner(runner, "vanish")
    replaced(embedded, GHOSTLY, runner)

    assert lone_runner(embedded, GHOSTLY) != runner
    assert {one.result for one in embedded.jobs(GHOSTLY, 1)} == {"succeeded"}


def test_a_runner_that_github_calls_busy_is_kept_and_checked_again_after_ten_minutes(
    embedded: EmbeddedDaemon,
) -> None:
    """F81: the runner is idle because its job was cancelled before it was ready."""
    (ignoring,) = embedded.inject(make_fault("F83", Match(scale_set=ASKED)))
    (job,) = embedded.github.queue_jobs(ASKED, 1)
    runner = lone_runner(embedded, ASKED)
    (refusing,) = embedded.inject(make_fault("F81", Match(runner=runner), count=None))
    embedded.github.cancel_job(job)
    embedded.github.remove_fault(ignoring)
    embedded.wait_for(ASKED, lambda status: [slot.state for slot in status.slots] == ["busy"])
    assert embedded.github.hits(refusing) == 1

    embedded.github.remove_fault(refusing)
    replaced(embedded, ASKED, runner)
    embedded.github.wait_for_jobs([job], JobState.COMPLETED)
    assert {one.result for one in embedded.jobs(ASKED, 1)} == {"succeeded"}


def test_no_rule_was_broken_and_nothing_crashed(embedded: EmbeddedDaemon) -> None:
    for name in KEYS:
        embedded.wait_for(name, lambda status, least=int(name == GHOSTLY): status.total == least)
    assert embedded.github.violations() == ()
    assert [embedded.of(name).restarts for name in KEYS] == [0] * len(KEYS)
