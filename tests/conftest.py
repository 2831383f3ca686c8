"""What every test module has: a real engine where there is one, and a look at the threads it leaves."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.missing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM = tuple(Path(__file__).parent / name for name in ("system", "conformance"))
THREAD_PATIENCE = 10.0

# Nothing here judges time; `--hypothesis-profile=long` looks twenty times as hard.
settings.register_profile("quick", settings(), deadline=None)
settings.register_profile("long", settings(), deadline=None, max_examples=2000)
settings.load_profile("quick")


def pytest_configure() -> None:
    """A test run that is told to end tears its fixtures down, as with Ctrl-C; and that is heard, by the
    programs that it starts too, where a shell runs the tests in the background."""
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(folder in item.path.parents for folder in SYSTEM):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def engine_url() -> str:
    """The address of a real Docker engine that tests may use as they like."""
    url = os.environ.get("RUNSCALER_TEST_DOCKER_HOST", "")
    return url or missing("a Docker engine: RUNSCALER_TEST_DOCKER_HOST is not set")


@pytest.fixture(scope="module", autouse=True)
def no_thread_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """A module's threads have ended when its last fixture is torn down."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_PATIENCE
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    names = sorted(thread.name for thread in left if thread.is_alive())
    assert not names, f"{request.node.name} left threads running: {', '.join(names)}"
