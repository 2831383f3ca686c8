"""The line about a newer release at the daemon's start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loguru import logger
from support.releases import ReleaseServer

import runscaler
from runscaler.cli.run import look_for_release
from runscaler.metrics import own
from runscaler.metrics.metrics import Metrics
from runscaler.ops.update.announcement import announce_newer_release

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    with ReleaseServer() as server:
        monkeypatch.setenv("RUNNER_RELEASES", server.address)
        yield server


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Warnings and worse."""
    lines: list[str] = []
    logger.enable("runscaler")
    number = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(number)
    logger.disable("runscaler")


def test_a_newer_release_is_said_once_with_the_command(releases: ReleaseServer, said: list[str]) -> None:
    releases.publish("0.9.0")
    releases.publish("0.10.0")

    assert announce_newer_release(runscaler.__version__) is True

    (line,) = said
    assert f"release 0.10.0 is newer than this, {runscaler.__version__}: " in line


@pytest.mark.parametrize("version", [runscaler.__version__, "0.0.9", "9.0.0-rc.1"])
def test_nothing_is_said_without_a_newer_release(
    releases: ReleaseServer, said: list[str], version: str
) -> None:
    releases.publish(version)

    assert announce_newer_release(runscaler.__version__) is False

    assert said == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/o/r/releases", "ftp://x"])
def test_a_host_that_cannot_be_asked_is_no_trouble(
    monkeypatch: pytest.MonkeyPatch, said: list[str], address: str
) -> None:
    monkeypatch.setenv("RUNNER_RELEASES", address)

    assert announce_newer_release(runscaler.__version__) is None

    assert said == []


@pytest.mark.parametrize(("version", "available"), [("99.0.0", 1), (runscaler.__version__, 0)])
def test_the_metrics_say_whether_there_is_a_newer_release(
    releases: ReleaseServer, version: str, available: int
) -> None:
    releases.publish(version)
    metrics = Metrics()

    look_for_release(metrics)

    assert metrics.published()[own.UPDATE_AVAILABLE] == {(): available}


def test_the_metrics_say_nothing_where_the_host_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_RELEASES", "http://127.0.0.1:9/o/r/releases")
    metrics = Metrics()

    look_for_release(metrics)

    assert own.UPDATE_AVAILABLE not in metrics.published()
