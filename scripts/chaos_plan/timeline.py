"""What happened when, in seconds from the start of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.clock import Clock


@dataclass
class Timeline:
    """Starts when it is made. Used by one thread."""

    clock: Clock
    lines: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    @property
    def now(self) -> float:
        return self.clock.monotonic() - self._began

    def note(self, text: str) -> None:
        self.lines.append((self.now, text))

    def __str__(self) -> str:
        return "\n".join(f"{at:8.2f} s  {text}" for at, text in self.lines)
