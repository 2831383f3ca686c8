"""For every test module: a real engine if there is one, and a check for threads that it leaves running."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from loguru import logger
from support.missing import missing
from support.shown_secrets import ShownSecrets

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM = tuple(Path(__file__).parent / name for name in ("system", "conformance"))
THREAD_TIMEOUT = 10.0

# No test judges time; `--hypothesis-profile=long` tries twenty times as many examples.
settings.register_profile("quick", settings(), deadline=None)
settings.register_profile("long", settings(), deadline=None, max_examples=2000)
settings.load_profile("quick")


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGTERM tear the fixtures down as Ctrl-C does.

    The signals get a handler because a shell that runs the tests in the background ignores some of them, as
    `nohup` does; the programs that the tests start would inherit that.
    """
    # No daemon of a test asks the real one for a newer release.
    os.environ["RUNNER_RELEASES"] = "http://127.0.0.1:9/o/r/releases"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.pluginmanager.register(ShownSecrets(), "shown-secrets")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(folder in item.path.parents for folder in SYSTEM):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def engine_url() -> str:
    """The address of a real Docker engine for tests; skips the test if there is none."""
    url = os.environ.get("RUNSCALER_TEST_DOCKER_HOST", "")
    return url or missing("a Docker engine: RUNSCALER_TEST_DOCKER_HOST is not set")


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What is logged at info and above, a line each."""
    lines: list[str] = []
    logger.enable("runscaler")
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", format="{message}")
    yield lines
    logger.remove(sink)
    logger.disable("runscaler")


@pytest.fixture(scope="module", autouse=True)
def no_thread_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check that all threads of a module have ended when its last fixture has been torn down."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_TIMEOUT
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    names = sorted(thread.name for thread in left if thread.is_alive())
    assert not names, f"{request.node.name} left threads running: {', '.join(names)}"
