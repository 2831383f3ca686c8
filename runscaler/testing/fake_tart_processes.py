"""The processes of a pretended Mac: calls of `tart`, and all that runs in its guests."""

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
"""Seconds that something may take before a test gives up."""
_STEP = 0.01


@dataclass(frozen=True, slots=True)
class Seen:
    """A living process: a guest's has its HOME, one of the program its words and TART_HOME."""

    process: psutil.Process
    home: str
    words: tuple[str, ...] = ()

    @property
    def vm(self) -> str:
        """Of a `tart run`."""
        return next((word for word in self.words[1:] if not word.startswith("-")), "")


class Processes:
    """Those of one host, by the `FAKE_TART_HOST` in their environment."""

    def __init__(self, host: Path, program: Path) -> None:
        self._host, self._program = str(host), str(program)

    def programs(self) -> list[Seen]:
        """Calls of `tart`, and the helpers of `tart run`, which have the same words."""
        return [seen for seen in self._all() if seen.words]

    def guests(self) -> list[Seen]:
        return [seen for seen in self._all() if not seen.words]

    def kill(self) -> None:
        """SIGKILL to all, until none lives."""

        def gone() -> bool:
            living = list(self._all())
            for seen in living:
                with suppress(psutil.Error):
                    seen.process.kill()
            return not living

        wait_for(gone)

    def _all(self) -> Iterator[Seen]:
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                environment, words = variables_of(process), process.cmdline()
                ours = environment.get("FAKE_TART_HOST") == self._host
                if not ours or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if self._program in words[:3]:
                    own = tuple(words[words.index(self._program) + 1 :])
                    yield Seen(process, environment.get("TART_HOME", ""), own)
                elif "FAKE_TART_GUEST" in environment:
                    yield Seen(process, environment.get("HOME", ""))


def wait_for(condition: Callable[[], bool]) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE
    while not condition():
        assert clock.monotonic() < deadline, "the pretended Mac did not get there"
        clock.pause(_STEP, Interrupt())
