"""How much the sweeps of a backend would free now, as `runner clean --dry-run` and `runner why` say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.backends.base import SweepTarget


def known_bytes(targets: Iterable[SweepTarget]) -> int:
    """Of those whose size is known."""
    return sum(target.bytes or 0 for target in targets)
