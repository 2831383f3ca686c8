"""The journal of each scale set: what GitHub told and what was decided, for a bug report
(docs/behaviour.md § 10.5).

A line of JSON for each entry, in two rings: `messages` (the kinds "session" and "message") and `decisions`
("plan" and "state"), so that neither drives the other out. A ring is two files; when the newer one is full it
takes the place of the older one, so that the last `ENTRIES` are always there. Nothing is synced; failures are
logged once and never raised.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.config.secret_forms import mask_secret_forms
from runscaler.github.messages import JobMessage
from runscaler.ops.records import digest
from runscaler.private_files import TooLarge, append_private, private_directory, read_private
from runscaler.threads import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from runscaler.clock import Clock
    from runscaler.names import ScaleSetKey

JOURNAL = "journal"
ENTRIES = 100
"""At least so many entries of a ring are kept, and at most twice as many."""
PERIOD = 2.0
"""Seconds between writes."""
FILE_BYTES = 4 * 2**20
"""A file that has grown beyond this is full, too."""
LARGEST_FILE = 16 * 2**20
"""A larger one is not ours."""
RINGS = {"session": "messages", "message": "messages", "plan": "decisions", "state": "decisions"}
"""The ring of each kind of entry."""


class Journal:
    """Thread-safe. `append` only remembers: a thread writes every `PERIOD`, only what will be kept, so that
    neither a slow disk nor many messages slow down a scale set. A process that is killed loses the last ones.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory, self._clock = directory, clock
        self._lock = threading.Lock()
        self._pending: dict[tuple[ScaleSetKey, str], deque[dict[str, object]]] = {}
        self._rings: dict[tuple[ScaleSetKey, str], _Ring] = {}
        """Used under `_writing`, like `_failing`."""
        self._writing = threading.Lock()
        self._failing = False
        self._due, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def append(self, key: ScaleSetKey, kind: str, content: Mapping[str, object]) -> None:
        """`content` is plain data and values of `github.messages`; `kind` is one of `RINGS`."""
        entry = {"at": round(self._clock.wall(), 3), "kind": kind, **content}
        with self._lock:
            if self._closed.is_set():
                return
            self._pending.setdefault((key, RINGS[kind]), deque(maxlen=ENTRIES)).append(entry)
            if self._thread is None:
                self._thread = keep_running(self._run, "journal")
        self._due.set()

    def flush(self) -> None:
        """Write what is not written yet."""
        with self._writing:
            with self._lock:
                pending, self._pending = self._pending, {}
            for (key, name), entries in pending.items():
                self._write(key, name, entries)

    def close(self) -> None:
        """Write what is not written yet, and end the thread. Harmless if repeated."""
        with self._lock:
            self._closed.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._due.wait()
            self._due.clear()
            self._closed.wait(PERIOD)
            self.flush()

    def _write(self, key: ScaleSetKey, name: str, entries: Iterable[Mapping[str, object]]) -> None:
        try:
            ring = self._rings.get((key, name)) or self._open(key, name)
            for entry in entries:
                ring.append(entry)
        except (OSError, ValueError, TypeError) as error:
            if not self._failing:
                logger.warning("cannot write the journal of {}: {}; reports will lack it", key, error)
            self._failing = True
        else:
            self._failing = False

    def _open(self, key: ScaleSetKey, name: str) -> _Ring:
        private_directory(self._directory)
        head = {"kind": "journal", "url": key.url, "group": key.group, "scale_set": key.name}
        ring = _Ring(self._directory / f"{digest(key)}.{name}.jsonl", head)
        self._rings[key, name] = ring
        return ring


@dataclass(slots=True)
class _Ring:
    """`head` is the first line of each file."""

    path: Path
    head: Mapping[str, object]
    entries: int = field(init=False)
    """In the newer file; as many as make it full if there is none."""

    def __post_init__(self) -> None:
        try:
            content = read_private(self.path, LARGEST_FILE)
        except (FileNotFoundError, TooLarge):
            self.entries = ENTRIES
            return
        self.entries = max(0, content.count(b"\n") - 1)
        if not content.endswith(b"\n"):
            self._write(b"\n")  # an earlier process was killed amid its last entry

    def append(self, entry: Mapping[str, object]) -> None:
        text = _line(entry)
        if self.entries >= ENTRIES:
            self._turn()
        size = self._write(text)
        self.entries = ENTRIES if size > FILE_BYTES else self.entries + 1

    def _turn(self) -> None:
        """Begin a new file."""
        if self.path.exists():
            self.path.replace(older(self.path))
        self._write(_line(self.head))
        self.entries = 0

    def _write(self, text: bytes) -> int:
        """Append to the newer file; returns its size."""
        return append_private(self.path, text)


def older(path: Path) -> Path:
    """The other file of the ring."""
    return path.with_suffix(".old.jsonl")


def journal_files(state_dir: Path) -> list[Path]:
    """All files of all journals in a state directory, the older one of each ring first. Needs no lock."""
    directory = state_dir / JOURNAL
    newer = sorted(path for path in directory.glob("*.jsonl") if not path.name.endswith(".old.jsonl"))
    return [path for each in newer for path in (older(each), each) if path.is_file()]


def _plain(value: object) -> dict[str, object]:
    """A value of `github.messages`, without the fields that have their default; events name their type."""
    kind = type(value)
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} has no place in a journal")
    names, defaults, read, named = _form(kind)
    values = zip(names, read(value), defaults, strict=True)
    return named | {name: content for name, content, default in values if content != default}


_ENCODE = json.JSONEncoder(default=_plain, separators=(",", ":"), check_circular=False).encode


def _line(entry: Mapping[str, object]) -> bytes:
    return mask_secret_forms(_ENCODE(entry) + "\n").encode("ascii")


@cache
def _form(
    kind: type,
) -> tuple[tuple[str, ...], tuple[object, ...], Callable[[object], tuple[object, ...]], dict[str, object]]:
    """The names of the fields, their defaults, a function that reads them, and what names the type."""
    names = tuple(one.name for one in fields(kind))
    defaults = tuple(None if one.default is MISSING else one.default for one in fields(kind))
    return (
        names,
        defaults,
        attrgetter(*names),
        {"type": kind.__name__} if issubclass(kind, JobMessage) else {},
    )
