"""Talks to a guest: probes its agent, starts the runner in it, and queries the runner (docs/tart.md § 6).

The arguments of an exec appear in the host's process list and in the agent's log, its standard input in
neither. So the JIT configuration is passed on standard input and nowhere else.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.marks import HIGHEST_PID
from runscaler.backends.tart.cli import TartTimedOut
from runscaler.backends.tart.output_errors import command_error
from runscaler.errors import BackendError, StartFailed
from runscaler.untrusted import whole_number

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from runscaler.backends.tart.cli import Output, Tart
    from runscaler.backends.tart.timings import Timings
    from runscaler.interrupt import Interrupt

HIGHEST_EXIT_CODE = 2**32 - 1
_FRAME_HEADER = 9
_SETTINGS = 0x04
_STARTED = re.compile(rb"^started (\d+)\s*$", re.MULTILINE)

START_SCRIPT = """\
dir=$1 box=$HOME/.runscaler
[ -x "$dir/run.sh" ] || { echo "no runner at $dir/run.sh" >&2; exit 71; }
IFS= read -r ACTIONS_RUNNER_INPUT_JITCONFIG && [ -n "$ACTIONS_RUNNER_INPUT_JITCONFIG" ] ||
    { echo "no JIT configuration on standard input" >&2; exit 72; }
export ACTIONS_RUNNER_INPUT_JITCONFIG ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1
export RUNNER_MANUALLY_TRAP_SIG=1
mkdir -p -m 700 "$box" && rm -f "$box/exit" "$box/lives" && mkfifo "$box/lives" || exit 73
while IFS= read -r line && [ -n "$line" ]; do export "$line"; done
ca=$box/ca.pem bundle=$box/ca-bundle.pem
cat >"$ca" || exit 73
if [ -s "$ca" ]; then
    cat "$ca" >"$bundle"
    cat /etc/ssl/cert.pem >>"$bundle" 2>/dev/null
    export NODE_EXTRA_CA_CERTS="$ca" SSL_CERT_FILE="$bundle" REQUESTS_CA_BUNDLE="$bundle"
    export CURL_CA_BUNDLE="$bundle" GIT_SSL_CAINFO="$bundle"
fi
trust() {
    keychain=/Library/Keychains/System.keychain
    awk -v to="$box" '/BEGIN CERT/ {n++} n {print > (to "/ca-" n ".crt")}' "$ca"
    for each in "$box"/ca-*.crt; do
        sudo -n security add-trusted-cert -d -r trustRoot -k "$keychain" "$each" ||
            echo "the system's keychain does not trust $each: the runner itself may fail"
    done
}
set -- ./run.sh
[ -x /bin/zsh ] && set -- /bin/zsh -lc 'exec ./run.sh'
set -m
exec 9<>"$box/lives"
(
    trap : TERM
    [ ! -s "$ca" ] || trust
    cd "$dir" && "$@" 9>&-
    echo $? >"$box/exit.new"
    mv "$box/exit.new" "$box/exit"
) >"$box/log" 2>&1 </dev/null &
echo "started $!"
"""
"""For bash, which run.sh needs too: without a terminal other shells cannot put the runner into a process
group of its own, and make it ignore SIGINT. Starts it there and returns at once; nothing keeps the exec's
pipes open. Only the shell around the runner holds the fifo `lives` open for writing, until the runner ends.
That shell survives a SIGTERM to the group, which is the runner's to answer.

Only the keychain decides what the runner itself trusts on macOS; `security` takes one certificate a file."""

WAIT_SCRIPT = """\
box=$HOME/.runscaler
if [ -p "$box/lives" ]; then
    exec 8<>"$box/lives" 9<"$box/lives" 8>&-
    read -r nothing <&9
else
    while [ ! -e "$box/exit" ] && kill -0 "$1" 2>/dev/null; do sleep 0.5; done
fi
head -c 32 "$box/exit" 2>/dev/null
exit 0
"""
"""Ends when the runner does and prints its exit code, or nothing if it was killed. Descriptor 8 is needed
because opening a fifo only for reading waits for a writer, which may have ended already."""

TERMINATE_SCRIPT = f"""\
kill -s TERM -- "-$1" 2>/dev/null || exit 0
{WAIT_SCRIPT}"""
"""SIGTERM to the runner's process group; ends when the runner does, at once if it has ended."""

STATE_SCRIPT = """\
box=$HOME/.runscaler
if [ -e "$box/exit" ]; then head -c 32 "$box/exit"
elif kill -0 "$1" 2>/dev/null; then echo running
else echo killed
fi
"""

JOB_SCRIPT = """\
pgrep -f 'Runner[.]Worker' >/dev/null
case $? in 0) echo busy;; 1) echo free;; *) echo unknown;; esac
"""
"""The brackets keep pgrep from finding the shell that runs this script."""

TAIL_SCRIPT = 'exec tail -c "$1" "$HOME/.runscaler/log"'

