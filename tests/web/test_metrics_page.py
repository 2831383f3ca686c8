"""`GET /metrics` over the application: content, compression, its own measurement (docs/metrics.md)."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import threading
from dataclasses import replace

import pytest
from support.missing import missing
from support.scrapes import Scrape
from support.world import scale_set

from runscaler.autoscaler import metrics_of
from runscaler.config.model import Config
from runscaler.metrics.jobs import JobWords
from runscaler.metrics.metrics import Metrics
from runscaler.status import ScaleSetStatus, SetState, Status
from runscaler.web.app import WebApp
from runscaler.web.compression import takes_gzip


def having(world, *names: str) -> None:
    sets = tuple(
        ScaleSetStatus(name, "https://github.com/my-org", "default", "docker", SetState.OK) for name in names
    )
    world.status = Status("1.2.3", 1_800_000_000.0, sets)


def test_it_is_text_of_version_0_0_4(world):
    having(world, "linux")

    answer = world.get("/metrics")

    assert answer.code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    seen = Scrape.of(answer.body.decode())
    assert seen.value("gha_max_runners", name="linux") == 0
    assert "_created" not in answer.body.decode()


def test_runners_that_cannot_be_removed_are_served_while_there_are_any(world):
    having(world, "linux")
    assert "runscaler_orphans" not in world.get("/metrics").body.decode()

    (linux,) = world.status.scale_sets
    world.status = replace(world.status, scale_sets=(replace(linux, leftovers=3),))
    seen = Scrape.of(world.get("/metrics").body.decode())
    assert seen.value("runscaler_orphans", kind="container") == 3


def test_promtool_finds_nothing_wrong(world):
    if shutil.which("promtool") is None:
        missing("promtool (Debian package prometheus)")
    settings = scale_set("linux")
    metrics = metrics_of(Config(scale_sets=(settings,)))
    counted = metrics.of(settings.key, settings.url)
    counted.job_started(JobWords("o", "r", 'a "b"\n', "push"), 3.0)
    counted.job_completed(JobWords("o", "r", "c", "push", "failed"), 3.0)
    for series in (*counted.histograms.values(), *metrics.histograms.values()):
        series.observe(tuple("x" for _ in series.family.labels), 0.3)
    for series in (*counted.counters.values(), *metrics.counters.values()):
        series.count(tuple("x" for _ in series.family.labels))
    having(world, "linux")
    body = WebApp(lambda: world.status, lambda: True, world.clock, metrics=metrics)._metrics_page().body

    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_it_is_there_before_anything_has_happened(world):
    seen = Scrape.of(world.get("/metrics").body.decode())

    assert seen.value("process_resident_memory_bytes") > 1e6
    assert seen.value("runscaler_threads") >= 1
    assert seen.value("process_open_fds") > 0
    assert seen.value("process_start_time_seconds") > 1e9
    assert seen.value("runscaler_host_runners") == 0


def test_the_build_is_told(world):
    metrics = metrics_of(Config(scale_sets=(scale_set("linux"),)))
    page = WebApp(lambda: world.status, lambda: True, world.clock, metrics=metrics)._metrics_page()

    (labels,) = Scrape.of(page.body.decode()).labels("runscaler_build_info")
    assert set(labels) == {"version", "commit", "python", "platform"}
    assert "/" in labels["platform"]


def test_it_is_compressed_for_who_asks(world):
    having(world, "linux")

    answer = world.get("/metrics", encoding="deflate, gzip;q=0.8")

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    text = gzip.decompress(answer.body).decode()
    assert Scrape.of(text).value("gha_max_runners") == 0
    assert len(answer.body) < len(text) / 3


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip", True),
        ("gzip;q=0.5", True),
        ("gzip; q=1.0", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("x-gzip-like", False),
    ],
)
def test_what_asks_for_gzip(accepted: str, takes: bool) -> None:
    assert takes_gzip({"HTTP_ACCEPT_ENCODING": accepted}) is takes


def test_a_short_answer_is_never_compressed(world):
    answer = world.get("/readyz", encoding="gzip")

    assert "Content-Encoding" not in answer.headers


def test_another_host_name_is_refused(world):
    assert world.get("/metrics", host="evil.example").code == 403


def test_answers_are_measured_by_route_and_code_and_unknown_paths_are_one_route(world):
    metrics = Metrics()
    world.metrics = metrics
    for path in ("/readyz", "/readyz", "/a", "/b" * 500, "/metrics"):
        world.get(path)

    seen = Scrape.of(world.get("/metrics").body.decode())

    counts = {
        (one["route"], one["code"]): seen.value("runscaler_http_request_seconds_count", **one)
        for one in seen.labels("runscaler_http_request_seconds_count")
    }
    assert counts == {("/readyz", "200"): 2, ("other", "404"): 2, ("/metrics", "200"): 1}


def test_counting_goes_on_while_many_scrape(world):
    """No count is lost, and every answer is whole."""
    having(world, "linux")
    settings = scale_set("linux")
    metrics = metrics_of(Config(scale_sets=(settings,)))
    app = WebApp(lambda: world.status, lambda: True, world.clock, metrics=metrics)
    counted, failures = metrics.of(settings.key, settings.url), []

    def count() -> None:
        for number in range(400):
            counted.job_started(JobWords("o", "r", f"job {number % 7}"), 1.0)

    def look() -> None:
        try:
            for _ in range(15):
                Scrape.of(app._metrics_page().body.decode())
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for one in (count, count, count, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = Scrape.of(app._metrics_page().body.decode())
    assert failures == []
    assert seen.total("gha_started_jobs_total") == 1200
    assert seen.total("gha_job_startup_duration_seconds_count") == 1200
    assert seen.total("gha_job_startup_duration_seconds_sum") == 1200
