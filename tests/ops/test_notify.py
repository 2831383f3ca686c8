"""Notifications to systemd."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from runscaler.ops.notify import Notifier, report_to_systemd
from runscaler.status import Counters, ScaleSetStatus, SetState, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(10)
        yield channel


def test_each_notification_is_one_datagram(systemd: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.ready()
    notifier.status("2 scale sets\nok")
    notifier.alive()
    notifier.stopping()

    heard = [systemd.recv(100) for _ in range(4)]
    assert heard == [b"READY=1", b"STATUS=2 scale sets ok", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_a_socket_nothing_is_sent() -> None:
    notifier = Notifier({})
    notifier.ready()
    assert not notifier.wanted


def test_a_missing_socket_is_no_error(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_notified_twice_per_interval(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ).interval == interval


class ShortLived:
    """A system that is ready at once and ends after the second `wait`."""

    def __init__(self) -> None:
        self.waits = 0

    def wait_ready(self, timeout: float) -> bool:
        return True

    def alive(self) -> bool:
        return self.waits == 0

    def status(self) -> Status:
        one = ScaleSetStatus(
            "linux", "u", "default", "docker", SetState.DEGRADED, busy=2, counters=Counters(jobs_completed=7)
        )
        return Status("0", 0.0, (one,))

    def wait(self, timeout: float | None = None) -> str | None:
        self.waits += 1
        return None if self.waits < 2 else ""


def test_status_is_sent_until_the_end_but_no_watchdog_notification_while_nothing_answers(
    systemd: socket.socket, tmp_path: Path
) -> None:
    report_to_systemd(Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}), ShortLived())

    line = b"STATUS=1 scale sets, 2 runners busy, 7 jobs done; linux is degraded"
    assert [systemd.recv(200) for _ in range(4)] == [b"READY=1", line, b"WATCHDOG=1", line]
