from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What is logged at info and above, a line each."""
    lines: list[str] = []
    logger.enable("runscaler")
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", format="{message}")
    yield lines
    logger.remove(sink)
    logger.disable("runscaler")
