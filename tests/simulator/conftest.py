"""A simulated GitHub on a free port and a well-behaved client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.scale_set_client import ScaleSetClient

from runscaler.testing.simulator import SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(threads=32) as simulated:
        yield simulated


@pytest.fixture
def client(github: SimulatedGitHub) -> Iterator[ScaleSetClient]:
    """Logged in, with a scale set and a session."""
    made = ScaleSetClient(github)
    with made.http:
        yield made.ready()
