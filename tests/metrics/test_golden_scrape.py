"""A scrape pinned: what dashboards and alerts written for Actions Runner Controller look for."""

from __future__ import annotations

from pathlib import Path

from support.scrapes import Scrape
from support.world import scale_set

from runscaler.autoscaler import metrics_of
from runscaler.config.model import Config
from runscaler.metrics.exposition import Exposition
from runscaler.metrics.jobs import JobWords
from runscaler.status import ScaleSetStatus, SetState, Status, Unmet, UnmetDemand

GOLDEN = Path(__file__).parent / "arc.prom"
NOW = 1_800_000_000.0


def golden_text() -> str:
    settings = scale_set("linux", url="https://github.com/my-org/app")
    metrics = metrics_of(Config(scale_sets=(settings,)))
    status = ScaleSetStatus(
        "linux",
        settings.url,
        "default",
        "docker",
        SetState.OK,
        busy=2,
        max=8,
        min=1,
        assigned_jobs=5,
        running_jobs=2,
        registered_runners=4,
        busy_runners=2,
        idle_runners=1,
        session=True,
        unmet=(UnmetDemand(Unmet.BACKOFF, 2),),
        by_state={"starting": 1, "idle": 1, "busy": 2, "adopted": 1, "removing": 1},
    )
    words = JobWords("my-org", "app", 'build "x"\\n', "push", "", "")
    counted = metrics.of(settings.key, settings.url)
    counted.job_started(words, 7.9)
    counted.job_completed(JobWords("my-org", "app", 'build "x"\\n', "push", "succeeded"), 61.0)
    text = Exposition(metrics).text(Status("1", NOW, (status,)), NOW, {})
    return "".join(line for line in text.splitlines(keepends=True) if "gha_" in line)


def test_arcs_metrics_are_served_to_the_letter() -> None:
    text = golden_text()

    assert Scrape.of(text).types["gha_started_jobs_total"] == "counter"
    assert text == GOLDEN.read_text()
