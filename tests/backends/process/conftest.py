from __future__ import annotations

import pytest
from support.processes import ProcessRig, zombies

from runscaler.names import new_owner_id


@pytest.fixture
def owner():
    """Of one test's runners, so that none meets what another one left."""
    return new_owner_id()


@pytest.fixture(params=["pidfds", "polling"])
def process_rig(request, tmp_path):
    """A rig on which nothing may be left at the end: no directory, no process and no zombie.

    Twice: with pidfds, and as on systems that have none.
    """
    options = {} if request.param == "pidfds" else {"exit_descriptor": lambda _pid: None}
    rig = ProcessRig(tmp_path / "state", **options)
    yield rig
    assert rig.leftovers() == []
    assert zombies() == []
