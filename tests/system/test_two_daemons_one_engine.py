"""Two daemons on one engine with decoys, containers that resemble theirs. docs/behaviour.md § 7.1, 8.2"""

from __future__ import annotations

import json
import signal

import pytest
from support.engine import connect
from support.shared_volume import Item, SharedVolumeOn
from support.watched_daemon import NAME, assert_github_is_clear

from runscaler.clock import SystemClock
from runscaler.testing.simulator import JobState

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
VOLUME = "/shared"
DECOYS = {
    "runner-deadbeef": {"managed-by": "runner"},
    "runner-0badcafe": {
        "managed-by": "runner",
        "io.runscaler.owner": "f" * 32,
        "io.runscaler.helper": "pool",
    },
    "runner-5ca1ab1e": {
        "managed-by": "runner",
        "io.runscaler.owner": "e" * 32,
        "io.runscaler.scale-set": NAME,
        "io.runscaler.slot": "0",
        "io.runscaler.runner": "runner-5ca1ab1e",
    },
    "linux": {"io.runscaler.scale-set": NAME},
}
"""Names and labels of the decoys: a runner of the Go tool, two resources of other owners, one of no owner."""


class Decoys:
    """Running containers on the engine that no daemon may change."""

    def __init__(self, url, image):
        self._url = url
        with connect(url) as api:
            for name, labels in DECOYS.items():
                body = {
                    "Image": image,
                    "Cmd": ["/bin/sh", "-c", "sleep 600"],
                    "Labels": labels,
                    "StopSignal": "SIGKILL",
                    "HostConfig": {"NetworkMode": "none"},
                }
                api.start(api.create_container_from_config(body, name)["Id"])
        self._before = self._states()

    def _states(self):
        with connect(self._url) as api:
            found = [api.inspect_container(name) for name in DECOYS]
        return [(one["Id"], one["State"]["Pid"], one["State"]["StartedAt"]) for one in found]

    def assert_unchanged(self):
        assert self._states() == self._before
        assert all(pid for _, pid, _ in self._before)


@pytest.fixture
def two(private_engine, watched_daemon):
    """Two daemons with scale sets of the same name in different organisations, and a volume that both use."""
    private_engine.start()
    keys = {"max_runners": 3, "min_runners": 1, "docker": {"shared-volume": VOLUME}}
    made = [watched_daemon(scope=scope, **keys) for scope in ("one-org", "two-org")]
    for one in made:
        one.start()
    return made


@pytest.fixture
def decoys(private_engine, two):
    return Decoys(private_engine.url, two[0].keys["runner-image"])


def volumes(url):
    with connect(url) as api:
        return [volume["Name"] for volume in api.volumes()["Volumes"] or ()]


def outcomes(jobs):
    return {(job.result, job.attempts) for job in jobs}


def test_a_daemon_that_is_killed_and_comes_back_takes_over_its_own_runners_only(github, two, decoys, latch):
    killed, other = two
    ours, theirs = (one.queue_running(1, latch.step) for one in two)
    passing = [job for one in two for job in one.queue(4)]
    github.wait_for_jobs(passing)

    killed.program.signal(signal.SIGKILL)
    assert killed.program.ended() == -signal.SIGKILL
    github.client_restarted()
    passing += [job for one in two for job in one.queue(3)]
    killed.start()
    github.wait_for_jobs(passing)
    standing = {job.runner for job in github.wait_for_jobs([*ours, *theirs], JobState.RUNNING)}

    assert standing <= killed.containers().keys() | other.containers().keys()
    assert other.warned() == []
    latch.release()
    github.wait_for_jobs([*ours, *theirs])
    for one in two:
        one.end()
    assert outcomes(github.state().jobs) == {("succeeded", 1)}
    decoys.assert_unchanged()
    assert_github_is_clear(github)


def test_a_stop_removes_nothing_of_the_other_daemon_and_leaves_the_volume_that_it_uses(
    github, private_engine, two, decoys
):
    first, other = two
    github.wait_for_jobs([job for one in two for job in one.queue(2, f"touch {VOLUME}/{one.scope}")])
    other.wait_for("ok", idle=1, total=1)
    before = other.containers()

    first.end()

    assert other.containers() == before
    assert volumes(private_engine.url) == ["runner-shared"]
    (last,) = github.wait_for_jobs(other.queue(step=f"test -e {VOLUME}/one-org && test -e {VOLUME}/two-org"))
    other.end()
    assert last.runner in before
    assert outcomes(github.state().jobs) == {("succeeded", 1)}
    decoys.assert_unchanged()
    assert_github_is_clear(github)


def dangling_image(url, image):
    """An image that has lost its name, and that no container uses."""
    with connect(url) as api:
        container = api.create_container_from_config({"Image": image, "Cmd": ["true"]}, "to-commit")["Id"]
        made = api.commit(container)["Id"]
        api.remove_container(container)
        return made


def images(url):
    with connect(url) as api:
        return set(api.images(all=True, quiet=True))


def everything(url):
    with connect(url) as api:
        return {one["Names"][0].lstrip("/") for one in api.containers(all=True)}


def test_the_first_to_end_prunes_nothing_that_one_without_runners_needs_and_the_last_prunes(
    github, private_engine, watched_daemon
):
    private_engine.start()
    url = private_engine.url
    first, last = (
        watched_daemon(scope=scope, max_runners=2, docker={"shared-volume": VOLUME})
        for scope in ("one-org", "two-org")
    )
    for one in (first, last):
        one.start()
    dangling = dangling_image(url, first.keys["runner-image"])
    github.wait_for_jobs(last.queue(step=f"touch {VOLUME}/kept"))
    last.wait_until_clear()

    first.end()

    assert "nothing is pruned, as runner-shared-" in first.program.log
    assert volumes(url) == ["runner-shared"]
    assert dangling in images(url)
    github.wait_for_jobs(last.queue(step=f"test -e {VOLUME}/kept"))
    last.end()
    assert "removed volume runner-shared, pruned dangling images" in last.program.log
    assert (volumes(url), everything(url)) == ([], set())
    assert dangling not in images(url)
    assert images(url)
    assert outcomes(github.state().jobs) == {("succeeded", 1)}
    assert_github_is_clear(github)


