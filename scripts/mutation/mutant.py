"""One small change to one source file."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff


@dataclass(frozen=True, slots=True)
class Mutant:
    """`start` and `end` are byte offsets of the text that `replacement` takes the place of."""

    path: str
    """Relative to the source tree, with forward slashes."""
    line: int
    number: int
    """Tells the mutants of one line apart; counts from 1."""
    change: str
    """For people: "`<` becomes `<=`"."""
    start: int
    end: int
    replacement: str
    lines: range
    """The lines of the statement: a test reaches the mutant if it executes one of them."""

    @property
    def id(self) -> str:
        """`--only` and `--show` take it; it is the same in every run until the file changes."""
        return f"{self.path}:{self.line}.{self.number}"

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.replacement.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        before, after = (text.decode().splitlines(keepends=True) for text in (source, self.applied(source)))
        return "".join(unified_diff(before, after, self.path, self.path, n=2))
