"""The numbers that a benchmark takes as arguments."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """How many of something: at least one."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
