"""State that outlives an actor, with a state directory and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.names import RunnerName, ScaleSetKey
from runscaler.ops.state_dir import StateDir
from runscaler.ops.state_store import StateStore
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = ScaleSetKey("https://github.com/my-org", "default", "linux")
OTHER = ScaleSetKey("https://github.com/my-org", "default", "windows")
ONE, TWO = RunnerName("runner-00000001"), RunnerName("runner-00000002")


@pytest.fixture(params=["with a state directory", "without"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    if request.param == "without":
        yield StateStore(None)
        return
    with StateDir.open(tmp_path / "state", FakeClock()) as state_dir:
        yield StateStore(state_dir)


def test_registrations_are_known_until_they_are_gone(store: StateStore) -> None:
    for runner in (ONE, TWO, TWO):
        store.note_registration(KEY, runner)
    store.note_registration(OTHER, ONE)
    store.clear_registration(KEY, ONE)
    store.clear_registration(KEY, ONE)

    assert (store.noted_registrations(KEY), store.noted_registrations(OTHER)) == ([TWO], [ONE])
