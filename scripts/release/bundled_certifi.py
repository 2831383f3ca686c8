"""Stands for certifi in the single-file executable, where its file lies in memory."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from bundle_start import certificates


@cache
def where() -> str:
    """The path of the roots."""
    return certificates()


def contents() -> str:
    """The roots in PEM form."""
    return Path(where()).read_text("ascii")
