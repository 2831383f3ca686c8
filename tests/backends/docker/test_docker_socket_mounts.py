"""What is proved about a mount of the engine's socket. With a real one: system/test_engine_outage.py."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from runscaler.backends.docker.container import ENGINE_SOCKET
from runscaler.backends.docker.socket_mounts import SOCKET_MODE, SocketMounts

CREATED = 1_800_000_000
"""When the container was, in wall-clock seconds of the engine."""
SOURCE = "/run/engine/docker.sock"
MODE = SOCKET_MODE | 0o660


@dataclass
class Reply:
    status_code: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class FileStats:
    """The part of docker-py's client that tells about files in containers; the engine has the time `now`."""

    base_url = "http+docker://localhost"
    api_version = "1.41"

    def __init__(self, made=CREATED + 60.0, now=CREATED + 100, mode=MODE) -> None:
        self.asked = []
        self.reply = Reply(headers=headers(made, now, mode))

    def head(self, url, *, params):
        self.asked.append((url, params["path"]))
        return self.reply


def headers(made, now, mode=MODE):
    mtime = datetime.fromtimestamp(made, UTC).isoformat().replace("+00:00", "Z")
    stat = base64.b64encode(json.dumps({"name": "docker.sock", "mode": mode, "mtime": mtime}).encode())
    date = format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)
    return {"X-Docker-Container-Path-Stat": stat.decode(), "Date": date}


def container(name="one", source=SOURCE, target=ENGINE_SOCKET, kind="bind", created=CREATED):
    mount = {"Type": kind, "Source": source, "Destination": target}
    return {"Id": name, "Created": created, "Mounts": [mount]}


@pytest.fixture
def mounts():
    return SocketMounts("/ours/docker.sock")


def test_a_socket_that_was_made_after_the_container_is_not_the_one_that_it_mounts(mounts):
    stats = FileStats()

    assert mounts.dead(stats, [container()]) == {"one"}
    assert stats.asked == [("http+docker://localhost/v1.41/containers/one/archive", ENGINE_SOCKET)]


@pytest.mark.parametrize(
    "stats",
    [
        pytest.param(FileStats(made=CREATED - 0.5), id="before"),
        pytest.param(FileStats(made=CREATED + 0.9), id="perhaps before, as the engine tells whole seconds"),
        pytest.param(FileStats(made=CREATED + 60, now=CREATED + 50), id="in the future: the clock was set"),
        pytest.param(FileStats(mode=0o644), id="no socket"),
        pytest.param(FileStats(mode=None), id="an odd answer"),
    ],
)
def test_no_other_socket_proves_anything(mounts, stats):
    assert mounts.dead(stats, [container()]) == set()


@pytest.mark.parametrize("stat", ["", "no base64", base64.b64encode(b"no JSON").decode(), "W10="])
def test_an_engine_that_cannot_tell_proves_nothing(mounts, stat):
    stats = FileStats()
    stats.reply.headers["X-Docker-Container-Path-Stat"] = stat

    assert mounts.dead(stats, [container()]) == set()


def test_an_engine_without_a_date_proves_nothing(mounts):
    stats = FileStats()
    del stats.reply.headers["Date"]

    assert mounts.dead(stats, [container()]) == set()


def test_a_container_of_the_second_before_the_restart_is_dead_and_one_of_that_second_is_not(mounts):
    listed = [container("before"), container("then", created=CREATED + 60)]

    assert mounts.dead(FileStats(made=CREATED + 60), listed) == {"before"}


def test_the_engine_is_asked_once_until_it_may_be_another_one(mounts):
    stats = FileStats(made=CREATED - 60)
    for _ in range(2):
        assert mounts.dead(stats, [container("one"), container("two")]) == set()
    assert len(stats.asked) == 1

    mounts.forget()
    stats.reply.headers = headers(CREATED + 60, CREATED + 61)

    assert mounts.dead(stats, [container("one"), container("two")]) == {"one", "two"}
    assert len(stats.asked) == 2


def test_a_container_that_is_gone_meanwhile_is_no_answer(mounts):
    stats = FileStats()
    stats.reply.status_code = 404
    assert mounts.dead(stats, [container()]) == set()

    stats.reply.status_code = 200
    assert mounts.dead(stats, [container()]) == {"one"}


def test_a_mount_of_our_own_socket_counts_wherever_it_is_and_others_do_not(mounts):
    stats = FileStats()
    listed = [
        container("ours", source="/ours/docker.sock", target="/elsewhere.sock"),
        container("other", source="/run/database.sock", target="/run/database.sock"),
        container("volume", kind="volume"),
        {"Id": "bare", "Created": CREATED, "Mounts": []},
        {"Id": "odd", "Created": CREATED},
    ]

    assert mounts.dead(stats, listed) == {"ours"}
    assert [path for _, path in stats.asked] == ["/elsewhere.sock"]
