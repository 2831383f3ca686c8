"""A type for arguments that are counts."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """An integer of at least 1; `ArgumentTypeError` for anything else."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
