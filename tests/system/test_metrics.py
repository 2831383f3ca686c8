"""What the daemon counts of two hundred jobs is what GitHub's side knows of them, to the unit."""

from __future__ import annotations

from collections import Counter
from urllib.request import Request, urlopen

import pytest
from support.daemon import all_ok, wait_until
from support.scrapes import Scrape

from runscaler.metrics.words import FailureReason

COUNTS = {"pass": 170, "fail": 30}
TOKEN_MARKS = ("ghp_", "s3cr3t", "eyI", "eyJ")


def scraped(port: int) -> str:
    with urlopen(Request(f"http://127.0.0.1:{port}/metrics"), timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return answer.read().decode()


@pytest.mark.timeout(300)
def test_two_hundred_jobs_are_counted_to_the_unit(github, daemon, scale_set):
    program = daemon(scale_set("linux", backend="process", max_runners=8))
    program.start()
    program.wait_for(all_ok)

    ids = github.queue_jobs(count=COUNTS["pass"], labels=("linux",), steps=["true"])
    ids += github.queue_jobs(count=COUNTS["fail"], labels=("linux",), steps=["exit 3"])
    jobs = github.wait_for_jobs(ids, timeout=200)
    results = Counter(job.result for job in jobs)

    def all_told() -> Scrape | None:
        seen = Scrape.of(scraped(program.port))
        return seen if seen.total("gha_completed_jobs_total") >= len(ids) else None

    seen = wait_until(all_told, "all jobs are told")
    assert set(results) == {"succeeded", "failed"}
    assert seen.total("gha_started_jobs_total") == len(ids)
    for result, count in results.items():
        assert seen.total("gha_completed_jobs_total", job_result=result) == count
    assert seen.total("gha_completed_jobs_total") == len(ids)
    for name in ("gha_job_startup_duration_seconds", "gha_job_execution_duration_seconds"):
        assert seen.total(f"{name}_count") == len(ids)
        assert seen.total(f"{name}_bucket", le="+Inf") == len(ids)
    for kind in ("started", "completed"):
        assert seen.value("runscaler_messages_total", kind=kind) == len(ids)
    assert seen.value("runscaler_job_queue_seconds_count") == len(ids)
    assert seen.total("runscaler_jobs_lost_total") == 0
    assert len(seen.labels("runscaler_runner_failures_total")) == len(FailureReason)
    starts = seen.value("runscaler_runner_starts_total", source="cold", result="ok")
    assert starts == seen.value("runscaler_runner_start_seconds_count", phase="start") >= len(ids)
    assert seen.value("runscaler_github_requests_total", endpoint="jit_config", code="200") >= starts
    assert seen.total("runscaler_github_requests_total", endpoint="message_poll", code="200") > 0
    timed = {one["endpoint"] for one in seen.labels("runscaler_github_request_seconds_sum")}
    assert "jit_config" in timed
    assert "message_poll" not in timed

    text = scraped(program.port)
    assert not [mark for mark in TOKEN_MARKS if mark in text]
    assert not [job for job in jobs if job.runner in text]
    code = program.stop()
    assert (code, program.errors) == (0, "")
