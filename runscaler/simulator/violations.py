"""Violations of the protocol by clients: the rules V1 to V12 (docs/protocol.md § 9.2) and the record."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.simulator.refusals import Refusal

MOST_KEPT = 10_000

RULES = {
    1: "scheme and token are right for the call",
    2: "the token belongs to this scope",
    3: "User-Agent is present",
    4: "api-version is given where it is required",
    5: "bodies are valid, and sent only where one belongs",
    6: "X-ScaleSetMaxCapacity is an integer >= 0",
    7: "lastMessageId never decreases, one poll at a time",
    8: "messages are deleted after delivery, and all of them",
    9: "nothing is used after its end, no name twice",
    10: "a JIT configuration registers once",
    11: "Retry-After is obeyed, refreshes and JIT calls are bounded",
    12: "nothing is left behind at the end",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` is the number after the V; `at` is in seconds since the epoch."""

    rule: int
    text: str
    at: float

    def __str__(self) -> str:
        return f"V{self.rule} ({RULES[self.rule]}): {self.text}"


class Violations:
    """The recorded violations; `on_violation` is called with each new one."""

    def __init__(self, clock: Clock, on_violation: Callable[[Violation], None], *, lenient: bool) -> None:
        self._clock = clock
        self._noticed = on_violation
        self._lenient = lenient
        self._kept: deque[Violation] = deque(maxlen=MOST_KEPT)

    def record(self, rule: int, text: str) -> None:
        violation = Violation(rule, text, self._clock.wall())
        self._kept.append(violation)
        self._noticed(violation)

    def refuse(self, rule: int, refusal: Refusal) -> None:
        """Record the violation and, unless the simulator is lenient, raise the refusal."""
        self.record(rule, refusal.message)
        if not self._lenient:
            raise refusal

    def all(self) -> tuple[Violation, ...]:
        return tuple(self._kept)

    def clear(self) -> None:
        self._kept.clear()
