"""A session's position in the message queue: its `lastMessageId`, and whether the ids have started over.

Message ids rise within a session. A poll returns only messages with an id above its `lastMessageId`, which
must never go down (docs/protocol.md § 5.5). A message may be delivered twice. But a *new* message with a
lower id means that the ids have started over and that other messages may stay hidden: only a new session
shows them (fault F55).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Cursor:
    """`last` is the highest id received, 0 before the first message."""

    last: int = 0
    restarted: bool = False
    """Whether the ids have started over."""
    received: tuple[int, ...] = ()
    """The latest ids, oldest first; at most `REMEMBERED`."""

    def follow(self, message_id: int) -> Self:
        """The cursor after that message was received."""
        if message_id in self.received:
            return self
        return replace(
            self,
            last=max(self.last, message_id),
            restarted=self.restarted or message_id < self.last,
            received=(*self.received[1 - REMEMBERED :], message_id),
        )
