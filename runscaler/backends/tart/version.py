"""Which tart this is, and whether that will do (docs/tart.md § 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
MINIMUM = (2, 28, 3)
"""Before it an exec without a terminal could abort."""
RECOMMENDED = (2, 30, 6)
"""Before it an exec failed where TART_HOME's path is long."""


@dataclass(frozen=True, slots=True)
class TartVersion:
    """`numbers` is empty where the text holds none: a build of somebody's own."""

    text: str
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, said: bytes) -> TartVersion:
        text = " ".join(said.decode(errors="replace").split())
        found = _NUMBERS.search(text)
        return cls(text, tuple(int(part or 0) for part in found.groups()) if found else ())

    @property
    def is_fake(self) -> bool:
        """The one of tests and the demo."""
        return "fake" in self.text


def dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
