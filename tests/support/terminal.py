"""Programs on a terminal that can be closed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 100.0
_TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class OnTerminal:
    """A program that leads a session on a terminal of its own, as one that a user starts in a window."""

    def __init__(self, *words: str, env: Mapping[str, str] | None = None) -> None:
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""
        """What it has printed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def wait_for(self, words: str) -> None:
        """Read until the program has printed `words`."""
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            while words not in self.text:
                self.text += os.read(self._master, 65536).decode(errors="replace")
        except OSError:
            raise AssertionError(f"it ended before it printed {words!r}:\n{self.text}") from None
        finally:
            watchdog.cancel()
            watchdog.join()

    def type(self, text: str) -> None:
        """Send keys to the program."""
        os.write(self._master, text.encode())

    def close(self) -> None:
        """Close the terminal. The kernel sends SIGHUP, and what the program writes from now on fails."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def ended(self) -> int:
        """Wait for the program's end; returns its exit code."""
        return self.process.wait(PATIENCE)
