"""How long to wait after failures: of starts (docs/behaviour.md § 5.3) and of actors (docs/architecture.md § Supervision)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling delays: `first`, twice that, …, at most `cap` seconds."""

    first: float = 1.0
    cap: float = 60.0

    def delay(self, failures: int, jitter: float = 0.0) -> float:
        """Seconds after the `failures`-th failure in a row (0: no wait); `jitter` in [0, 1] takes
        away up to half, so that many who failed together do not come back together."""
        if failures <= 0:
            return 0.0
        full = min(self.cap, self.first * 2.0 ** min(failures - 1, 30))
        return full * (1 - jitter / 2)


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """A parent's patience with one child: `limit` restarts within `window` seconds."""

    limit: int = 5
    window: float = 60.0
    first: float = 1.0

    def delay(self, crashes: Sequence[float]) -> float | None:
        """Seconds to wait before the next start, None to give up.

        `crashes` are monotonic seconds, newest last, the one just seen included.
        """
        recent = self.recent(crashes)
        return None if len(recent) > self.limit else self.first * 2.0 ** (len(recent) - 1)

    def recent(self, crashes: Sequence[float]) -> tuple[float, ...]:
        """Those that still count against the child."""
        return tuple(at for at in crashes if at > crashes[-1] - self.window)
