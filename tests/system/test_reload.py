"""A changed configuration file under a running daemon, with jobs on it (docs/behaviour.md § 4.5)."""

from __future__ import annotations

import json
import signal

import pytest
from support.daemon import all_ok, of

from runscaler.testing.simulator import JobState


@pytest.fixture
def config(scale_set, backend):
    """Two scale sets, of which the first is changed step by step."""
    first = {**scale_set("linux", backend, max_runners=3, idle_timeout="1m")}
    second = {**scale_set("other", backend, max_runners=2)}
    return {"scaleset": [first, second]}


def changed(config, number=0, docker=None, **keys):
    """The configuration with other keys in one scale set."""
    sets = [dict(one) for one in config["scaleset"]]
    sets[number] |= {name.replace("_", "-"): value for name, value in keys.items()}
    if docker:
        sets[number]["docker"] = {**sets[number]["docker"], **docker}
    return {**config, "scaleset": sets}


def reloaded(program, config):
    """What `runner reload` prints about the new file."""
    program.configure(config)
    told = program.command("reload", "--json")
    assert told.code == 0, told.err
    return json.loads(told.out)["changes"]


def holders(program, name):
    """The runners that run a job, by the daemon's own words."""
    return {one["runner"] for one in of(program.health(), name)["slots"] if one["state"] == "busy"}


def test_each_kind_of_change_under_load_touches_no_busy_runner(github, daemon, config, latch):
    program = daemon(config)
    program.start()
    program.wait_for(all_ok)
    long = [
        *github.queue_jobs("linux", count=2, steps=[latch.step]),
        *github.queue_jobs("other", count=2, steps=[latch.step]),
    ]
    github.wait_for_jobs(long, JobState.RUNNING)
    program.wait_for(lambda health: all(of(health, name)["busy"] == 2 for name in ("linux", "other")))
    busy = holders(program, "linux") | holders(program, "other")
    short = github.queue_jobs("linux", count=4, steps=["true"])

    config = changed(config, max_runners=5)
    assert reloaded(program, config) == ["scale set linux: max-runners 3 → 5"]
    short += github.queue_jobs("linux", count=4, steps=["true"])
    config = changed(config, min_runners=1, start_timeout="2m")
    assert len(reloaded(program, config)) == 1
    program.wait_for(lambda health: of(health, "linux")["idle"] >= 1)
    config = changed(config, labels=["linux", "big"])
    assert len(reloaded(program, config)) == 1
    config = changed(config, token="ghp_" + "n3ws3cr3t" * 4)
    assert reloaded(program, config) == ["scale set linux: token changed"]
    if config["scaleset"][0]["backend"] == "docker":
        before = {one["runner"] for one in of(program.health(), "linux")["slots"]} - busy
        config = changed(config, docker={"env": {"COLOUR": "blue"}})
        (line,) = reloaded(program, config)
        assert line.endswith("for runners that start from now on, idle ones are replaced")
        program.wait_for(
            lambda health: before.isdisjoint(one["runner"] for one in of(health, "linux")["slots"])
        )
    added = dict(config["scaleset"][1], name="third")
    left = {**config, "scaleset": [config["scaleset"][0], added]}
    lines = reloaded(program, left)
    assert lines == [
        "scale set third: added, it starts now",
        "scale set other: removed, it takes no new jobs and ends once its jobs have",
    ]
    short += github.queue_jobs("third", count=2, steps=["true"])
    config = changed(left, max_runners=1)
    reloaded(program, config)

    github.wait_for_jobs(short)
    assert busy <= set(program.resources())
    assert holders(program, "linux") | holders(program, "other") == busy
    latch.release()
    done = github.wait_for_jobs([*long, *short])
    assert {job.result for job in done} == {"succeeded"}
    health = program.wait_for(
        lambda health: [one["name"] for one in health["scale_sets"]] == ["linux", "third"]
    )
    counted = [one["metrics"]["jobs_completed"] for one in health["scale_sets"]]
    assert counted == [2 + len(short) - 2, 2]
    assert (program.stop(), program.leftovers()) == (0, [])
    assert github.final_violations() == ()


def test_an_invalid_file_changes_nothing_and_names_the_line(github, daemon, config, latch):
    program = daemon(config)
    program.before = ("setsid",)
    program.start()
    (job,) = github.queue_jobs("linux", steps=[latch.step])
    github.wait_for_jobs([job], JobState.RUNNING)

    program.configure(changed(config, max_runners="many", tokn="x"))
    told = program.command("reload")
    assert told.code == 1
    assert "max-runners" in told.err
    assert "tokn" in told.err
    program.signal(signal.SIGHUP)
    program.wait_for_log("the configuration stays as it was, as the new one is not usable")
    assert of(program.health(), "linux")["max"] == 3

    program.configure(changed(config, max_runners=2))
    program.signal(signal.SIGHUP)
    program.wait_for_log("reloaded: scale set linux: max-runners 3 → 2")
    program.wait_for(lambda health: of(health, "linux")["max"] == 2)
    latch.release()
    (done,) = github.wait_for_jobs([job])
    assert done.result == "succeeded"
    assert program.stop() == 0
