"""A real engine, an image with a shell on it, and backends that leave nothing behind."""

from __future__ import annotations

import pytest
from support.engine import DockerRig, connect, shell_image
from support.private_engine import PrivateEngine

from runscaler.names import new_owner_id


@pytest.fixture(scope="session")
def image(engine_url):
    return shell_image(engine_url)


@pytest.fixture
def rig(engine_url, image):
    rig = DockerRig(engine_url, image)
    yield rig
    with connect(engine_url) as api:
        for name in rig.leftovers():
            api.remove_container(name, force=True)


@pytest.fixture
def owner():
    return new_owner_id()


@pytest.fixture
def private_engine():
    engine = PrivateEngine()
    engine.start()
    yield engine
    engine.close()
