"""Two daemons on one engine, and containers of strangers that look like theirs (spec.md 7.1, 8.2)."""

from __future__ import annotations

import signal

import pytest
from support.engine import connect
from support.engine_trouble import NAME, assert_github_is_clear

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
VOLUME = "/shared"
STRANGERS = {
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
"""Names and labels: of the Go tool, of another owner in our own words, of nobody we know."""


class Strangers:
    """Running containers on the engine that no daemon may touch."""

    def __init__(self, url, image):
        self._url = url
        with connect(url) as api:
            for name, labels in STRANGERS.items():
                body = {
                    "Image": image,
                    "Cmd": ["/bin/sh", "-c", "sleep 600"],
                    "Labels": labels,
                    "StopSignal": "SIGKILL",
                    "HostConfig": {"NetworkMode": "none"},
                }
                api.start(api.create_container_from_config(body, name)["Id"])
        self._before = self._look()

    def _look(self):
        with connect(self._url) as api:
            found = [api.inspect_container(name) for name in STRANGERS]
        return [(one["Id"], one["State"]["Pid"], one["State"]["StartedAt"]) for one in found]

    def assert_untouched(self):
        assert self._look() == self._before
        assert all(pid for _, pid, _ in self._before)


@pytest.fixture
def two(own_engine, ward):
    """Two wards with the same scale set name in different organisations, and a volume that both use."""
    own_engine.start()
    docker = {"shared-volume": VOLUME}
    return [
        ward(max_runners=3, min_runners=1, scope=scope, docker=docker) for scope in ("one-org", "two-org")
    ]


def volumes(url):
    with connect(url) as api:
        return [volume["Name"] for volume in api.volumes()["Volumes"] or ()]


def test_neither_touches_what_is_the_others_or_a_strangers_though_one_is_killed_and_comes_back(
    github, own_engine, two, door
):
    first, second = two
    strangers = Strangers(own_engine.url, first.keys["runner-image"])
    for one in two:
        one.start()
    standing = {one.scope: one.queue_running(1, f"touch {VOLUME}/{one.scope}; {door.step}") for one in two}
    passing = [job for one in two for job in one.queue(4)]
    github.wait_for_jobs(passing)
    second.wait_for("ok", busy=1, idle=1)
    held = second.containers()

    first.program.signal(signal.SIGKILL)
    assert first.program.ended() == -signal.SIGKILL
    github.client_restarted()
    meanwhile = [job for one in two for job in one.queue(3)]
    first.start()
    jobs = github.wait_for_jobs([*passing, *meanwhile])
    first.wait_for("ok", total=2)

    assert held.keys() & second.containers().keys() >= {
        job.runner for job in github.state().jobs if job.id in standing["two-org"]
    }
    assert {(job.result, job.attempts) for job in jobs} == {("succeeded", 1)}
    door.open()
    github.wait_for_jobs(standing["one-org"])
    github.wait_for_jobs(standing["two-org"])
    second.wait_for("ok", busy=0, idle=1, total=1)
    held = second.containers()
    assert second.warned() == []

    first.end()

    assert second.containers() == held
    assert volumes(own_engine.url) == ["runner-shared"]
    (last,) = github.wait_for_jobs(second.queue(step=f"test -e {VOLUME}/one-org && test -e {VOLUME}/two-org"))
    strangers.assert_untouched()

    second.end()

    strangers.assert_untouched()
    assert {(job.result, job.attempts) for job in github.state().jobs} == {("succeeded", 1)}
    assert last.runner in held
    assert_github_is_clear(github)
