"""Speaking with a guest: is its agent there, start the runner in it, look at the runner (docs/tart.md § 6).

Everything a command is told stands in the host's process list and in the agent's log, its standard
input in neither: the JIT configuration goes there and nowhere else.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.tart.cli import TartTimedOut
from runscaler.backends.tart.output_errors import command_error
from runscaler.errors import BackendError, StartFailed

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from runscaler.backends.tart.cli import Output, Tart
    from runscaler.backends.tart.timings import Timings
    from runscaler.config.secrets import Secret
    from runscaler.interrupt import Interrupt

_FRAME_HEADER = 9
_SETTINGS = 0x04
_STARTED = re.compile(rb"^started (\d+)\s*$", re.MULTILINE)

START = """\
dir=$1 box=$HOME/.runscaler
[ -x "$dir/run.sh" ] || { echo "no runner at $dir/run.sh" >&2; exit 71; }
IFS= read -r ACTIONS_RUNNER_INPUT_JITCONFIG && [ -n "$ACTIONS_RUNNER_INPUT_JITCONFIG" ] ||
    { echo "no JIT configuration on standard input" >&2; exit 72; }
export ACTIONS_RUNNER_INPUT_JITCONFIG ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1
mkdir -p -m 700 "$box" && rm -f "$box/exit" "$box/lives" && mkfifo "$box/lives" || exit 73
start='./run.sh'
[ -x /bin/zsh ] && start='/bin/zsh -lc ./run.sh'
set -m 2>/dev/null
exec 9<>"$box/lives"
(
    cd "$dir" && $start 9>&-
    echo $? >"$box/exit.new"
    mv "$box/exit.new" "$box/exit"
) >"$box/log" 2>&1 </dev/null &
echo "started $!"
"""
"""VmStarter the runner in a group of its own and returns at once: nothing holds the exec's pipes open. The
shell around the runner, and nobody else, keeps the fifo `lives` open for writing until it ends."""

AWAIT = """\
box=$HOME/.runscaler
if [ -p "$box/lives" ]; then
    exec 8<>"$box/lives" 9<"$box/lives" 8>&-
    read -r nothing <&9
else
    while [ ! -e "$box/exit" ] && kill -0 "$1" 2>/dev/null; do sleep 0.5; done
fi
cat "$box/exit" 2>/dev/null
exit 0
"""
"""Ends when the runner does and prints its exit code; nothing where it was killed. Descriptor 8 is there
because opening a fifo to read alone would wait for a writer, and that one may have ended."""

LOOK = """\
box=$HOME/.runscaler
if [ -e "$box/exit" ]; then cat "$box/exit"
elif kill -0 "$1" 2>/dev/null; then echo running
else echo killed
fi
"""

BUSY = """\
pgrep -f 'Runner[.]Worker' >/dev/null
case $? in 0) echo busy;; 1) echo free;; *) echo unknown;; esac
"""
"""The brackets keep it from finding its own shell."""

TAIL = 'exec tail -c "$1" "$HOME/.runscaler/log"'

WHY = {
    71: ("set [tart] runner-dir to where the runner is installed in the image",),
    72: ("the guest agent passed on no standard input: update tart and the image's guest agent",),
    73: ("the guest's disk is full or read-only: use an image with more room",),
}
"""The exit codes of `START`, with what to do."""


@dataclass(frozen=True, slots=True)
class RunnerState:
    """The runner as a look found it; `exit_code` is None where it runs or was killed."""

    runs: bool
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """One VM's guest. Every call has its deadline."""

    tart: Tart
    name: str
    timings: Timings

    def ask(self) -> subprocess.Popen[bytes]:
        """A process that ends with 0 if the guest answers; a hung one lets it wait."""
        return self.tart.spawn("exec", self.name, "/usr/bin/true")

    def answers_exec(self, interrupt: Interrupt, seconds: float) -> bool:
        """The slow and sure way to ask whether the agent is there."""
        try:
            output = self.tart.call("exec", self.name, "/usr/bin/true", seconds=seconds, interrupt=interrupt)
        except TartTimedOut:
            return False
        return output.code == 0

    def start_runner(self, runner_dir: str, encoded: Secret, interrupt: Interrupt) -> int:
        """The runner's pid in the guest. After any error it may run all the same: never try again."""
        output = self.tart.call(
            *("exec", "-i", self.name, "/bin/sh", "-c", START, "runscaler", runner_dir),
            seconds=self.timings.inject,
            interrupt=interrupt,
            stdin=encoded.reveal().encode() + b"\n",
        )
        started = _STARTED.search(output.out)
        if output.code == 0 and started:
            return int(started[1])
        raise self._not_started(output)

    def look(self, pid: int) -> RunnerState:
        """Raises `BackendError` where the guest does not tell."""
        output = self._ask(LOOK, str(pid))
        if output.code != 0:
            raise command_error(f"look at the runner in {self.name}", output)
        word = output.out.strip().decode(errors="replace")
        return RunnerState(word == "running", int(word) if word.isdecimal() else None)

    def tail(self, count: int, interrupt: Interrupt) -> bytes:
        """The last bytes of the runner's output."""
        output = self._ask(TAIL, str(count), interrupt=interrupt)
        if output.code != 0:
            raise command_error(f"read the output of the runner in {self.name}", output)
        return output.out

    def runs_a_job(self, interrupt: Interrupt) -> bool | None:
        """None: it does not tell."""
        try:
            word = self._ask(BUSY, interrupt=interrupt).out.strip()
        except BackendError:
            return None
        return {b"busy": True, b"free": False}.get(word)

    def await_runner(self, pid: int) -> subprocess.Popen[bytes]:
        """A process that ends when the runner does; `code_of` reads what it printed."""
        return self.tart.spawn("exec", self.name, "/bin/sh", "-c", AWAIT, "runscaler", str(pid))

    def _ask(self, script: str, *arguments: str, interrupt: Interrupt | None = None) -> Output:
        command = ("exec", self.name, "/bin/sh", "-c", script, "runscaler", *arguments)
        return self.tart.call(*command, seconds=self.timings.guest_query, interrupt=interrupt)

    def _not_started(self, output: Output) -> StartFailed:
        doing = f"start the runner in {self.name}"
        if output.code in WHY:
            return StartFailed(f"cannot {doing}: {output.error_text}", fixes=WHY[output.code])
        error = command_error(doing, output)
        return StartFailed(f"{error} (code {output.code})", fixes=error.fixes)


def code_of(printed: bytes) -> int | None:
    """The runner's exit code as `AWAIT` prints it; None where the runner was killed."""
    word = printed.strip()
    return int(word) if word.isdigit() else None


def answers_socket(path: Path, seconds: float) -> bool:
    """Does the agent greet on the control socket? Its HTTP/2 SETTINGS frame comes unasked.

    Costs no process start; silence and a closed connection mean that it is not there yet.
    """
    received = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            while len(received) < _FRAME_HEADER and (piece := connection.recv(_FRAME_HEADER - len(received))):
                received += piece
    except OSError:
        return False
    return len(received) == _FRAME_HEADER and received[3] == _SETTINGS
