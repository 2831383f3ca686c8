"""What this machine lacks: the test is skipped, or fails in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """End the test because this machine lacks `what`: a skip, or a failure with CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing in CI: {what}", pytrace=False)
    pytest.skip(f"missing here: {what}")
