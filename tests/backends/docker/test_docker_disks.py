"""On which disk of this host an engine's images lie (docs/behaviour.md § 6.4)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.engine import connect, engine_address
from support.wire_server import WireServer, answer

from runscaler.backends.base import BackendContext, LocalDisks
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.backend import DockerBackend
from runscaler.backends.docker.engine import Engine
from runscaler.errors import BackendDown, BackendError
from runscaler.names import new_owner_id
from runscaler.testing.clock import FakeClock


def made(address: EngineAddress) -> DockerBackend:
    return DockerBackend(Engine(address), BackendContext(new_owner_id(), None, FakeClock()))


@pytest.fixture
def scripted():
    """A backend on an engine whose `/info` is given, and the engine."""
    with WireServer() as server:
        server.on("GET", "/version", answer({"ApiVersion": "1.43", "Version": "27"}), times=9)
        backend = made(EngineAddress(server.url))
        yield backend, server
        backend.close()


def test_an_engine_of_this_host_names_its_directory_and_is_asked_once(scripted):
    backend, server = scripted
    server.on("GET", "/v1.43/info", answer({"Name": socket.gethostname(), "DockerRootDir": "/data/docker"}))

    assert isinstance(backend, LocalDisks)
    assert backend.disk_paths() == backend.disk_paths() == [Path("/data/docker")]
    assert len([one for one in server.seen if one.target.endswith("/info")]) == 1


@pytest.mark.parametrize(
    "info",
    [
        {"Name": "docker-desktop", "DockerRootDir": "/var/lib/docker"},
        {"Name": socket.gethostname()},
        {},
    ],
)
def test_an_engine_in_a_vm_or_on_another_host_says_so(scripted, info):
    backend, server = scripted
    server.on("GET", "/v1.43/info", answer(info))

    with pytest.raises(BackendError, match="its images lie on another host, or in a VM") as caught:
        backend.disk_paths()

    assert not isinstance(caught.value, BackendDown)


def test_an_engine_that_is_away_is_told_from_one_elsewhere(tmp_path):
    with pytest.raises(BackendDown):
        made(EngineAddress(f"unix://{tmp_path}/nobody.sock")).disk_paths()


@pytest.mark.engine
def test_a_real_engine_names_its_directory(engine_url):
    backend = made(engine_address(engine_url))
    with connect(engine_url) as api:
        info = api.info()

    assert backend.disk_paths() == [Path(info["DockerRootDir"])]
    backend.close()
