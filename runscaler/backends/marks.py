"""The marks on a resource, parsed where they come in: what is no mark of ours goes no further.

Whoever reaches the engine or the files can write any mark, also our owner id. So a runner's name can be no
path, a number has 64 bits, and a key is a URL and two names of bounded length. What the marks say is still
only a claim: `actors.unused_registrations` asks for a second source before it removes anything at GitHub.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from loguru import logger
from pydantic import AfterValidator, Field

from runscaler.names import RunnerName, ScaleSetKey, SlotNumber
from runscaler.untrusted import LARGEST_NUMBER, in_one_line, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNNER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
HIGHEST_SLOT = 999_999
"""Well above the largest max-runners with its surplus slots."""
LONGEST_URL, LONGEST_NAME = 2048, 512
HIGHEST_PID = 2**31 - 1
MOST_NAMED = 1000
"""So many unreadable resources are remembered, each by its id, to be warned about once."""


class UnreadableMarks(ValueError):
    """The marks are no runner's of ours. The message says what is wrong, on one line."""


def runner_name(text: str) -> RunnerName:
    """Raises `UnreadableMarks`."""
    if not RUNNER.match(text):
        raise UnreadableMarks(f"{in_one_line(text, 80)!r} is no name of a runner")
    return RunnerName(text)


def slot_number(text: str) -> SlotNumber:
    """Raises `UnreadableMarks`."""
    number = whole_number(text, HIGHEST_SLOT)
    if number is None:
        raise UnreadableMarks(f"{in_one_line(text, 40)!r} is no number of a slot")
    return SlotNumber(number)


def runner_id(text: str) -> int:
    """0 for an empty text: it is not known. Raises `UnreadableMarks`."""
    number = whole_number(text) if text else 0
    if number is None:
        raise UnreadableMarks(f"{in_one_line(text, 40)!r} is no id of a runner")
    return number


def scale_set_key(url: str, group: str, name: str) -> ScaleSetKey:
    """Raises `UnreadableMarks`. Empty parts are as good as others: they belong to no scale set."""
    _check_text(group, LONGEST_NAME, "name of a runner group")
    _check_text(name, LONGEST_NAME, "name of a scale set")
    _check_url(url)
    return ScaleSetKey.of(url, group, name)


def _check_text(text: str, longest: int, what: str) -> None:
    if len(text) > longest or not text.isprintable():
        raise UnreadableMarks(f"{in_one_line(text, 80)!r} is no {what}")


def _check_url(url: str) -> None:
    _check_text(url, LONGEST_URL, "URL")
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise UnreadableMarks(f"{in_one_line(url, 80)!r} is no URL") from None


def _checked_url(url: str) -> str:
    _check_url(url)
    return url


def _runner_or_empty(text: str) -> str:
    return runner_name(text) if text else text


def _checked_name(text: str) -> str:
    _check_text(text, LONGEST_NAME, "name")
    return text


UrlMark = Annotated[str, AfterValidator(_checked_url)]
NameMark = Annotated[str, AfterValidator(_checked_name)]
RunnerMark = Annotated[str, AfterValidator(_runner_or_empty)]
"""The name of a runner, or empty where there is none yet."""
SlotMark = Annotated[int, Field(ge=0, le=HIGHEST_SLOT)]
IdMark = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
PidMark = Annotated[int, Field(ge=0, le=HIGHEST_PID)]
TimeMark = Annotated[float, Field(ge=0, le=LARGEST_NUMBER, allow_inf_nan=False)]


class UnreadableResources:
    """Those whose marks cannot be read: left alone, and warned about once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: set[str] = set()

    def warn(self, found: Iterable[tuple[str, str]]) -> None:
        """`found` are ids and reasons; those that were not named yet make one warning."""
        with self._lock:
            new = [(one, why) for one, why in found if one not in self._named]
            room = max(0, MOST_NAMED - len(self._named))
            new = new[:room]
            self._named.update(one for one, _ in new)
        if new:
            shown = "; ".join(f"{in_one_line(one, 300)}: {why}" for one, why in new[:5])
            more = f"; and {len(new) - 5} more" if len(new) > 5 else ""
            logger.warning("left alone, because what marks it as ours cannot be read: {}{}", shown, more)
