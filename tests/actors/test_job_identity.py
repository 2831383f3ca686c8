"""Which job it is, in events, log lines and status (docs/behaviour.md § 12)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger
from support.world import World, scale_set

from runscaler import events
from runscaler.github.messages import JobCompleted, JobStarted
from runscaler.status import JobOrigin

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKFLOW = "my-org/app/.github/workflows/ci.yml@refs/heads/main"
FACTS: dict[str, Any] = {
    "owner": "my-org",
    "repository": "app",
    "workflow_ref": WORKFLOW,
    "run_id": 4711,
    "display_name": "build",
    "queued_at": 100.0,
    "runner_assigned_at": 103.0,
}
FIELDS = {"repository": "my-org/app", "workflow": WORKFLOW, "workflow_run_id": 4711, "job": "build"}


@pytest.fixture
def records() -> Iterator[list[dict[str, Any]]]:
    """Message and fields of each log line."""
    found: list[dict[str, Any]] = []

    def note(message: Any) -> None:
        found.append({"msg": message.record["message"], **message.record["extra"]})

    logger.enable("runscaler")
    number = logger.add(note, level="INFO", format="{message}")
    yield found
    logger.remove(number)
    logger.disable("runscaler")


def world_with_job(**more: Any) -> tuple[World, str]:
    """A world whose only runner has begun the job of `FACTS`."""
    world = World(max_runners=3, min_runners=1)
    world.play()
    runner = world.status().slots[0].runner
    world.github.say("linux", JobStarted("j", runner_name=runner, **{**FACTS, **more}))
    world.play()
    return world, runner


def of_event(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (one,) = [each for each in records if each.get("event") == name]
    return one


def complete(world: World, runner: str, result: str, **more: Any) -> None:
    facts = {**FACTS, "finished_at": 115.0, **more}
    world.github.say("linux", JobCompleted("j", runner_name=runner, result=result, **facts))
    world.play()


def test_a_job_that_began_is_told_with_its_repository_and_run(records: list[dict[str, Any]]) -> None:
    world, runner = world_with_job()

    line = of_event(records, "job_started")
    assert line["msg"] == (f"{runner} began job build of my-org/app (run 4711), which was queued for 3 s")
    settings = world.config.scale_sets[0]
    place = {"event": "job_started", "scale_set": "linux", "slot": 0, "runner": runner}
    place |= {"url": settings.url, "runner_group": settings.runner_group}
    rest = {"job_id": "j", "seconds_queued": 3.0}
    assert {key: line[key] for key in line if key != "msg"} == {**place, **FIELDS, **rest}


def test_the_slot_of_a_running_job_tells_where_the_job_comes_from() -> None:
    world, runner = world_with_job()

    (slot,) = [each for each in world.status().slots if each.runner == runner]
    assert (slot.job, slot.origin) == ("build", JobOrigin("my-org/app", WORKFLOW, 4711))


@pytest.mark.parametrize("ends_first", [True, False])
def test_a_job_s_end_is_told_with_its_result_and_times(
    records: list[dict[str, Any]], ends_first: bool
) -> None:
    world, runner = world_with_job()
    if ends_first:
        world.end(runner)
        world.play()

    complete(world, runner, "failed")

    line = of_event(records, "job_completed")
    assert line["msg"] == f"job build of my-org/app (run 4711) on {runner}: failed after 12 s"
    expected = {**FIELDS, "result": "failed", "seconds_queued": 3.0, "seconds_run": 12.0, "runner": runner}
    assert {key: line[key] for key in expected} == expected


def test_a_runner_that_died_in_its_job_reads_differently_from_a_job_that_failed(
    records: list[dict[str, Any]],
) -> None:
    world, runner = world_with_job()

    world.end(runner, 137, signal=9)
    world.play()
    complete(world, runner, "failed")

    lost, done = of_event(records, "runner_lost"), of_event(records, "job_completed")
    assert lost["msg"] == (
        f"{runner} died (exit code 137, signal 9) while it ran job build of my-org/app (run 4711); "
        "GitHub will fail the job within minutes"
    )
    assert done["msg"] == (
        f"job build of my-org/app (run 4711) on {runner}: failed after 12 s, because its runner died"
    )
    expected = {**FIELDS, "job_id": "j", "runner": runner, "reason": "exit code 137, signal 9"}
    assert {key: lost[key] for key in expected} == expected
    assert world.status().counters.runners_lost == 1


def test_what_github_does_not_tell_is_empty_and_left_out_of_the_words(records: list[dict[str, Any]]) -> None:
    _, runner = world_with_job(owner="", repository="", workflow_ref="", run_id=0, queued_at=None)

    line = of_event(records, "job_started")
    assert line["msg"] == f"{runner} began job build"
    assert (line["repository"], line["workflow"], line["workflow_run_id"]) == ("", "", 0)
    assert line["seconds_queued"] is None


@pytest.mark.parametrize("nasty", ["\x1b[2J\n2026 ERROR forged", "x" * 10_000])
def test_texts_are_made_harmless_and_short_everywhere(records: list[dict[str, Any]], nasty: str) -> None:
    texts = {"owner": nasty, "repository": nasty, "workflow_ref": nasty, "display_name": nasty}
    world, runner = world_with_job(**texts)
    complete(world, runner, nasty, **texts)

    said = [value for line in records for value in line.values() if isinstance(value, str)]
    said += [str(value) for slot in world.status().slots for value in asdict(slot.origin).values()]
    assert all(text.isprintable() for text in said)
    assert max(map(len, said)) < 500


def test_events_and_log_lines_of_two_scale_sets_of_one_name_tell_which(
    records: list[dict[str, Any]],
) -> None:
    urls = ("https://github.com/my-org", "https://github.com/other/app")
    sets = tuple(scale_set("linux", url=url, min_runners=1) for url in urls)
    world = World(scale_sets=sets)
    world.play()

    for kind in (events.ScaleSetChanged, events.RunnerStarted):
        of_kind = [one for one in world.events if isinstance(one, kind)]
        assert {(one.scale_set, one.url, one.runner_group) for one in of_kind} == {
            ("linux", url, "default") for url in urls
        }
    said = [line for line in records if "scale_set" in line]
    assert {(line["scale_set"], line["url"]) for line in said} == {("linux", url) for url in urls}


def test_the_fields_of_an_event_are_its_name_and_its_values() -> None:
    event = events.RunnerLost(
        at=1.0, scale_set="linux", slot=2, runner="runner-1", job_id="j", job="build", reason="signal 9"
    )

    assert event.fields() == {
        "event": "runner_lost",
        "scale_set": "linux",
        "url": "",
        "runner_group": "",
        "slot": 2,
        "runner": "runner-1",
        "job_id": "j",
        "job": "build",
        "repository": "",
        "workflow": "",
        "workflow_run_id": 0,
        "reason": "signal 9",
    }
