"""What GitHub's run.sh does with signals (docs/protocol.md § 8.3), around a listener that the test writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RUN_SH = """\
#!/bin/bash
[ -n "$RUNNER_MANUALLY_TRAP_SIG" ] || { ./run-helper.sh; exit 0; }
set -m
trap 'kill -INT -$PID' INT TERM
./run-helper.sh &
PID=$!
wait $PID
code=$?
trap - INT TERM
wait $PID
exit $code
"""
LISTENER = """\
#!/bin/bash
trap 'echo canceled >"{told}"; exit 0' INT
echo listening
sleep 600 & wait $!
echo went on >"{told}"
"""
"""It tells in a file that it got SIGINT: it would cancel its job now."""


def write_runner(folder: Path, told: Path) -> None:
    """Into that directory, which must exist, the run.sh and its listener."""
    for name, text in (("run.sh", RUN_SH), ("run-helper.sh", LISTENER.format(told=told))):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
