"""Which VMs ran at the same time on a fake Mac, and with which MAC addresses."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from support.poller import Poller

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.testing.fake_tart_host import FakeTart

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Running:
    vm: str
    mac: str


class MacWatch(Poller):
    """Polls the VMs of all TART_HOMEs that the host counts as running."""

    def __init__(self, tart: FakeTart) -> None:
        self._folder = tart.host / "running"
        super().__init__("mac-watch", POLL_SECONDS)
        self.most = 0
        self.looks = 0
        self.doubled: set[str] = set()
        """MAC addresses that two running VMs had at the same time."""
        self.seen: set[str] = set()
        """All VMs that have run."""

    def poll(self) -> None:
        running = [one for path in self._entries() if (one := _alive(path))]
        macs = [one.mac for one in running]
        self.most = max(self.most, len(running))
        self.doubled |= {mac for mac in macs if macs.count(mac) > 1}
        self.seen |= {one.vm for one in running}
        self.looks += 1

    def _entries(self) -> list[Path]:
        with suppress(OSError):
            return [path for path in self._folder.iterdir() if path.name.isdigit()]
        return []


def _alive(path: Path) -> Running | None:
    """The VM of one entry of the host, if its process is alive and has not started to end."""
    with suppress(OSError, ValueError, psutil.Error):
        entry = json.loads(path.read_text())
        if "until" not in entry and psutil.Process(int(path.name)).status() != psutil.STATUS_ZOMBIE:
            return Running(entry["path"], entry["mac"])
    return None


def most_at_once(tart: FakeTart, but: tuple[str, ...] = ()) -> int:
    """How many `tart run`s there were at once at most, by the journal, without those with a word in `but`.

    Exact if each of them ended by itself or by SIGINT. One that the kernel refused does not count.
    """
    spans = [
        (call.start, float("inf") if call.end is None else call.end)
        for call in tart.calls("run")
        if call.code in (0, None) and not set(call.argv) & set(but)
    ]
    return max((sum(start <= at < end for start, end in spans) for at, _ in spans), default=0)