START_EXIT_FIXES = {
    71: ("set [tart] runner-dir to where the runner is installed in the image",),
    72: ("the guest agent passed no standard input on: update tart and the image's guest agent",),
    73: ("the guest's disk is full or read-only: use an image with more room",),
}
"""What to do about the exit codes of `START_SCRIPT`."""


@dataclass(frozen=True, slots=True)
class GuestRunnerState:
    """`exit_code` is None if the runner runs or was killed."""

    is_running: bool
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """The guest of one VM. Every call has a deadline."""

    tart: Tart
    name: str
    timings: Timings

    def spawn_probe(self) -> subprocess.Popen[bytes]:
        """A process that exits with 0 if the guest answers, and waits if it hangs. Raises `BackendDown`."""
        return self.tart.spawn("exec", self.name, "/usr/bin/true")

    def answers_exec(self, interrupt: Interrupt, seconds: float) -> bool:
        """Slow but reliable: is the agent up? Raises `BackendDown` and `Interrupted`."""
        try:
            output = self.tart.call("exec", self.name, "/usr/bin/true", seconds=seconds, interrupt=interrupt)
        except TartTimedOut:
            return False
        return output.code == 0

    def start_runner(self, runner_dir: str, stdin: bytes, interrupt: Interrupt) -> int:
        """Returns the runner's pid in the guest. After any error it may run nevertheless: never try again.
        `stdin` is of `guest_input`."""
        output = self.tart.call(
            *("exec", "-i", self.name, "/bin/bash", "-c", START_SCRIPT, "runscaler", runner_dir),
            seconds=self.timings.inject,
            interrupt=interrupt,
            stdin=stdin,
        )
        started = _STARTED.search(output.out)
        pid = whole_number(started[1], HIGHEST_PID) if output.code == 0 and started else None
        if pid is not None:
            return pid
        raise self._not_started(output)

    def runner_state(self, pid: int) -> GuestRunnerState:
        """Raises `BackendError` if the guest does not answer."""
        output = self._run_script(STATE_SCRIPT, str(pid))
        if output.code != 0:
            raise command_error(f"look at the runner in {self.name}", output)
        word = output.out.strip().decode(errors="replace")
        return GuestRunnerState(word == "running", whole_number(word, HIGHEST_EXIT_CODE))

    def terminate_runner(self, pid: int, seconds: float, interrupt: Interrupt) -> None:
        """Send SIGTERM to the runner and return when it has ended, after `seconds` at most, or at once if the
        guest refuses. Raises `BackendDown` and `Interrupted`."""
        with suppress(TartTimedOut):
            self._run_script(TERMINATE_SCRIPT, str(pid), interrupt=interrupt, seconds=seconds)

    def log_tail(self, count: int, interrupt: Interrupt) -> bytes:
        """The last bytes of the runner's output. Raises `BackendError` and `Interrupted`."""
        output = self._run_script(TAIL_SCRIPT, str(count), interrupt=interrupt)
        if output.code != 0:
            raise command_error(f"read the output of the runner in {self.name}", output)
        return output.out

    def runs_a_job(self, interrupt: Interrupt) -> bool | None:
        """None if the guest does not tell. Raises `Interrupted`."""
        try:
            word = self._run_script(JOB_SCRIPT, interrupt=interrupt).out.strip()
        except BackendError:
            return None
        return {b"busy": True, b"free": False}.get(word)

    def spawn_runner_watch(self, pid: int) -> subprocess.Popen[bytes]:
        """A process that ends when the runner does; `runner_exit_code` reads its output."""
        return self.tart.spawn("exec", self.name, "/bin/sh", "-c", WAIT_SCRIPT, "runscaler", str(pid))

    def _run_script(
        self, script: str, *arguments: str, interrupt: Interrupt | None = None, seconds: float | None = None
    ) -> Output:
        command = ("exec", self.name, "/bin/sh", "-c", script, "runscaler", *arguments)
        limit = self.timings.guest_query if seconds is None else seconds
        return self.tart.call(*command, seconds=limit, interrupt=interrupt)

    def _not_started(self, output: Output) -> StartFailed:
        doing = f"start the runner in {self.name}"
        if output.code in START_EXIT_FIXES:
            return StartFailed(f"cannot {doing}: {output.error_text}", fixes=START_EXIT_FIXES[output.code])
        error = command_error(doing, output)
        return StartFailed(f"{error} (code {output.code})", fixes=error.fixes)


def runner_exit_code(output: bytes) -> int | None:
    """What `WAIT_SCRIPT` printed; None if the runner was killed."""
    return whole_number(output.strip(), HIGHEST_EXIT_CODE)


def agent_answers_on(path: Path, seconds: float) -> bool:
    """Does the agent send its HTTP/2 SETTINGS frame, as it does unasked, on this control socket?

    Starts no process. Silence or a closed connection means that it is not up yet.
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
