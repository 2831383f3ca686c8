"""Readiness, status and watchdog notifications for systemd (docs/behaviour.md § 8.7; sd_notify(3)).

They are datagrams to the socket named in NOTIFY_SOCKET. Without that variable nothing is sent.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler.status import SetState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.status import Status

READY_TIMEOUT = 60.0
STATUS_INTERVAL = 10.0
NORMAL = (SetState.OK, SetState.STANDBY)


class Notifier:
    """`interval` is the time between two watchdog notifications in seconds, half of the unit's WatchdogSec;
    None without a watchdog."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.interval = _interval(environ)

    @property
    def wanted(self) -> bool:
        """Whether systemd wants notifications."""
        return bool(self._address)

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + text.replace("\n", " "))

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto(message.encode(), address)
        except OSError as error:
            logger.debug("cannot send {} to systemd: {}", message.split("=")[0], error)


def _interval(environ: Mapping[str, str]) -> float | None:
    """Half of WATCHDOG_USEC, unless WATCHDOG_PID names another process."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) <= 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2_000_000


class System(Protocol):
    """The part of `Autoscaler` that this module uses."""

    def wait_ready(self, timeout: float) -> bool: ...
    def alive(self) -> bool: ...
    def status(self) -> Status: ...
    def wait(self, timeout: float | None = None) -> str | None: ...


def report_to_systemd(notifier: Notifier, system: System) -> None:
    """Notify systemd until `system` has ended; blocks, so run it on its own thread.

    READY=1 is sent after `READY_TIMEOUT` at the latest: an unreachable GitHub must not make systemd restart
    the daemon again and again.
    """
    system.wait_ready(READY_TIMEOUT)
    notifier.ready()
    while True:
        notifier.status(_line(system.status()))
        if system.alive():
            notifier.alive()
        if system.wait(notifier.interval or STATUS_INTERVAL) is not None:
            return


def _line(status: Status) -> str:
    jobs = sum(one.counters.jobs_completed for one in status.scale_sets)
    busy = sum(one.busy for one in status.scale_sets)
    problems = [f"{one.name} is {one.state}" for one in status.scale_sets if one.state not in NORMAL]
    return f"{len(status.scale_sets)} scale sets, {busy} runners busy, {jobs} jobs done" + "".join(
        f"; {text}" for text in problems
    )
