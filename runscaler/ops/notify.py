"""What systemd is told of the program (docs/behaviour.md § 8.7; systemd's sd_notify(3)).

Datagrams to the socket that the unit names in NOTIFY_SOCKET; without one nothing is sent.
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

READY_SECONDS = 60.0
STATUS_SECONDS = 10.0
FINE = (SetState.OK, SetState.STANDBY)


class Notifier:
    """`interval` is how often the watchdog wants to hear, in seconds: half of what the unit allows;
    None without a watchdog."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.interval = _interval(environ)

    @property
    def wanted(self) -> bool:
        """Does anybody listen?"""
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
            logger.debug("systemd cannot be told {}: {}", message.split("=")[0], error)


def _interval(environ: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC, unless it is meant for another process (WATCHDOG_PID)."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) <= 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2_000_000


class Watched(Protocol):
    """What systemd is told about: the facade."""

    def wait_ready(self, timeout: float) -> bool: ...
    def alive(self) -> bool: ...
    def status(self) -> Status: ...
    def wait(self, timeout: float | None = None) -> str | None: ...


def keep_posted(notifier: Notifier, system: Watched) -> None:
    """Tell systemd until `system` has ended; for a thread of its own. Ready is who serves, or says why
    he does not: a GitHub that is away is no reason to be started again and again."""
    system.wait_ready(READY_SECONDS)
    notifier.ready()
    while True:
        notifier.status(_line(system.status()))
        if system.alive():
            notifier.alive()
        if system.wait(notifier.interval or STATUS_SECONDS) is not None:
            return


def _line(status: Status) -> str:
    jobs = sum(one.counters.jobs_completed for one in status.scale_sets)
    busy = sum(one.busy for one in status.scale_sets)
    wrong = [f"{one.name} is {one.state}" for one in status.scale_sets if one.state not in FINE]
    return f"{len(status.scale_sets)} scale sets, {busy} runners busy, {jobs} jobs done" + "".join(
        f"; {text}" for text in wrong
    )
