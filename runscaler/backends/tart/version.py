"""The version of tart, and which versions can be used (docs/tart.md § 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERS = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?")
MINIMUM = (2, 28, 3)
"""In older versions an exec without a terminal could abort."""
RECOMMENDED = (2, 30, 6)
"""In older versions an exec failed if the path of TART_HOME was long."""


@dataclass(frozen=True, slots=True)
class TartVersion:
    """`numbers` is empty if the text has none, as that of a self-built tart."""

    text: str
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, output: bytes) -> TartVersion:
        text = " ".join(output.decode(errors="replace").split())
        found = _NUMBERS.search(text)
        return cls(text, tuple(int(part or 0) for part in found.groups()) if found else ())

    @property
    def is_fake(self) -> bool:
        """Is it the fake tart of the tests and the demo?"""
        return "fake" in self.text


def dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
