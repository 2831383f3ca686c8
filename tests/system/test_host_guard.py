"""Limits that no host can keep, and what is really measured (docs/behaviour.md § 6.4)."""

from __future__ import annotations

import pytest
from support.daemon import all_ok, of

from runscaler.testing.simulator import JobState

MORE_THAN_ANY_DISK = "1000000TiB"


def waits(health):
    return [(one["reason"], one["count"]) for one in of(health, "linux")["unmet"]] == [("host_guard", 2)]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"min-free-disk": MORE_THAN_ANY_DISK}, "is below min-free-disk 1000000 TiB ("),
        ({"min-free-memory": MORE_THAN_ANY_DISK}, "is below min-free-memory 1000000 TiB"),
    ],
)
def test_nothing_starts_below_a_limit_and_waiting_jobs_start_without_it(
    github, daemon, scale_set, backend, limits, words
):
    config = scale_set("linux", backend, max_runners=3)
    program = daemon({**config, "host": limits})
    program.start()
    program.wait_for(all_ok)
    jobs = github.queue_jobs("linux", count=2, steps=["true"])
    health = program.wait_for(waits)
    why = program.command("why")
    status = program.command("status")

    assert words in of(health, "linux")["unmet"][0]["detail"]
    assert 0 <= of(health, "linux")["unmet"][0]["look_seconds"] <= 5
    assert why.out.startswith("linux: 2 more runners are wanted and not started: free ")
    assert words in why.out
    assert "; next look in" in why.out
    assert "host_guard" in status.out
    assert program.log.count("no runner starts: free ") == 1
    assert program.resources() == []
    assert {one.state for one in github.state().jobs} == {JobState.ASSIGNED}

    program.configure({**config, "host": dict.fromkeys(limits, "1MiB")})
    assert program.command("reload").code == 0
    done = github.wait_for_jobs(jobs)

    assert {one.result for one in done} == {"succeeded"}
    assert program.log.count("runners start again") == 1
    assert (program.stop(), program.errors, program.leftovers()) == (0, "", [])
