"""An engine of its own for these tests, which may remove all that lies on it, and find it empty."""

from __future__ import annotations

import pytest
from support.engine import DockerRig, connect, shell_image
from support.private_engine import PrivateEngine


@pytest.fixture(scope="module")
def own_engine():
    """Not for the whole run: other tests count the children of this process."""
    engine = PrivateEngine()
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def image(own_engine):
    return shell_image(own_engine.url)


@pytest.fixture
def rig(own_engine, image):
    return DockerRig(own_engine.url, image)


@pytest.fixture
def api(own_engine):
    with connect(own_engine.url) as api:
        yield api
        for listed in api.containers(all=True):
            api.remove_container(listed["Id"], force=True)
        for volume in api.volumes()["Volumes"] or ():
            api.remove_volume(volume["Name"])
        api.prune_images({"dangling": True})
