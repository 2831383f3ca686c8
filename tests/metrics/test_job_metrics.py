"""The job metrics: their labels are GitHub's texts, which are not to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.scrapes import Scrape, scrape
from support.world import World, scale_set

from runscaler.autoscaler import metrics_of
from runscaler.config.globals import JOB_LABELS, MetricsSettings
from runscaler.config.model import Config
from runscaler.github.messages import JobAssigned, JobAvailable, JobCompleted, JobStarted
from runscaler.metrics.exposition import Exposition
from runscaler.metrics.jobs import JobWords, bounded, workflow_parts
from runscaler.status import ScaleSetStatus, SetState, Status

if TYPE_CHECKING:
    from runscaler.metrics.metrics import Metrics

STARTED, COMPLETED = "gha_started_jobs_total", "gha_completed_jobs_total"
STARTUP, EXECUTION = "gha_job_startup_duration_seconds", "gha_job_execution_duration_seconds"


def text_of(metrics: Metrics, *names: str, url: str = "https://github.com/my-org") -> Scrape:
    sets = tuple(ScaleSetStatus(name, url, "default", "docker", SetState.OK) for name in names)
    return Scrape.of(Exposition(metrics).text(Status("1", 0.0, sets), 0.0, {}))


def metrics(**settings: object) -> Metrics:
    return metrics_of(
        Config(scale_sets=(scale_set("a"), scale_set("b")), metrics=MetricsSettings(**settings))
    )


def of(found: Metrics, name: str = "a"):
    settings = scale_set(name)
    return found.of(settings.key, settings.url)


def idle_world() -> World:
    world = World(max_runners=3)
    world.play()
    return world


def job(kind: type, number: int = 1, **more: object):
    facts = {
        "request_id": number,
        "owner": "my-org",
        "repository": "app",
        "display_name": "build",
        "event_name": "push",
        "queued_at": 100.0,
        "assigned_at": 110.5,
        "runner_assigned_at": 125.0,
    }
    if kind in (JobStarted, JobCompleted):
        facts |= {"runner_id": 7, "runner_name": "runner-elsewhere"}
    if kind is JobCompleted:
        facts |= {"finished_at": 190.9, "result": "failed"}
    return kind(f"job-{number}", **(facts | more))


def told(*events: object) -> Scrape:
    world = idle_world()
    world.github.say("linux", *events)
    world.play()
    world.advance(1)
    return scrape(world)


def test_a_started_and_a_completed_job_are_counted_with_whole_seconds() -> None:
    seen = told(job(JobStarted), job(JobCompleted))

    begun = {"organization": "my-org", "repository": "app", "job_name": "build", "event_name": "push"}
    assert seen.value(STARTED, **begun, enterprise="") == 1
    assert seen.value(COMPLETED, **begun, job_result="failed") == 1
    assert seen.value(f"{STARTUP}_sum", **begun) == 14
    assert seen.value(f"{EXECUTION}_sum", **begun, job_result="failed") == 65
    assert seen.value(f"{STARTUP}_bucket", le="12") == 0
    assert seen.value(f"{STARTUP}_bucket", le="15") == 1
    assert seen.value("runscaler_job_queue_seconds_sum") == 25


def test_a_job_cancelled_before_a_runner_took_it_is_not_counted() -> None:
    seen = told(job(JobCompleted, runner_assigned_at=None, runner_name="", runner_id=0, result="canceled"))

    assert COMPLETED not in seen.names()
    assert f"{EXECUTION}_count" not in seen.names()
    assert seen.value("runscaler_messages_total", kind="completed") == 1


def test_a_missing_time_gives_no_observation_and_a_wrong_order_gives_zero() -> None:
    seen = told(
        job(JobStarted, 1, assigned_at=None),
        job(JobStarted, 2, assigned_at=500.0),
        job(JobCompleted, 1, finished_at=None),
    )

    assert seen.value(STARTED) == 2
    assert (seen.value(f"{STARTUP}_count"), seen.value(f"{STARTUP}_sum")) == (1, 0)
    assert seen.value(COMPLETED) == 1
    assert f"{EXECUTION}_count" not in seen.names()


def test_what_comes_again_counts_once_whatever_its_message_and_session() -> None:
    world = idle_world()
    events = [job(JobAvailable), job(JobAssigned), job(JobStarted), job(JobCompleted)]
    world.github.say("linux", *events)
    world.play()
    world.github.say("linux", *events)
    world.play()
    world.advance(1)

    seen = scrape(world)
    assert (seen.value(STARTED), seen.value(COMPLETED)) == (1, 1)
    for kind in ("available", "assigned", "started", "completed"):
        assert seen.value("runscaler_messages_total", kind=kind) == 1


def test_a_job_that_begins_again_on_another_runner_counts_again() -> None:
    seen = told(job(JobStarted), job(JobStarted, runner_id=8))

    assert seen.value(STARTED) == 2


def test_counts_go_on_when_the_scale_sets_actor_crashes() -> None:
    from runscaler.actors.scale_set import ScaleSetActor

    world = idle_world()
    world.github.say("linux", job(JobStarted))
    world.play()
    world.crash(ScaleSetActor)
    world.advance(5)
    world.github.say("linux", job(JobStarted), job(JobCompleted))
    world.advance(2)

    seen = scrape(world)
    assert (seen.value(STARTED), seen.value(COMPLETED)) == (1, 1)
    assert seen.value("runscaler_actor_restarts_total", actor="scale_set") == 1


def test_the_memory_of_what_was_counted_is_bounded() -> None:
    counted = of(metrics())

    assert counted.is_new("first")
    assert all(counted.is_new(number) for number in range(4096))
    assert not counted.is_new(4095)
    assert counted.is_new("first")
    assert len(counted._seen) == 4096


def test_a_hostile_name_is_cut_and_escaped_and_breaks_no_line() -> None:
    found = metrics()
    name = 'a"b\\c\nd\x1b[2J\ud800' + "x" * 5000
    of(found).job_started(JobWords("o", "r", name, "push"), 1.0)
    sets = (ScaleSetStatus("a", "https://github.com/my-org", "default", "docker", SetState.OK),)

    text = Exposition(found).text(Status("1", 0.0, sets), 0.0, {})
    text.encode()

    (labels,) = Scrape.of(text).labels(STARTED)
    assert labels["job_name"].startswith('a\\"b\\\\c')
    assert len(labels["job_name"]) < 140
    assert "\x1b" not in text


def test_names_without_end_are_folded_into_one_label_set_and_counted() -> None:
    found = metrics(max_job_series=3)
    for number in range(10):
        of(found).job_started(JobWords("o", "r", f"job {number}", "push"), 5.0)
    of(found).job_started(JobWords("o", "r", "job 1", "push"), 5.0)

    seen = text_of(found, "a")
    assert len(seen.labels(STARTED)) == 4
    assert seen.value(STARTED, job_name="_other") == 7
    assert seen.value(STARTED, job_name="job 1") == 2
    assert seen.value(f"{STARTUP}_count", job_name="_other") == 7
    (other,) = [one for one in seen.labels(STARTED) if one["job_name"] == "_other"]
    assert (other["repository"], other["event_name"]) == ("", "")
    assert seen.value("runscaler_metrics_folded_total", family=STARTED) == 7
    assert seen.value("runscaler_metrics_folded_total", family=STARTUP) == 7


def test_the_bound_holds_for_all_scale_sets_together_and_is_given_back_with_a_set() -> None:
    found = metrics(max_job_series=1)
    of(found, "a").job_started(JobWords(job_name="one"), None)
    of(found, "b").job_started(JobWords(job_name="two"), None)
    assert text_of(found, "a", "b").value(STARTED, job_name="_other") == 1

    found.forget(scale_set("a").key)
    of(found, "b").job_started(JobWords(job_name="three"), None)

    assert text_of(found, "b").value(STARTED, job_name="three") == 1


def test_branches_without_end_are_bounded_too_where_no_job_name_is_a_label() -> None:
    found = metrics(max_job_series=2, job_labels=("job_workflow_target",))
    for number in range(9):
        reference = f"o/r/.github/workflows/ci.yml@refs/heads/b{number}"
        of(found).job_started(JobWords(workflow_ref=reference), None)

    seen = text_of(found, "a")
    assert sorted(one["job_workflow_target"] for one in seen.labels(STARTED)) == ["", "heads/b0", "heads/b1"]


def test_labels_that_are_switched_on_tell_the_workflow() -> None:
    found = metrics(job_labels=JOB_LABELS)
    reference = "o/r/.github/workflows/ci.yaml@refs/pull/12"
    of(found).job_completed(JobWords("o", "r", "j", "push", "failed", reference), 2.0)

    (labels,) = text_of(found, "a").labels(COMPLETED)
    assert labels["job_workflow_ref"] == reference
    assert (labels["job_workflow_name"], labels["job_workflow_target"]) == ("ci", "pull/12")
    assert set(JOB_LABELS) <= set(labels)


def test_no_labels_at_all_leave_one_series_a_scale_set() -> None:
    found = metrics(job_labels=())
    for name in ("x", "y"):
        of(found, "a").job_started(JobWords("o", "r", name), 3.0)

    (labels,) = text_of(found, "a").labels(STARTED)
    assert set(labels) == {
        "actions_github_com_scale_set_name",
        "actions_github_com_scale_set_namespace",
    }


def test_without_arcs_labels_the_jobs_of_two_sets_are_one_series() -> None:
    found = metrics(arc_labels=False)
    for name in ("a", "b"):
        of(found, name).job_started(JobWords("o", "r", "build", "push"), 3.0)

    seen = text_of(found, "a", "b")
    assert seen.value(STARTED) == 2
    assert not any("actions_github_com" in label for one in seen.labels("gha_max_runners") for label in one)
    assert seen.value("gha_max_runners", name="b") == 0


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("o/r/.github/workflows/ci.yml@refs/heads/main", ("ci", "heads/main")),
        ("o/r/.github/workflows/ci.yaml@refs/tags/v1", ("ci", "tags/v1")),
        ("o/r/.github/workflows/deep/ci.yml@refs/heads/a/b", ("deep/ci", "heads/a/b")),
        ("o/r/.github/workflows/ci.yml", ("", "")),
        ("o/r/ci.yml@refs/heads/main", ("", "")),
        ("o/r/.github/workflows/ci.yml@refs/", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_workflow_reference_that_is_none_gives_empty_values(reference: str, parts: tuple[str, str]) -> None:
    assert workflow_parts(reference) == parts


def test_a_text_of_120_letters_is_kept_and_a_longer_one_cut() -> None:
    assert bounded("x" * 120) == "x" * 120
    assert bounded("x" * 121) == "x" * 120 + "…"
    assert bounded("a\tb") == "a�b"
