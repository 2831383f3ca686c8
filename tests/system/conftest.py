"""A simulated GitHub, the demo's image on a real engine, and daemons that are always ended."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.daemon import Daemon, Latch
from support.engine import connect, engine_address
from support.mac import Mac
from support.missing import missing
from support.planted import TOKEN
from support.private_engine import PrivateEngine
from support.watched_daemon import NAME, WatchedDaemon

import runscaler
from runscaler.backends.docker.local import route_to_host
from runscaler.ops.demo_image import ensure_demo_image
from runscaler.testing.simulator import FAST, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.engine_proxy import EngineProxy


TIMERS = replace(FAST, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0, pick_up=60.0)
"""Short polls, but long timeouts for runners, which a busy machine may delay."""


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of a release that was built here."""
    for tool in ("cc", "objdump", "ldd"):
        if shutil.which(tool) is None:
            missing(f"the program {tool}")
    folder = tmp_path_factory.mktemp("release")
    command = ["scripts/build-release", "--output", str(folder)]
    root = Path(runscaler.__file__).parents[1]
    built = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if "no shared library" in built.stderr:
        missing("a Python with a shared library")
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(timers=TIMERS) as simulated:
        yield simulated


@pytest.fixture(scope="session")
def image(engine_url: str) -> Iterator[str]:
    """The demo's image under a name of its own, because another demo on this engine may replace the image."""
    made = ensure_demo_image(engine_address(engine_url), lambda _what, _done, _total: None)
    name, tag = "runscaler-test-system", str(os.getpid())
    with connect(engine_url) as api:
        api.tag(made, name, tag)
        yield f"{name}:{tag}"
        api.remove_image(f"{name}:{tag}")


@pytest.fixture(scope="session")
def docker(engine_url: str, image: str) -> dict[str, Any]:
    """Keys of a docker scale set whose runners can reach the loopback interface of this host."""
    way = route_to_host(engine_address(engine_url))
    if way is None or way.network != "host":
        missing("an engine whose containers can share this host's network")
    table = {"host": engine_url, "network": "host", "dind": False, "pull": "never", "prune-on-exit": False}
    return {"backend": "docker", "runner-image": image, "docker": table}


@pytest.fixture
def latch() -> Iterator[Latch]:
    made = Latch()
    yield made
    made.close()


@pytest.fixture(params=["process", "docker"])
def backend(request: pytest.FixtureRequest, latch: Latch) -> dict[str, Any]:
    """Keys of a scale set on each backend that needs no VM; its jobs can wait for `latch`."""
    if request.param == "process":
        return {"backend": "process"}
    keys = request.getfixturevalue("docker")
    return {**keys, "docker": {**keys["docker"], "volumes": [latch.volume]}}


@pytest.fixture
def daemon(tmp_path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Daemon]]:
    """`daemon(config)` makes one without starting it; all are ended, whatever the test does."""
    made: list[Daemon] = []

    def make(config: dict[str, Any], name: str = "daemon") -> Daemon:
        uses_engine = "docker" in str(config)
        url = request.getfixturevalue("engine_url") if uses_engine else ""
        made.append(Daemon(tmp_path / name, config, url))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def scale_set(github: SimulatedGitHub) -> Callable[..., dict[str, Any]]:
    """`scale_set("linux", **keys)` returns the keys of a scale set; underscores stand for hyphens."""

    def make(name: str, *more: dict[str, Any], **keys: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"url": github.config_url(), "name": name, "token": TOKEN}
        for table in more:
            made |= table
        return made | {key.replace("_", "-"): value for key, value in keys.items()}

    return make


@pytest.fixture
def private_engine() -> Iterator[PrivateEngine]:
    """A private engine, not yet started; the test may do anything to it."""
    made = PrivateEngine()
    yield made
    made.close()


@pytest.fixture
def watched_daemon(
    github: SimulatedGitHub, tmp_path, scale_set, latch: Latch, private_engine
) -> Iterator[Callable[..., WatchedDaemon]]:
    """`watched_daemon(max_runners=4)`: a daemon on `private_engine` or `engine`, or behind `proxy`."""
    with ExitStack() as undo:

        def make(
            scope: str = "my-org",
            proxy: EngineProxy | None = None,
            engine: PrivateEngine = private_engine,
            docker: dict[str, Any] | None = None,
            **keys: Any,
        ) -> WatchedDaemon:
            host = proxy.url if proxy else engine.url
            table = {
                "host": host,
                "network": "host",
                "dind": False,
                "pull": "never",
                "volumes": [latch.volume],
            }
            image = ensure_demo_image(engine_address(engine.url), lambda _what, _done, _total: None)
            made = scale_set(
                NAME,
                {"backend": "docker", "runner-image": image, "docker": table | (docker or {})},
                url=github.config_url(scope),
                **keys,
            )
            return undo.enter_context(WatchedDaemon(github, engine, tmp_path / scope, made, scope))

        yield make


@pytest.fixture
def mac(github: SimulatedGitHub) -> Iterator[Mac]:
    with Mac(github) as made:
        yield made


@pytest.fixture
def mac_daemon(mac: Mac, daemon: Callable[..., Daemon]) -> Callable[..., Daemon]:
    """`mac_daemon(*sets, **others)`: a daemon that uses the fake Mac."""

    def make(*sets: dict[str, Any], name: str = "daemon", **others: Any) -> Daemon:
        made = daemon(
            {**{key.replace("_", "-"): value for key, value in others.items()}, "scaleset": [*sets]}, name
        )
        made.env = mac.environ
        return made

    return make
