"""Reads what a journal recorded: the messages that one scale set got from GitHub (docs/behaviour.md § 10.5).

The files may come from anybody: what is not as it should be is skipped, and counted.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from runscaler.github.messages import JobAssigned, JobAvailable, JobCompleted, JobStarted, Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from runscaler.github.messages import JobEvent

LONGEST_FILE = 16 * 2**20
MOST_FILES = 10_000
LARGEST_NUMBER = 2**53
LATEST = 2.0**40
LONGEST_PAUSE = 1.0
NEWER, OLDER = ".messages.jsonl", ".messages.old.jsonl"
KINDS: dict[str, type[JobEvent]] = {
    one.__name__: one for one in (JobAvailable, JobAssigned, JobStarted, JobCompleted)
}


class BadRecording(ValueError):
    """The file holds no recorded message; the text says why."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """`pause` is how long to wait before it, in seconds. `statistics` is None if it told none."""

    pause: float
    statistics: Statistics | None
    events: tuple[JobEvent, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """`skipped` counts the lines that could not be read. `offers`: its jobs are offered, not assigned."""

    scale_set: str
    messages: tuple[RecordedMessage, ...]
    skipped: int = 0

    @property
    def offers(self) -> bool:
        return any(isinstance(event, JobAvailable) for one in self.messages for event in one.events)

    def seconds_run(self, job_id: str) -> float:
        """How long the job runs when this is played: from its start to its end, else to the end."""
        seconds, running = 0.0, False
        for message in self.messages:
            seconds += message.pause if running else 0.0
            for event in message.events:
                if event.job_id == job_id:
                    running = isinstance(event, JobStarted) or running
                    if isinstance(event, JobCompleted) and running:
                        return seconds
        return seconds


def read_recordings(path: Path) -> tuple[Recording, ...]:
    """The recordings in an archive of `runner report`, or the one in a file of a journal. Of a ring that is
    two files it takes both. Raises `BadRecording`."""
    try:
        files = dict(_members(path)) if tarfile.is_tarfile(path) else dict(_ring(path))
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise BadRecording(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    rings: defaultdict[str, dict[bool, bytes]] = defaultdict(dict)
    for name, content in files.items():
        rings[name.removesuffix(NEWER).removesuffix(OLDER)][name.endswith(NEWER)] = content
    read = [_recording([ring[newer] for newer in sorted(ring)]) for _, ring in sorted(rings.items())]
    found = tuple(one for one in read if one.messages)
    if not found:
        raise BadRecording(f"{path} holds no recorded message")
    return found


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for number, member in enumerate(archive):
            if number >= MOST_FILES:
                return
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and member.name.endswith((NEWER, OLDER)):
                yield member.name, file.read(LONGEST_FILE)


def _ring(path: Path) -> Iterator[tuple[str, bytes]]:
    beside = path.with_name(path.name.removesuffix(NEWER) + OLDER) if path.name.endswith(NEWER) else None
    for one in (path, beside):
        if one is path or (one is not None and one.is_file()):
            with one.open("rb") as file:
                yield one.name, file.read(LONGEST_FILE)


def _recording(files: Iterable[bytes]) -> Recording:
    """The files of one ring, the older first."""
    name, skipped, before, last = "", 0, None, object()
    messages: list[RecordedMessage] = []
    for line in (line for content in files for line in content.splitlines() if line.strip()):
        entry = _object(line)
        kind = entry.get("kind")
        if kind == "journal":
            name = _text(entry.get("scale_set")) or name
        elif kind not in ("message", "session"):
            skipped += 1
        elif kind == "session" or entry.get("id") != last:  # else it was delivered again
            at = _number(entry.get("at"))
            pause = min(LONGEST_PAUSE, max(0.0, at - (at if before is None else before)))
            before, last = at, entry.get("id")
            messages.append(RecordedMessage(pause, _statistics(entry.get("statistics")), _events(entry)))
    return Recording(name, tuple(messages), skipped)


def _object(line: bytes) -> dict[str, object]:
    with suppress(ValueError, RecursionError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return {}


def _events(entry: dict[str, object]) -> tuple[JobEvent, ...]:
    listed = entry.get("events")
    found = (_event(one) for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
    return tuple(event for event in found if event is not None)


def _event(value: dict[str, object]) -> JobEvent | None:
    kind = KINDS.get(_text(value.get("type")))
    if kind is None or not _text(value.get("job_id")):
        return None
    found: dict[str, object] = {"job_id": value["job_id"]}
    for one in fields(kind):
        given = value.get(one.name)
        if one.name == "request_labels" and isinstance(given, list):
            found[one.name] = tuple(map(_text, given))
        elif one.name.endswith("_at"):
            found[one.name] = _number(given) or None
        elif isinstance(given, str) if isinstance(one.default, str) else _is_count(given):
            found[one.name] = given
    return _made(kind, found)


def _made(kind: Callable[..., JobEvent], values: dict[str, object]) -> JobEvent:
    return kind(**values)


def _statistics(value: object) -> Statistics | None:
    if not isinstance(value, dict):
        return None
    names = {one.name for one in fields(Statistics)}
    return Statistics(
        **{str(name): count for name, count in value.items() if name in names and _is_count(count)}
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_NUMBER


def _number(value: object) -> float:
    """Seconds since the epoch; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < LATEST:
        return 0.0
    return float(value)
