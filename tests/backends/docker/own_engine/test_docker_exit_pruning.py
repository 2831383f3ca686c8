"""What goes from an engine of our own when a daemon ends. docs/behaviour.md § 7.1"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile

import pytest
from support.engine import RunnerScript
from support.missing import missing

from runscaler.backends.base import TidyBackend
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.testing.backend_contract import Orders

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
VOLUME = "runner-shared"
NAMED = "runscaler-test-named:1"


class Daemon:
    """A backend with one scale set, which has prepared for its runners."""

    def __init__(self, rig, **docker):
        self.owner = new_owner_id()
        self._rig = rig
        self.settings = rig.settings(RunnerScript(), **docker)
        self.backend = rig.open_with(self.settings, self.owner)
        self.backend.prepare(self.settings, lambda *_: None, Interrupt())

    def start_runner(self):
        return self.backend.start(Orders(self._rig).make(), Interrupt())

    def exit(self):
        said = self.backend.tidy_up([self.settings], Interrupt())
        self.backend.close()
        return said


@pytest.fixture
def daemon(rig, api):
    made = []

    def make(**docker):
        made.append(Daemon(rig, **docker))
        return made[-1]

    yield make
    for one in made:
        one.backend.close()


@pytest.fixture
def dangling(api):
    """The id of an image without a name, of more than 100 kB."""
    for size in (100_000, 1):  # the second takes the name of the first
        with tarfile.open(fileobj=(layer := io.BytesIO()), mode="w") as archive:
            entry = tarfile.TarInfo("file")
            entry.size = size
            archive.addfile(entry, io.BytesIO(bytes(size)))
        api.import_image_from_data(layer.getvalue(), *NAMED.split(":"))
    (image,) = api.images(filters={"dangling": True}, quiet=True)
    yield image
    api.remove_image(NAMED)


def volumes(api):
    return [one["Name"] for one in api.volumes()["Volumes"] or ()]


def images(api):
    return set(api.images(quiet=True))


def containers(api):
    return sorted(one["Names"][0].lstrip("/") for one in api.containers(all=True))


def test_the_last_daemon_removes_the_shared_volume_and_dangling_images_and_no_others(daemon, dangling, api):
    others = images(api) - {dangling}
    api.create_volume("of-a-user")
    last = daemon(shared_volume="/shared")

    said = last.exit()

    assert said.startswith("removed volume runner-shared, pruned dangling images (")
    assert volumes(api) == ["of-a-user"]
    assert images(api) == others
    assert containers(api) == []


def test_the_build_cache_is_pruned(own_engine, daemon, api, tmp_path):
    build_with_buildkit(own_engine.url, tmp_path)
    assert api.df()["BuildCache"]

    assert "pruned the build cache" in daemon().exit()
    assert not api.df()["BuildCache"]


def build_with_buildkit(url, folder):
    """By the engine's own BuildKit; the docker command needs no buildx for that up to version 20.10."""
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    (folder / "file").write_bytes(bytes(50_000))
    environ = os.environ | {"DOCKER_HOST": url, "DOCKER_BUILDKIT": "1"}
    for docker in (shutil.which("docker", path=path) for path in os.get_exec_path()):
        built = docker and subprocess.run(
            [docker, "build", folder], env=environ, capture_output=True, check=False
        )
        if built and built.returncode == 0:
            return
    missing("a docker command that builds with the engine's BuildKit")


def test_with_prune_on_exit_off_in_one_set_all_stays_but_our_helpers(daemon, dangling, api):
    one = daemon(shared_volume="/shared", prune_on_exit=False)

    assert one.exit() == ""
    assert volumes(api) == [VOLUME]
    assert dangling in images(api)
    assert containers(api) == []


def test_nothing_goes_while_another_daemon_lives_that_has_no_runner_at_the_moment(daemon, dangling, api):
    first, second = daemon(shared_volume="/shared"), daemon(shared_volume="/shared")

    said = first.exit()

    held = f"runner-shared-{second.owner[:8]}"
    assert (
        said == f"nothing is pruned, as {held} of another daemon may need it (if it is dead: runner doctor)"
    )
    assert volumes(api) == [VOLUME]
    assert dangling in images(api)
    assert containers(api) == [held]
    assert second.exit().startswith("removed volume runner-shared, pruned dangling images")
    assert volumes(api) == []


def test_nothing_goes_while_another_daemons_runner_lives(daemon, dangling, api):
    first, second = daemon(shared_volume="/shared"), daemon()
    runner = second.start_runner()

    assert runner.runner in first.exit()
    assert volumes(api) == [VOLUME]
    assert dangling in images(api)


def test_a_runner_of_another_daemon_that_has_ended_needs_nothing(daemon, dangling, api):
    first, second = daemon(shared_volume="/shared"), daemon()
    api.stop(second.start_runner().id, timeout=0)

    assert "removed volume" in first.exit()
    assert dangling not in images(api)


def test_nothing_goes_while_a_runner_of_the_go_tool_lives(rig, daemon, dangling, api):
    body = {"Image": rig.image, "Cmd": ["sleep", "600"], "Labels": {"managed-by": "runscaler"}}
    api.start(api.create_container_from_config(body, "runner-0a1b2c3d")["Id"])

    assert "runner-0a1b2c3d" in daemon(shared_volume="/shared").exit()
    assert volumes(api) == [VOLUME]
    assert dangling in images(api)


def test_a_volume_that_a_users_container_has_stays_and_the_rest_goes(rig, daemon, dangling, api):
    mount = {"Type": "volume", "Source": VOLUME, "Target": "/v"}
    one = daemon(shared_volume="/shared")
    api.create_container_from_config(
        {"Image": rig.image, "Cmd": ["/"], "HostConfig": {"Mounts": [mount]}}, "user"
    )

    said = one.exit()

    assert said.startswith("volume runner-shared stays, as a container uses it, pruned dangling images")
    assert volumes(api) == [VOLUME]
    assert containers(api) == ["user"]


def test_helpers_that_earlier_processes_left_go_and_those_of_others_stay(rig, daemon, api):
    one = daemon(shared_volume="/shared")
    for name, owner in (("left", one.owner), ("others", new_owner_id())):
        labels = {"io.runscaler.helper": "sweep", "io.runscaler.helper.owner": owner}
        api.create_container_from_config({"Image": rig.image, "Cmd": ["/"], "Labels": labels}, name)

    assert "others" in one.exit()
    assert containers(api) == ["others"]


def test_an_exit_that_is_interrupted_does_nothing(daemon, api):
    one, interrupt = daemon(shared_volume="/shared"), Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted):
        one.backend.tidy_up([one.settings], interrupt)
    assert volumes(api) == [VOLUME]


def test_an_engine_that_is_gone_is_one_clear_line(rig):
    rig.url = "unix:///nowhere/docker.sock"
    settings = rig.settings(RunnerScript())
    backend = rig.open_with(settings, new_owner_id())

    with pytest.raises(BackendError, match=r"cannot remove the helper containers: .*nowhere"):
        backend.tidy_up([settings], Interrupt())
    assert isinstance(backend, TidyBackend)
    backend.close()
