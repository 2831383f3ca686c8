"""The processes of a fake Mac: calls of `tart`, and everything that runs in its guests."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from runscaler.backends.process.process_table import variables_of
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 60.0
"""Seconds after which a test stops waiting for something."""
_POLL_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class HostProcess:
    """A living process. `home` is TART_HOME for a call of `tart`, which alone has `words`; else HOME."""

    process: psutil.Process
    home: str
    words: tuple[str, ...] = ()

    @property
    def vm(self) -> str:
        """If this is a `tart run`."""
        return next((word for word in self.words[1:] if not word.startswith("-")), "")


class Processes:
    """Those of one host, found by the `FAKE_TART_HOST` in their environment."""

    def __init__(self, host: Path, program: Path) -> None:
        self._host, self._program = str(host), str(program)

    def programs(self) -> list[HostProcess]:
        """Calls of `tart`, and the child processes of `tart run`, which have the same words."""
        return [found for found in self._all() if found.words]

    def guests(self) -> list[HostProcess]:
        return [found for found in self._all() if not found.words]

    def kill(self) -> None:
        """SIGKILL to all of them, until none is left."""

        def none_left() -> bool:
            living = list(self._all())
            for found in living:
                with suppress(psutil.Error):
                    found.process.kill()
            return not living

        wait_for(none_left)

    def _all(self) -> Iterator[HostProcess]:
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                environment, words = variables_of(process), process.cmdline()
                ours = environment.get("FAKE_TART_HOST") == self._host
                if not ours or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if self._program in words[:4]:
                    own = tuple(words[words.index(self._program) + 1 :])
                    yield HostProcess(process, environment.get("TART_HOME", ""), own)
                elif "FAKE_TART_GUEST" in environment:
                    yield HostProcess(process, environment.get("HOME", ""))


def wait_for(condition: Callable[[], bool]) -> None:
    """Raises AssertionError after `PATIENCE`."""
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE
    while not condition():
        assert clock.monotonic() < deadline, "the fake Mac did not get into the expected state"
        clock.pause(_POLL_INTERVAL, Interrupt())
