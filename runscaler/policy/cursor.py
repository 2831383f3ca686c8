"""Where in the message queue a session is: `lastMessageId`, and whether ids have begun again.

Ids go up within a session, and a poll hides what lies at or before its `lastMessageId`, which must
not go down (docs/protocol.md § 5.5). A message that comes again is known; a new one with a lower id means
that more of its kind may be hidden: only a new session shows them (fault F55).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Cursor:
    """`last` is 0 before the first message: the poll then names none."""

    last: int = 0
    begun_again: bool = False
    heard: tuple[int, ...] = ()

    def follow(self, message: int) -> Self:
        """After `message` was received."""
        if message in self.heard:
            return self
        return replace(
            self,
            last=max(self.last, message),
            begun_again=self.begun_again or message < self.last,
            heard=(*self.heard[1 - REMEMBERED :], message),
        )
