"""Runs the `tart` command: finds it, gives it its own session and a deadline, and kills it on interrupt.

A command that does not end in time is killed with its whole process group. One that ended, with whatever
exit code, yields an `Output`; `output_errors` interprets it.
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

from runscaler.config.secret_variables import child_environment
from runscaler.errors import BackendDown, BackendError
from runscaler.interrupt import Interrupt
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from runscaler.backends.tart.home import TartHome
    from runscaler.clock import Clock

SEARCH_PATH = ("/opt/homebrew/bin", "/usr/local/bin", "/Applications/tart.app/Contents/MacOS")
"""Where tart is looked for besides PATH: launchd's PATH has no Homebrew (docs/tart.md § 9)."""
DROPPED_VARIABLES = (
    "TRACEPARENT",  # with it tart exports its arguments as telemetry (docs/tart.md § 4)
    "TRACESTATE",
)
INSTALL = (
    "install tart: `brew install cirruslabs/cli/tart`",
    "add the directory of tart to the PATH of this program's service",
)
_LISTEN_INTERVAL = 0.5
_MOST_OUTPUT = 16 * 1024 * 1024
"""Bytes. A guest, whose jobs may be root in it, has no end to what it can print."""
_KILL_GRACE = 2.0


class TartTimedOut(BackendError):
    """The command did not end in time and was killed."""


class OutputListener(Protocol):
    """Follows the output of a long command and decides how long it may go on."""

    def on_output(self, output: bytes, /) -> float:
        """It printed more; `output` is everything so far. Returns the seconds it has left from now on."""

    def on_timeout(self) -> float:
        """Its time is up. Returns the seconds by which to extend it; 0: kill it."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a command ended; `code` is negative if a signal ended it."""

    code: int
    out: bytes
    err: bytes

    @property
    def error_text(self) -> str:
        """What it printed about its failure, on one line."""
        return " ".join((self.err.strip() or self.out.strip()).decode(errors="replace").split())


@dataclass(frozen=True, slots=True)
class Tart:
    """The `tart` command in one TART_HOME. Thread-safe."""

    home: TartHome
    clock: Clock
    environ: Mapping[str, str]

    def program(self) -> str:
        """Its path; raises `BackendDown` if it is not found."""
        found = shutil.which("tart", path=self._path())
        if found is None:
            raise BackendDown("tart is not installed, or not where this program looks", fixes=INSTALL)
        return found

    def environment(self) -> dict[str, str]:
        kept = child_environment(self.environ)
        for name in DROPPED_VARIABLES:
            kept.pop(name, None)
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
        """Run it to its end. `listener` may extend the `seconds` it may take.

        Raises `TartTimedOut`, `BackendDown` and `Interrupted`.
        """
        interrupt = interrupt or Interrupt()
        began = self.clock.monotonic()
        popen = self.spawn(*arguments, with_stdin=stdin != b"")
        with popen:
            with interrupt.cancelling(lambda: end_group(popen)):
                output = self._communicate(popen, arguments, seconds, stdin, listener)
            if output.code < 0:
                interrupt.wait(0)
        took = self.clock.monotonic() - began
        logger.debug("tart {} took {:.3f} s, code {}", " ".join(arguments[:2]), took, output.code)
        if output.code == 0 and output.err.strip():
            logger.debug(
                "tart {} also printed: {}", arguments[0], output.err.decode(errors="replace").strip()
            )
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

    def _communicate(
        self,
        popen: subprocess.Popen[bytes],
        arguments: tuple[str, ...],
        seconds: float,
        stdin: bytes,
        listener: OutputListener | None,
    ) -> Output:
        limit, heard = self.clock.monotonic() + seconds, 0
        while True:
            left = limit - self.clock.monotonic()
            try:
                out, err = popen.communicate(stdin or None, min(left, _LISTEN_INTERVAL))
            except subprocess.TimeoutExpired as expired:
                stdin, out = b"", expired.output or b""
                if len(out) + len(expired.stderr or b"") > _MOST_OUTPUT:
                    raise _too_talkative(popen, arguments) from None
                if listener is not None and len(out) > heard:
                    limit, heard = self.clock.monotonic() + listener.on_output(out), len(out)
                if self.clock.monotonic() >= limit:
                    extension = listener.on_timeout() if listener is not None else 0.0
                    if extension <= 0:
                        raise _timed_out(popen, arguments, seconds) from None
                    limit += extension
            else:
                return Output(popen.returncode, out, err)

    def _path(self) -> str:
        return os.pathsep.join((self.environ.get("PATH", os.defpath), *SEARCH_PATH))


def end_group(popen: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a command and all that it started, unless it has ended."""
    if popen.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)


def _too_talkative(popen: subprocess.Popen[bytes], arguments: tuple[str, ...]) -> BackendError:
    end_group(popen)
    return BackendError(
        f"`tart {arguments[0]}` printed more than {_MOST_OUTPUT // 2**20} MiB and was killed",
        fixes=("look into the VM: a job may have replaced its guest agent",),
    )


def _timed_out(popen: subprocess.Popen[bytes], arguments: tuple[str, ...], seconds: float) -> TartTimedOut:
    end_group(popen)
    with suppress(subprocess.TimeoutExpired):
        popen.communicate(timeout=_KILL_GRACE)
    return TartTimedOut(f"`tart {arguments[0]}` did not end within {format_duration(seconds)} and was killed")
