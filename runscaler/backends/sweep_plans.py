"""How much the sweeps of a backend would free now, as `runner clean --dry-run` and `runner why` say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.backends.base import Sweep, SweepTarget


def known_bytes(targets: Iterable[SweepTarget]) -> int:
    """Of those whose size is known."""
    return sum(target.bytes or 0 for target in targets)


def bytes_to_free(sweeps: Iterable[Sweep]) -> int:
    """At least so many bytes become free if these sweeps run now. May block for minutes. Raises
    `BackendError` and `Interrupted`."""
    return sum(known_bytes(sweep.plan()) for sweep in sweeps if sweep.plan is not None)
