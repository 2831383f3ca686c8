"""The state directory: lock, owner, sessions, open registrations, kept output, batches set aside.

No database: all of it can be lost, and costs no more than a look at GitHub and the engines. What
cannot be read is begun anew with a warning.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from runscaler.errors import HostError
from runscaler.findings import Finding, Level
from runscaler.ops.bounded_files import BoundedFiles, newest_first
from runscaler.ops.lock import StateLock
from runscaler.ops.owner import load_or_create_owner
from runscaler.ops.registrations import Registrations
from runscaler.ops.sessions import Sessions
from runscaler.ops.state_path import candidates
from runscaler.units import format_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Ending
    from runscaler.clock import Clock
    from runscaler.config.model import Config
    from runscaler.names import OwnerId, RunnerName, ScaleSetKey

LOGS = "logs"
BATCHES = "batches"
KEPT_BYTES = 64 * 1024
KEPT_OUTPUTS = 50
KEPT_BATCHES = 50


class StateDir:
    """An open state directory, held for this process until `close`. Made by `open`."""

    def __init__(self, path: Path, clock: Clock, lock: StateLock, owner: OwnerId) -> None:
        self.path = path
        self.owner = owner
        self.sessions = Sessions(path / "sessions")
        self.registrations = Registrations(path / "registrations")
        self._lock = lock
        self._logs = BoundedFiles(path / LOGS, clock, KEPT_OUTPUTS)
        self._batches = BoundedFiles(path / BATCHES, clock, KEPT_BATCHES)

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Make it if need be (mode 0700) and lock it.

        `HostError` where another process holds it; OSError where it cannot be made or written to.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = StateLock(path)
        lock.acquire()
        try:
            return cls(path, clock, lock, load_or_create_owner(path))
        except OSError:
            lock.release()
            raise

    def close(self) -> None:
        """Let another process have it; harmless when repeated."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep_output(
        self, scale_set: ScaleSetKey, runner: RunnerName, output: bytes, ending: Ending | None
    ) -> Path | None:
        """Keep the last 64 KiB of a failed runner's output below a line that says whose it is.

        None where that failed, which is logged. The newest 50 stay (docs/behaviour.md § 5.4).
        """
        cut = f", the last {format_bytes(KEPT_BYTES)}" if len(output) > KEPT_BYTES else ""
        head = f"# {runner} of {json.dumps(str(scale_set))}: {describe_ending(ending)}{cut}\n"
        return self._logs.put(f"{runner}.log", head.encode() + output[-KEPT_BYTES:])

    def set_aside(self, scale_set: ScaleSetKey, batch_id: int, content: str, reason: str) -> Path | None:
        """Keep a batch whose handling crashed again and again, for a bug report (docs/behaviour.md § 8.4)."""
        kept = {"scale_set": str(scale_set), "batch": batch_id, "reason": reason, "content": content}
        return self._batches.put(f"batch-{batch_id}.json", json.dumps(kept, indent=2).encode())


def open_state_dir(config: Config, clock: Clock) -> tuple[StateDir | None, list[Finding]]:
    """The first that can be written to of the places of docs/behaviour.md § 4.2, and what to warn about.

    `HostError` where another process holds it, or where the configuration names one that cannot be
    used. None where none can be had: then the owner is `owner.owner_without_state_dir`.
    """
    failures: list[str] = []
    for path in candidates(config):
        try:
            return StateDir.open(path, clock), _fallen_back(path, failures)
        except OSError as error:
            failures.append(f"{path}: {error.strerror or error}")
    if config.state_dir is not None:
        raise HostError(
            f"state-dir cannot be used: {failures[0]}",
            fixes=("give this user the right to write there", "name another directory"),
        )
    return None, [_without_any(failures)]


def kept_output(state_dir: Path, runner: str) -> bytes | None:
    """The kept output of a failed runner; needs no lock. None where there is none (any more)."""
    for path in newest_first(state_dir / LOGS):
        if path.name.endswith(f"-{runner}.log"):
            return path.read_bytes()
    return None


def describe_ending(ending: Ending | None) -> str:
    """Words for people: "exit code 7", "signal 9, out of memory"."""
    if ending is None:
        return "it vanished"
    parts = [
        f"exit code {ending.exit_code}" if ending.exit_code is not None else "",
        f"signal {ending.signal}" if ending.signal is not None else "",
        "out of memory" if ending.out_of_memory else "",
    ]
    return ", ".join(filter(None, parts)) or "exit code unknown"


def _fallen_back(path: Path, failures: list[str]) -> list[Finding]:
    if not failures:
        return []
    said = f"the state directory is {path}, because another cannot be used: {'; '.join(failures)}"
    return [Finding(Level.WARNING, said, ("set state-dir",))]


def _without_any(failures: list[str]) -> Finding:
    return Finding(
        Level.WARNING,
        "no state directory can be used, so there is no lock against a second daemon, no kept output, "
        f"no admin socket: {'; '.join(failures)}",
        ("set state-dir to a directory that this user may write to",),
    )
