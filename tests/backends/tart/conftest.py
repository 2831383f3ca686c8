from __future__ import annotations

import pytest
from support.tart import TartRig, short_folder


@pytest.fixture
def folder():
    with short_folder() as folder:
        yield folder


@pytest.fixture
def rig(folder):
    rig = TartRig(folder)
    yield rig
    rig.close()


@pytest.fixture
def backend(rig):
    backend = rig.open()
    yield backend
    backend.close()
