"""One run of the `tart` command: found, in its own session, with a deadline, and cut when told.

What may hang is killed with all its process group; what it says is kept. A command that was started
and ended, whatever its code, is an `Output`: `texts` says what that means.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler.errors import BackendDown, BackendError
from runscaler.interrupt import Interrupt
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from runscaler.backends.tart.home import TartHome
    from runscaler.clock import Clock

SEARCH_PATH = ("/opt/homebrew/bin", "/usr/local/bin", "/Applications/tart.app/Contents/MacOS")
"""Where tart is looked for beside PATH: launchd's has no Homebrew (docs/tart.md § 9)."""
DROPPED_VARIABLES = (
    "TRACEPARENT",  # else tart exports its arguments as telemetry (docs/tart.md § 4)
    "TRACESTATE",
    "RUNNER_TOKEN",
    "RUNSCALER_TOKEN",
)
INSTALL = (
    "install tart: `brew install cirruslabs/cli/tart`",
    "put the directory of tart into PATH of this program's service",
)
_HEARD_EVERY = 0.5
_LAST_WORDS = 2.0


class TartTimedOut(BackendError):
    """The command did not end in time and was killed."""


class OutputListener(Protocol):
    """Listens to a command that may take long, and says how long it may go on; seconds."""

    def on_output(self, said: bytes, /) -> float:
        """It said more; `said` is all of it so far."""

    def on_timeout(self) -> float:
        """Its time is over; 0: end it."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a command ended; `code` is negative where a signal ended it."""

    code: int
    out: bytes
    err: bytes

    @property
    def error_text(self) -> str:
        """What it said about its failure, on one line."""
        return " ".join((self.err.strip() or self.out.strip()).decode(errors="replace").split())


@dataclass(frozen=True, slots=True)
class Tart:
    """The command in one TART_HOME. Thread-safe."""

    home: TartHome
    clock: Clock
    environ: Mapping[str, str]

    def program(self) -> str:
        """Where it is; `BackendDown` where it is not."""
        found = shutil.which("tart", path=self._path())
        if found is None:
            raise BackendDown("tart is not installed, or not where this program looks", fixes=INSTALL)
        return found

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in self.environ.items() if name not in DROPPED_VARIABLES}
        ours = {"TART_HOME": str(self.home), "TART_NO_AUTO_PRUNE": "", "CI": "true", "PATH": self._path()}
        return kept | ours

    def call(
        self,
        *arguments: str,
        seconds: float,
        interrupt: Interrupt | None = None,
        stdin: bytes = b"",
        listener: OutputListener | None = None,
    ) -> Output:
        """Run it to its end. `stdin` is its standard input; `listener` may lengthen its `seconds`.

        Raises `TartTimedOut`, `BackendDown` and `Interrupted`.
        """
        interrupt = interrupt or Interrupt()
        began = self.clock.monotonic()
        popen = self.spawn(*arguments, with_stdin=stdin != b"")
        with popen:
            with interrupt.cutting(lambda: end_group(popen)):
                output = self._to_its_end(popen, arguments, seconds, stdin, listener)
            if output.code < 0:
                interrupt.wait(0)
        took = self.clock.monotonic() - began
        logger.debug("tart {} took {:.3f} s, code {}", " ".join(arguments[:2]), took, output.code)
        if output.code == 0 and output.err.strip():
            logger.debug("tart {} also said: {}", arguments[0], output.err.decode(errors="replace").strip())
        return output

    def spawn(
        self,
        *arguments: str,
        with_stdin: bool = False,
        log: IO[bytes] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Start it and return; its output goes to `log`, else into pipes. Raises `BackendDown`."""
        try:
            return subprocess.Popen(
                [self.program(), *arguments],
                env=self.environment(),
                stdin=subprocess.PIPE if with_stdin else subprocess.DEVNULL,
                stdout=log or subprocess.PIPE,
                stderr=subprocess.STDOUT if log else subprocess.PIPE,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except OSError as error:
            raise BackendDown(f"tart cannot be executed: {error}", fixes=("install tart anew",)) from error

    def _to_its_end(
        self,
        popen: subprocess.Popen[bytes],
        arguments: tuple[str, ...],
        seconds: float,
        stdin: bytes,
        listener: OutputListener | None,
    ) -> Output:
        limit, said = self.clock.monotonic() + seconds, 0
        while True:
            left = limit - self.clock.monotonic()
            try:
                out, err = popen.communicate(stdin or None, min(left, _HEARD_EVERY) if listener else left)
            except subprocess.TimeoutExpired as so_far:
                stdin, out = b"", so_far.output or b""
                if listener is not None and len(out) > said:
                    limit, said = self.clock.monotonic() + listener.on_output(out), len(out)
                if self.clock.monotonic() >= limit:
                    more = listener.on_timeout() if listener is not None else 0.0
                    if more <= 0:
                        raise _hung(popen, arguments, seconds) from None
                    limit += more
            else:
                return Output(popen.returncode, out, err)

    def _path(self) -> str:
        return os.pathsep.join((self.environ.get("PATH", os.defpath), *SEARCH_PATH))


def end_group(popen: subprocess.Popen[bytes]) -> None:
    """SIGKILL to all that a command started, unless it has ended."""
    if popen.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)


def _hung(popen: subprocess.Popen[bytes], arguments: tuple[str, ...], seconds: float) -> TartTimedOut:
    end_group(popen)
    with suppress(subprocess.TimeoutExpired):
        popen.communicate(timeout=_LAST_WORDS)
    return TartTimedOut(f"`tart {arguments[0]}` did not end within {format_duration(seconds)} and was killed")
