"""An engine that answers with errors: real jobs, through a proxy. docs/behaviour.md § 8.5"""

from __future__ import annotations

import pytest
from support.daemon import wait_until
from support.engine import connect, engine_address
from support.engine_proxy import EngineProxy
from support.private_engine import PrivateEngine
from support.relay import ShortFolder
from support.watched_daemon import assert_github_is_clear

from runscaler.ops.demo_image import ensure_demo_image

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
BUSY_DEVICE = 'driver "overlay2" failed to remove root filesystem: device or resource busy'
DISK = 256
"""Megabytes: room for the image and a few containers."""
FREE_SPACE = "(free space: `docker system df`"


@pytest.fixture
def proxy(private_engine):
    private_engine.start()
    with ShortFolder() as folder, EngineProxy(private_engine.url, folder / "proxy.sock") as made:
        yield made


@pytest.fixture
def small_engine():
    made = PrivateEngine(DISK)
    made.start()
    yield made
    made.close()


def results(jobs):
    return [one.result for one in jobs]


def test_a_full_disk_is_reported_with_a_fix_leaves_no_registration_and_heals(
    github, small_engine, watched_daemon
):
    one = watched_daemon(max_runners=3, engine=small_engine)
    one.start()
    github.wait_for_jobs(one.queue())
    one.wait_until_clear()

    small_engine.disk.fill()
    ids = one.queue(5)
    one.wait_for("degraded", "is full " + FREE_SPACE)
    wait_until(lambda: not one.registered(), "the end of all registrations")
    tries = one.warned("next try in")
    small_engine.disk.free()
    jobs = github.wait_for_jobs(ids)
    one.wait_until_clear()

    assert results(jobs) == ["succeeded"] * 5
    assert {job.attempts for job in jobs} == {1}
    assert all(FREE_SPACE in line for line in tries)
    assert 5 <= len(tries) <= len(one.warned()) <= 10
    one.end()
    assert_github_is_clear(github)


def test_a_removed_image_is_reported_and_the_set_heals_when_it_is_back(
    github, private_engine, watched_daemon
):
    private_engine.start()
    one = watched_daemon(max_runners=3)
    one.start()
    github.wait_for_jobs(one.queue())
    one.wait_until_clear()

    with connect(private_engine.url) as api:
        api.remove_image(one.keys["runner-image"], force=True)
    ids = one.queue(3)
    health = one.wait_for("degraded", one.keys["runner-image"])
    wait_until(lambda: not one.registered(), "the end of all registrations")
    ensure_demo_image(engine_address(private_engine.url), lambda *_: None)
    jobs = github.wait_for_jobs(ids)
    one.wait_until_clear()

    assert f"pull it: `docker pull {one.keys['runner-image']}`" in health["reason"]
    assert results(jobs) == ["succeeded"] * 3
    assert len(one.warned()) <= 4
    one.end()
    assert_github_is_clear(github)


def test_a_runner_s_end_is_noticed_though_the_event_stream_is_cut_again_and_again(
    github, private_engine, watched_daemon, proxy, latch
):
    one = watched_daemon(max_runners=4, min_runners=1, proxy=proxy)
    one.start()
    at_work = one.queue_running(2, latch.step)
    one.wait_for("ok", busy=2, idle=1)
    for _ in range(4):
        wait_until(lambda: proxy.cut("/events"), "an event stream to cut")
        github.wait_for_jobs(one.queue())

    one.wait_for("ok", busy=2, idle=1, total=3)
    (idle,) = set(one.containers()) - {job.runner for job in github.state().jobs}
    wait_until(lambda: proxy.under_way("/events"), "an event stream")
    unseen = proxy.refuse("GET", "/events", 503, "not now")
    assert proxy.cut("/events")
    one.kill_runner(idle)
    wait_until(lambda: idle not in one.containers(), "the removal of what ended unseen")
    proxy.lift(unseen)
    latch.release()
    jobs = github.wait_for_jobs(at_work)
    one.wait_until_clear(kept=1)

    assert results(jobs) == ["succeeded", "succeeded"]
    assert {(job.result, job.attempts) for job in github.state().jobs} == {("succeeded", 1)}
    assert one.warned("degraded") == []
    assert len(one.warned()) == len(one.warned(f"{idle} ended before a job")) == 1
    one.end()
    assert_github_is_clear(github)


def test_a_removal_that_fails_ten_times_is_tried_until_it_succeeds_and_holds_no_job_up(
    github, private_engine, watched_daemon, proxy
):
    one = watched_daemon(max_runners=4, proxy=proxy)
    one.start()
    refused = proxy.refuse("DELETE", "/containers/.+", 500, BUSY_DEVICE, times=10)

    ids = one.queue(8)
    jobs = github.wait_for_jobs(ids)
    one.wait_until_clear()

    assert refused.hits == 10
    assert results(jobs) == ["succeeded"] * 8
    assert one.watch.overlaps == []
    warnings = one.warned("is not removed yet, trying again")
    assert 3 <= len(warnings) <= 10
    assert len({line.partition("runner-")[2][:8] for line in warnings}) == len(warnings), "one runner twice"
    assert all(BUSY_DEVICE in line for line in warnings)
    degraded = one.warned("cannot be removed yet")
    assert sorted(one.warned()) == sorted(warnings + degraded)
    one.end(most=8)  # what has ended and cannot be removed holds no slot
    assert_github_is_clear(github)


def test_a_removal_that_somebody_else_has_begun_is_waited_for(github, private_engine, watched_daemon, proxy):
    one = watched_daemon(max_runners=1, proxy=proxy)
    one.start()
    refused = proxy.refuse("DELETE", "/containers/.+", 409, "removal of container X is already in progress")

    (job,) = github.wait_for_jobs(one.queue())
    wait_until(lambda: refused.hits, "a refused removal")
    one.wait_for("ok", total=1)
    with connect(private_engine.url) as api:
        api.remove_container(job.runner, force=True)
    one.wait_until_clear()
    proxy.lift(refused)

    assert refused.hits == 1
    assert one.warned() == []
    one.end()
    assert_github_is_clear(github)
