from __future__ import annotations

import pytest

from runscaler.backends.docker.facts import EngineFacts
from runscaler.backends.docker.sidecar_check import sidecar_findings
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.findings import Level

ROOTLESS = {"SecurityOptions": ["name=rootless"]}
REMAPPED = {"SecurityOptions": ["name=userns"]}
LEAST = {"MemoryLimit": False}


def said(info, **docker):
    settings = ScaleSetSettings(
        url="https://github.com/o",
        name="linux",
        token=Secret("t"),
        docker=DockerSettings(**{"dind": "sidecar", **docker}),
    )
    found = sidecar_findings(settings, EngineFacts.of(info))
    assert {one.level for one in found} <= {Level.ERROR}
    assert all(one.fixes for one in found)
    return " / ".join(one.message for one in found)


@pytest.mark.parametrize("info", [{}, ROOTLESS])
def test_an_engine_that_can_run_sidecars_is_not_worth_a_word(info):
    assert said(info, volumes=("/data:/data:ro",), network="mine") == ""


def test_other_runners_need_nothing_of_it():
    assert said(REMAPPED, dind=True, network="host") == ""


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (REMAPPED, "refuses the privileged container"),
        (ROOTLESS | LEAST, "no cgroups to hand down"),
        ({"BuildahVersion": "1.28.2"}, "Podman cannot"),
    ],
)
def test_an_engine_that_cannot_is_an_error(info, words):
    assert words in said(info)


def test_a_runtime_that_needs_no_privileges_can_be_remapped():
    assert said(REMAPPED, runtime="sysbox-runc") == ""


@pytest.mark.parametrize("network", ["host", "container:other"])
def test_the_network_of_others_is_not_for_an_engine(network):
    assert f"network = '{network}'" in said({}, network=network)


@pytest.mark.parametrize(
    "volume",
    ["/var/run/docker.sock:/var/run/docker.sock", "/x:/run/", "/var/run/docker.sock:/run/docker.sock:ro"],
)
def test_a_mount_where_the_socket_belongs_is_an_error(volume):
    assert f"volumes mounts '{volume}'" in said({}, volumes=(volume,))
