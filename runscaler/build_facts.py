"""Which build this is."""

from __future__ import annotations

import importlib


def commit_and_date() -> tuple[str, str]:
    """From the module `runscaler._build`, which only a release build contains."""
    try:
        build = importlib.import_module("runscaler._build")
    except ModuleNotFoundError:
        return "unknown", "unknown"
    return str(build.COMMIT), str(build.DATE)
