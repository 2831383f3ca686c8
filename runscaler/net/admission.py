"""Who may be inside, where there is room for some at once, and some go before others. Nothing waits here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

MOST_OVERTAKEN = 8
"""So many go first in a row while a `LATER` one waits that might have come in; then it does."""


class Turn(Enum):
    FIRST = "first"
    """To finish what has begun in its `USUAL` turn."""
    USUAL = "usual"
    LATER = "later"
    """Lets the others go first."""


@dataclass(eq=False, slots=True)
class Visitor:
    """Somebody who is inside, or waits for that."""

    turn: Turn = Turn.USUAL
    inside: bool = False


@dataclass(slots=True)
class _Line:
    """Visitors with the same turn, in the order in which they came; at most `most` of them are inside."""

    most: int
    inside: int = 0
    waiting: deque[Visitor] = field(default_factory=deque)

    @property
    def may_go_on(self) -> bool:
        return bool(self.waiting) and self.inside < self.most


class Admission:
    """For `most` at once, of whom `most_later` (None: all) may be `LATER` ones. Not thread-safe.

    Nobody stays outside where there is room for one of its kind, and nobody waits for ever: those with the
    same turn go in the order in which they came, `LATER` ones at the latest after `MOST_OVERTAKEN` others.
    """

    def __init__(self, most: int, most_later: int | None = None) -> None:
        self._most = most
        self._lines = {turn: _Line(most) for turn in Turn}
        if most_later is not None:
            self._lines[Turn.LATER].most = most_later
        self._overtaken = 0

    @property
    def waiting(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    def come(self, visitor: Visitor) -> list[Visitor]:
        """Returns who comes in because of that: the visitor, or nobody."""
        self._lines[visitor.turn].waiting.append(visitor)
        return self._admitted()

    def leave(self, visitor: Visitor) -> list[Visitor]:
        """From inside, or without having been there. Returns who comes in because of that."""
        line = self._lines[visitor.turn]
        if visitor.inside:
            visitor.inside = False
            line.inside -= 1
        else:
            line.waiting.remove(visitor)
        return self._admitted()

    def _admitted(self) -> list[Visitor]:
        admitted = []
        while (line := self._next()) is not None:
            visitor = line.waiting.popleft()
            visitor.inside = True
            line.inside += 1
            admitted.append(visitor)
        return admitted

    def _next(self) -> _Line | None:
        if sum(line.inside for line in self._lines.values()) >= self._most:
            return None
        ready = [line for line in self._lines.values() if line.may_go_on]
        later = self._lines[Turn.LATER]
        if later not in ready:
            return ready[0] if ready else None
        if ready[0] is not later and self._overtaken < MOST_OVERTAKEN:
            self._overtaken += 1
            return ready[0]
        self._overtaken = 0
        return later
