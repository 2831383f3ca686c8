"""A hundred scale sets behind one credential: they start, are rate limited, and go on without a storm.

docs/behaviour.md § 6.7, docs/protocol.md § 7; fault F15
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemon import Daemon, wait_until
from support.embedded import configured

from runscaler.autoscaler import Autoscaler
from runscaler.config.load import load_config
from runscaler.status import SetState
from runscaler.testing.simulator import FAST, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.status import ScaleSetStatus

SETS = 100
WITH_JOBS = 10
PATIENCE = 150.0
TIMERS = replace(
    FAST, long_poll=10.0, session=120.0, agent_silence=120.0, registration=600.0, lease=120.0, pick_up=120.0
)
NAMES = tuple(f"set-{number}" for number in range(SETS))


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(Options(timers=TIMERS), threads=2 * SETS) as simulated:
        yield simulated


@pytest.fixture
def scaler(github: SimulatedGitHub, tmp_path) -> Iterator[Autoscaler]:
    sets = [configured(github, name, max_runners=1) for name in NAMES]
    files = Daemon(tmp_path, {"scaleset": sets})
    made = Autoscaler(load_config(files.path))
    made.start()
    yield made
    github.clear_faults()
    made.stop()
    files.close()


@pytest.mark.timeout(400)
def test_a_hundred_scale_sets_survive_a_secondary_rate_limit(github, scaler):
    def sets() -> tuple[ScaleSetStatus, ...]:
        return scaler.status().scale_sets

    assert scaler.wait_ready(PATIENCE)
    assert len([one for one in github.state().scale_sets if one.session]) == SETS

    limit = github.inject("F15", count=None, retryAfter=3)
    first = [github.queue_jobs(name) for name in NAMES[:WITH_JOBS]]
    wait_until(lambda: github.hits(limit), "a refused call")
    wait_until(lambda: any(one.state is SetState.DEGRADED for one in sets()), "a limited set")
    reasons = {one.reason for one in sets() if one.reason}
    refused = github.hits(limit)
    github.remove_fault(limit)
    second = [github.queue_jobs(name) for name in NAMES[-WITH_JOBS:]]
    jobs = github.wait_for_jobs([job for queued in first + second for job in queued], timeout=PATIENCE)
    wait_until(lambda: all(one.state is SetState.OK for one in sets()), "all ok", PATIENCE)

    assert {job.result for job in jobs} == {"succeeded"}
    assert all("rate limited" in reason for reason in reasons)
    assert refused <= SETS, "each listener had one call under way"
    assert github.violations() == (), "nobody called before the time was over"
