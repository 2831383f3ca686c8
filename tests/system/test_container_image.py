"""conf/docker: the image of the daemon, built from the files of a release, and run without rights."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.engine import connect

import runscaler
from runscaler.platform_names import architecture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient

    from runscaler.testing.simulator import SimulatedGitHub

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

DOCKERFILE = Path(runscaler.__file__).parents[1] / "conf" / "docker" / "Dockerfile"
GLIBC = ("librt.so.1", "libdl.so.2", "libpthread.so.0", "libutil.so.1", "libm.so.6", "libresolv.so.2")
BASE = f"runscaler-test-base:{os.getpid()}"
NAME = f"runscaler-test-daemon:{os.getpid()}"


@pytest.fixture(scope="module")
def engine(engine_url: str) -> Iterator[APIClient]:
    with connect(engine_url) as api:
        yield api


@pytest.fixture(scope="module")
def base_image(engine: APIClient, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo's image, as the tests reach no registry, with all of glibc, as any distribution has it."""
    context = tmp_path_factory.mktemp("base")
    libraries = Path("/lib", f"{platform.machine()}-linux-gnu")
    for name in GLIBC:
        shutil.copy(libraries / name, context)
    (context / "Dockerfile").write_text(f"FROM {image}\nUSER root\nCOPY *.so.* {libraries}/\n")
    yield build(engine, context, BASE)
    engine.remove_image(BASE, force=True)


@pytest.fixture(scope="module")
def daemon_image(
    engine: APIClient, base_image: str, release: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    context = tmp_path_factory.mktemp("daemon")
    for path in (DOCKERFILE, *release.glob("*.tar.gz")):
        shutil.copy(path, context)
    yield build(engine, context, NAME, BASE=base_image, TARGETARCH=architecture())
    engine.remove_image(NAME, force=True)


def build(engine: APIClient, context: Path, name: str, **arguments: str) -> str:
    lines = list(engine.build(str(context), tag=name, buildargs=arguments, rm=True, decode=True))
    assert not [line for line in lines if "error" in line], lines[-1]
    return name


@pytest.fixture
def container(
    engine: APIClient, daemon_image: str, docker: dict[str, Any], github: SimulatedGitHub
) -> Iterator[str]:
    """Made as by compose.yaml, but on this host's network and with flags; not started."""
    limits = engine.create_host_config(
        network_mode="host", read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"], init=True
    )
    limits["Mounts"] = [{"Type": "volume", "Target": "/var/lib/runscaler"}]
    flags = [f"--url={github.config_url()}", "--name=in-a-container", "--token=ghp_s3cr3t"]
    flags += ["--backend=process", "--max-runners=2", "--health-port=0"]
    made = engine.create_container(daemon_image, flags, host_config=limits)["Id"]
    yield made
    engine.remove_container(made, force=True, v=True)


def test_the_daemon_runs_jobs_as_a_user_without_rights_on_a_read_only_disk(
    engine: APIClient, container: str, github: SimulatedGitHub
) -> None:
    engine.start(container)
    github.wait_until(lambda state: any(one.name == "in-a-container" for one in state.scale_sets))
    (job,) = github.wait_for_jobs(github.queue_jobs("in-a-container", 1, steps=["test $(id -u) = 1000"]))
    engine.stop(container, timeout=60)
    code = engine.wait(container)["StatusCode"]

    assert job.result == "succeeded"
    assert code == 0, engine.logs(container).decode()
    assert all(one.deleted for one in github.state().scale_sets)


def test_the_image_runs_the_daemon_and_tells_that_it_is_a_container(
    engine: APIClient, daemon_image: str
) -> None:
    facts = engine.inspect_image(daemon_image)["Config"]

    assert facts["Entrypoint"] == ["runner", "run"]
    assert facts["User"] == "1000:1000"
    assert "RUNNER_CONTAINER=1" in facts["Env"]
    assert json.dumps(facts["Cmd"]).count("0.0.0.0") == 1
