"""How long to wait after failures: before a retry (docs/behaviour.md § 5.3), and before the restart of a
crashed actor (docs/architecture.md § Supervision).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds that start with `first` and double up to `cap`."""

    first: float = 1.0
    cap: float = 60.0

    def delay(self, failures: int, jitter: float = 0.0) -> float:
        """Seconds to wait after that many failures in a row; 0 if there was none.

        `jitter`, between 0 and 1, shortens the delay by up to half, so that callers that failed together do
        not all retry at the same moment.
        """
        if failures <= 0:
            return 0.0
        full = min(self.cap, self.first * 2.0 ** min(failures - 1, 30))
        return full * (1 - jitter / 2)


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """How often a child is restarted: `limit` times within `window` seconds, first after `first` seconds."""

    limit: int = 5
    window: float = 60.0
    first: float = 1.0

    def delay(self, crashes: Sequence[float]) -> float | None:
        """Seconds to wait before the next restart, or None to give up.

        `crashes` are the child's crashes in monotonic seconds, the latest last.
        """
        recent = self.recent(crashes)
        return None if len(recent) > self.limit else self.first * 2.0 ** (len(recent) - 1)

    def recent(self, crashes: Sequence[float]) -> tuple[float, ...]:
        """The crashes within `window` seconds of the latest; earlier ones no longer count."""
        return tuple(at for at in crashes if at > crashes[-1] - self.window)
