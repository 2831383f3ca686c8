"""Windows that open and close under a running daemon, on a faster clock (docs/behaviour.md § 4.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support.accelerated import AcceleratedAutoscaler, AcceleratedClock
from support.daemon import Daemon, Latch
from support.embedded import EmbeddedDaemon, configured

from runscaler.testing.simulator import GITHUB, JobState, Options, SimulatedGitHub

if TYPE_CHECKING:
    from pathlib import Path

NAME = "linux"
TIMERS = replace(GITHUB, session=60.0, agent_silence=600.0, registration=600.0, pick_up=600.0)
"""A poll takes up to 50 s of real time: a capacity that waited for its end would come too late."""
EVERY_SECOND_MINUTE = {"cron": "*/2 * * * *", "duration": "60s", "max-runners": 3}


def test_windows_change_the_capacity_at_github_and_touch_no_job(tmp_path: Path) -> None:
    latch = Latch()
    with SimulatedGitHub(Options(timers=TIMERS)) as github:
        keys = configured(github, NAME, max_runners=1, idle_timeout="10s", schedule=[EVERY_SECOND_MINUTE])
        files = Daemon(tmp_path, keys)
        embedded = EmbeddedDaemon(github, files, AcceleratedClock(10.0), AcceleratedAutoscaler)
        with embedded:
            held = github.queue_jobs(NAME, 3, steps=[latch.step])
            embedded.wait_for(NAME, lambda status: (status.busy, status.max) == (3, 3), 60.0)
            open_window = embedded.of(NAME).window
            github.wait_until(lambda state: state.scale_sets[0].capacity == 1, timeout=60.0)
            embedded.wait_for(NAME, lambda status: (status.busy, status.max) == (3, 1), 60.0)
            running = [one.state for one in github.state().jobs]
            late = github.queue_jobs(NAME, 4, steps=["true"])
            latch.release()
            jobs = github.wait_for_jobs([*held, *late], timeout=60.0)
            github.wait_until(lambda state: state.scale_sets[0].capacity == 3, timeout=60.0)
            embedded.wait_until_clear(NAME)
        embedded.assert_nothing_is_left()
    latch.close()

    assert open_window is not None
    assert (open_window.entry, open_window.max) == (1, 3)
    assert running == [JobState.RUNNING] * 3
    assert [(one.result, one.attempts) for one in jobs] == [("succeeded", 1)] * 7