@pytest.mark.parametrize("key", ["on-exit", "prune-on-exit"])
def test_a_daemon_that_is_to_keep_things_prunes_nothing(github, private_engine, watched_daemon, key):
    private_engine.start()
    url = private_engine.url
    docker = {"shared-volume": VOLUME} | ({"prune-on-exit": False} if key == "prune-on-exit" else {})
    one = watched_daemon(max_runners=2, docker=docker, **({"on_exit": "keep"} if key == "on-exit" else {}))
    one.start()
    dangling = dangling_image(url, one.keys["runner-image"])

    assert one.program.stop() == 0

    assert volumes(url) == ["runner-shared"]
    assert dangling in images(url)
    assert bool(everything(url)) == (key == "on-exit"), "the volume is held for the next start"


def test_a_daemon_whose_start_failed_prunes_nothing(github, private_engine, watched_daemon):
    private_engine.start()
    one = watched_daemon(max_runners=2, docker={"shared-volume": VOLUME})
    one.program.configure(one.keys | {"url": "http://127.0.0.1:9/my-org"})
    dangling = dangling_image(private_engine.url, one.keys["runner-image"])
    one.program.start()
    one.wait_for("degraded")
    assert one.program.stop() == 0

    assert dangling in images(private_engine.url)


def test_a_daemon_that_is_killed_amid_a_sweep_leaves_nothing_after_the_next(
    github, private_engine, watched_daemon
):
    private_engine.start()
    url = private_engine.url
    table = {"shared-volume": VOLUME, "shared-volume-ttl": "60m", "shared-volume-cleanup-interval": "1s"}
    one = watched_daemon(max_runners=2, docker=table)
    image, volume = one.keys["runner-image"], SharedVolumeOn(url, one.keys["runner-image"])
    items = [Item("old 1\n", 7200), Item("old 2", 7200), Item("old 3", 7200), Item("new", 60)]
    volume.put(items, SystemClock().wall())
    with connect(url) as api:  # as a sweep that the daemon was killed in
        labels = {"io.runscaler.helper": "sweep", "io.runscaler.helper.owner": "d" * 32}
        body = {"Image": image, "Cmd": ["true"], "Labels": labels}
        api.start(api.create_container_from_config(body, "runner-shared-sweep")["Id"])
        api.wait("runner-shared-sweep")
    one.start()
    one.program.wait_for_log("the sweep of the shared volume: removed 3 files")
    watch_until_sweeping(url)
    one.program.signal(signal.SIGKILL)
    one.program.ended()
    github.client_restarted()

    volume.put([Item("old again", 7200)], SystemClock().wall())
    one.start()
    one.program.wait_for_log("the sweep of the shared volume: removed 1 file,")
    assert volume.paths() == {"new"}
    one.end()
    assert (volumes(url), everything(url)) == ([], set())


def watch_until_sweeping(url):
    """Wait until a sweep's container is there."""
    with connect(url) as api:
        for event in api.events(decode=True, filters={"event": ["start"]}):
            if event["Actor"]["Attributes"].get("io.runscaler.helper") == "sweep":
                return


def test_clean_sweeps_by_hand_beside_a_living_daemon(github, private_engine, watched_daemon):
    private_engine.start()
    one = watched_daemon(max_runners=2, docker={"shared-volume": VOLUME, "shared-volume-ttl": "60m"})
    one.start()
    volume = SharedVolumeOn(private_engine.url, one.keys["runner-image"])
    volume.put([Item("old", 7200, size=9000), Item("new", 60)], SystemClock().wall())
    path = str(one.program.path)

    planned = one.program.command("clean", "--dry-run", "--json", "--config", path)
    assert planned.code == 0
    sweep, buildx = json.loads(planned.out)["sweeps"]
    (target,) = sweep["targets"]
    assert (target["kind"], target["name"]) == ("files", "1 in volume runner-shared")
    assert target["bytes"] >= 9000
    assert (buildx["targets"], buildx["error"]) == ([], "")
    assert volume.paths() == {"old", "new"}

    cleaned = one.program.command("clean", "--config", path)
    assert (cleaned.code, cleaned.err) == (0, "")
    assert "the sweep of the shared volume: removed 1 file, " in cleaned.out
    assert volume.paths() == {"new"}
    github.wait_for_jobs(one.queue(step=f"test -e {VOLUME}/new"))
    one.end()
    assert (volumes(private_engine.url), everything(private_engine.url)) == ([], set())


def test_different_ttls_for_one_volume_are_said_at_the_start(private_engine, watched_daemon):
    private_engine.start()
    one = watched_daemon(max_runners=2, docker={"shared-volume": VOLUME})
    sets = [
        {**one.keys, "name": name, "docker": {**one.keys["docker"], "shared-volume-ttl": ttl}}
        for name, ttl in (("linux", "1h"), ("other", "2h"))
    ]
    one.program.configure({"scaleset": sets})
    one.start()

    (said,) = one.warned("shared-volume-ttl")
    assert "(linux 1h, other 2h): 2h counts, the longest" in said
    checked = one.program.command("validate", "--offline", "--config", str(one.program.path))
    assert "linux 1h, other 2h" in checked.out
