from __future__ import annotations

import pytest
from loguru import logger
from support.tart import QUICK, TartRig, short_folder


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


@pytest.fixture
def quick(rig):
    """A backend with short timeouts."""
    backend = rig.open(timings=QUICK)
    yield backend
    backend.close()


@pytest.fixture
def said():
    """The lines logged during the test, each with its level."""
    lines = []
    logger.enable("runscaler")
    sink = logger.add(lambda line: lines.append(str(line)), level="DEBUG", format="{level} {message} {extra}")
    yield lines
    logger.remove(sink)
    logger.disable("runscaler")
