"""The state directory: lock, owner id, sessions, registrations, journals, kept output, batches set aside.

It is not a database. If it is lost, the daemon recovers from GitHub and the engines. An unreadable file is
replaced with a warning.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from runscaler.config.secret_forms import masked_output
from runscaler.errors import HostError
from runscaler.files import remove_half_written
from runscaler.findings import Finding, Level
from runscaler.ops.bounded_files import BoundedFiles, newest_first
from runscaler.ops.journal import JOURNAL, Journal
from runscaler.ops.lock import StateLock
from runscaler.ops.owner import load_or_create_owner
from runscaler.ops.records import CreatedScaleSets, Registrations, SavedSessions
from runscaler.ops.state_path import candidates
from runscaler.private_files import NotPrivate, check_tree, private_directory, read_private
from runscaler.units import format_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Ending
    from runscaler.clock import Clock
    from runscaler.config.model import Config
    from runscaler.names import OwnerId, RunnerName, ScaleSetKey

LOGS = "logs"
BATCHES = "batches"
LEVELS = 2
"""Of directories below the state directory in which we write files; below them lie runners' own."""
KEPT_BYTES = 64 * 1024
KEPT_OUTPUTS = 50
KEPT_BATCHES = 50


class StateDir:
    """An open state directory, locked for this process until `close`. Create it with `open`."""

    def __init__(self, path: Path, clock: Clock, lock: StateLock, owner: OwnerId) -> None:
        self.path = path
        self.owner = owner
        self.sessions = SavedSessions(path / "sessions")
        self.created = CreatedScaleSets(path / "scale-sets")
        self.registrations = Registrations(path / "registrations")
        self.journal = Journal(path / JOURNAL, clock)
        self._lock = lock
        self._logs = BoundedFiles(path / LOGS, clock, KEPT_OUTPUTS)
        self._batches = BoundedFiles(path / BATCHES, clock, KEPT_BATCHES)

    @classmethod
    def open(cls, path: Path, clock: Clock) -> Self:
        """Create the directory if necessary (mode 0700), lock it, remove what a killed process half wrote.

        Raises `HostError` if another process holds it, `NotPrivate` if somebody else has a hand in it, and
        OSError if it cannot be created or written to.
        """
        private_directory(path)
        check_tree(path)
        lock = StateLock(path)
        lock.acquire()
        remove_half_written(path, LEVELS)
        try:
            return cls(path, clock, lock, load_or_create_owner(path))
        except OSError:
            lock.release()
            raise

    def close(self) -> None:
        """Write the journals to the end and release the lock. Harmless if repeated."""
        self.journal.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep_output(
        self, scale_set: ScaleSetKey, runner: RunnerName, output: bytes, ending: Ending | None
    ) -> Path | None:
        """Keep the last 64 KiB of a failed runner's output, with a header line that names the runner.

        JIT configurations and tokens in it are masked.

        Returns None if that failed (logged). The newest 50 outputs are kept (docs/behaviour.md § 5.4).
        """
        output = masked_output(output)
        cut = f", the last {format_bytes(KEPT_BYTES)}" if len(output) > KEPT_BYTES else ""
        head = f"# {runner} of {json.dumps(str(scale_set))}: {describe_ending(ending)}{cut}\n"
        return self._logs.add(f"{runner}.log", head.encode() + output[-KEPT_BYTES:])

    def set_aside(self, scale_set: ScaleSetKey, batch_id: int, content: str, reason: str) -> Path | None:
        """Keep a batch whose handling crashed repeatedly, for a bug report (docs/behaviour.md § 8.4)."""
        kept = {"scale_set": str(scale_set), "batch": batch_id, "reason": reason, "content": content}
        return self._batches.add(f"batch-{batch_id}.json", json.dumps(kept, indent=2).encode())


def open_state_dir(config: Config, clock: Clock) -> tuple[StateDir | None, list[Finding]]:
    """Open the first usable candidate (docs/behaviour.md § 4.2); the findings are warnings.

    Returns None if no directory can be used; the owner id is then `owner.owner_without_state_dir`. Raises
    `HostError` if another process holds the directory, or if the configured one cannot be used.
    """
    failures: list[str] = []
    for path in candidates(config):
        try:
            return StateDir.open(path, clock), _fallback_warning(path, failures)
        except NotPrivate as error:
            raise HostError(f"state-dir cannot be used: {error}", fixes=(error.cure,)) from error
        except OSError as error:
            failures.append(f"{path}: {error.strerror or error}")
    if config.state_dir is not None:
        raise HostError(
            f"state-dir cannot be used: {failures[0]}",
            fixes=("give this user write permission there", "set another directory"),
        )
    return None, [_no_state_dir_warning(failures)]


def kept_output(state_dir: Path, runner: str) -> bytes | None:
    """The kept output of a failed runner, or None. Needs no lock."""
    for path in newest_first(state_dir / LOGS):
        if path.name.endswith(f"-{runner}.log"):
            return read_private(path)
    return None


def kept_runners(state_dir: Path) -> list[str]:
    """The runners whose output is kept, newest first. Needs no lock."""
    names = [path.stem.partition("-")[2] for path in newest_first(state_dir / LOGS)]
    return [name for name in names if name]


def describe_ending(ending: Ending | None) -> str:
    """A text for people: "exit code 7", "signal 9, out of memory"."""
    if ending is None:
        return "it vanished"
    parts = [
        f"exit code {ending.exit_code}" if ending.exit_code is not None else "",
        f"signal {ending.signal}" if ending.signal is not None else "",
        "out of memory" if ending.out_of_memory else "",
    ]
    return ", ".join(filter(None, parts)) or "exit code unknown"


def _fallback_warning(path: Path, failures: list[str]) -> list[Finding]:
    if not failures:
        return []
    text = f"using state directory {path}, because the preferred one cannot be used: {'; '.join(failures)}"
    return [Finding(Level.WARNING, text, ("set state-dir",))]


def _no_state_dir_warning(failures: list[str]) -> Finding:
    return Finding(
        Level.WARNING,
        "no state directory can be used; without it there is no lock against a second daemon, no kept output "
        f"and no admin socket: {'; '.join(failures)}",
        ("set state-dir to a directory that this user may write to",),
    )
