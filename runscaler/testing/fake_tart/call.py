"""One call of the fake `tart`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.knobs import Knobs

if TYPE_CHECKING:
    from collections.abc import Iterable


class Call:
    """The command line, the TART_HOME and host folder, and the knobs of one call."""

    def __init__(self, command: str, argv: list[str]) -> None:
        self.command, self.argv = command, argv
        self.home = os.path.abspath(os.environ.get("TART_HOME") or os.path.expanduser("~/.tart"))
        self.host = host_folder(self.home)
        self.knobs = Knobs(os.environ.get("FAKE_TART_KNOBS", ""), self.host)
        self.options: dict[str, str] = {}
        self.words: list[str] = []
        self.stdin = b""
        """What it read so far, for the journal."""
        for folder in ("vms", "tmp", "cache/OCIs", "cache/IPSWs"):
            os.makedirs(os.path.join(self.home, folder), exist_ok=True)

    @property
    def name(self) -> str:
        """The first argument."""
        return self.words[0]

    def has(self, *options: str) -> bool:
        return any(option in self.options for option in options)

    def number(self, option: str, default: int = 0) -> int:
        return int(self.options.get(option, default))

    def fire(self, when: str, command: str = "", names: Iterable[str] = ()) -> None:
        """Apply the failure rules for this moment."""
        self.knobs.fire(command or self.command, when, names or self.words[:2], self.argv)


def host_folder(home: str) -> str:
    folder = os.path.abspath(os.environ.get("FAKE_TART_HOST") or os.path.join(home, "fake-host"))
    os.makedirs(os.path.join(folder, "running"), exist_ok=True)
    return folder
