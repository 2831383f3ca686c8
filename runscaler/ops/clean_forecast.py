"""What `runner clean` would free on this host, told within a few seconds or not at all: for `runner why`."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from runscaler.backends.base import LocalDisks
from runscaler.errors import BackendDown, BackendError
from runscaler.ops.clean import clean, context_of
from runscaler.threads import start_thread

if TYPE_CHECKING:
    from runscaler.backends.base import Backend
    from runscaler.clock import Clock
    from runscaler.config.model import Config

SECONDS = 5.0
"""A plan may take minutes, as engines add up the sizes of their images; whoever asks why waits no longer."""


def bytes_to_free(config: Config, clock: Clock, seconds: float = SECONDS) -> int | None:
    """At least so many bytes become free on the disks of this host; None if that is not known within
    `seconds`. Raises nothing; what takes longer goes on, on a daemon thread."""
    answers: SimpleQueue[int | None] = SimpleQueue()
    try:
        start_thread(
            lambda: answers.put(_planned(config, clock)), "clean forecast", lambda _: answers.put(None)
        )
        return answers.get(timeout=seconds)
    except (Empty, RuntimeError):
        return None


def _planned(config: Config, clock: Clock) -> int | None:
    """None if no sweep could be planned."""
    plans = list(clean(config.scale_sets, context_of(config, clock), dry_run=True, wanted=_is_here))
    told = [one.bytes for one in plans if not one.error and one.targets is not None]
    return sum(told) if told else None


def _is_here(backend: Backend) -> bool:
    """Does it fill disks of this host? Raises `BackendDown`."""
    try:
        return isinstance(backend, LocalDisks) and bool(backend.disk_paths())
    except BackendDown:
        raise
    except BackendError:
        return False
