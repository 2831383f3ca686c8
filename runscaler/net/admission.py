"""Who may be inside, where there is room for some at once, and some let the others go first. Nothing waits
here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MOST_OVERTAKEN = 8
"""So many go first in a row while a patient one waits that might have come in; then it does."""


@dataclass(eq=False, slots=True)
class Visitor:
    """Somebody who is inside, or waits for that."""

    patient: bool = False
    """Lets those go first that are not."""
    inside: bool = False


@dataclass(slots=True)
class _Line:
    """Visitors of one kind, in the order in which they came; at most `most` of them are inside."""

    most: int
    inside: int = 0
    waiting: deque[Visitor] = field(default_factory=deque)

    @property
    def may_go_on(self) -> bool:
        return bool(self.waiting) and self.inside < self.most


class Admission:
    """For `most` at once, of whom `most_patient` (None: all) may be patient ones. Not thread-safe.

    Nobody stays outside where there is room for one of its kind, and nobody waits for ever: those of a kind
    go in the order in which they came, patient ones at the latest after `MOST_OVERTAKEN` others.
    """

    def __init__(self, most: int, most_patient: int | None = None) -> None:
        self._most = most
        self._prompt = _Line(most)
        self._patient = _Line(most if most_patient is None else most_patient)
        self._overtaken = 0

    @property
    def waiting(self) -> int:
        return len(self._prompt.waiting) + len(self._patient.waiting)

    def come(self, visitor: Visitor) -> list[Visitor]:
        """Returns who comes in because of that: the visitor, or nobody."""
        self._line(visitor).waiting.append(visitor)
        return self._admitted()

    def leave(self, visitor: Visitor) -> list[Visitor]:
        """From inside, or without having been there. Returns who comes in because of that."""
        line = self._line(visitor)
        if visitor.inside:
            visitor.inside = False
            line.inside -= 1
        else:
            line.waiting.remove(visitor)
        return self._admitted()

    def _line(self, visitor: Visitor) -> _Line:
        return self._patient if visitor.patient else self._prompt

    def _admitted(self) -> list[Visitor]:
        admitted = []
        while (line := self._next()) is not None:
            visitor = line.waiting.popleft()
            visitor.inside = True
            line.inside += 1
            admitted.append(visitor)
        return admitted

    def _next(self) -> _Line | None:
        if self._prompt.inside + self._patient.inside >= self._most:
            return None
        if not self._patient.may_go_on:
            return self._prompt if self._prompt.may_go_on else None
        if self._prompt.may_go_on and self._overtaken < MOST_OVERTAKEN:
            self._overtaken += 1
            return self._prompt
        self._overtaken = 0
        return self._patient
