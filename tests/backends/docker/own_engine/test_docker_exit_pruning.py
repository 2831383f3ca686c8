"""What goes from an engine of our own when a daemon ends. docs/behaviour.md § 7.1"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from types import SimpleNamespace

import pytest
from support.engine import RunnerScript
from support.missing import missing

from runscaler.backends.base import BackendContext, TidyBackend
from runscaler.backends.docker.socket_group import _body
from runscaler.backends.docker.volume import holder_name
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.ops.lock import StateLock
from runscaler.ops.owner import load_or_create_owner
from runscaler.testing.backend_contract import Orders
from runscaler.testing.clock import FakeClock

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
VOLUME = "runner-shared"
NAMED = "runscaler-test-named:1"


class Daemon:
    """A backend with one scale set, which has prepared for its runners."""

    def __init__(self, rig, state_dir=None, **docker):
        self.owner = new_owner_id() if state_dir is None else load_or_create_owner(state_dir)
        self._rig = rig
        self.settings = rig.settings(RunnerScript(), **docker)
        self.backend = rig.open_with(self.settings, self.owner, state_dir)
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

    def make(state_dir=None, **docker):
        made.append(Daemon(rig, state_dir, **docker))
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


@pytest.fixture
def state_dir(tmp_path):
    """Of another daemon, which holds its lock."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    lock = StateLock(folder)
    lock.acquire()
    yield SimpleNamespace(path=folder, die=lock.release)
    lock.release()


def test_what_a_daemon_left_that_is_proved_to_be_dead_goes_first(daemon, dangling, api, state_dir):
    last, killed = daemon(shared_volume="/shared"), daemon(state_dir.path, shared_volume="/shared")
    state_dir.die()

    said = last.exit()

    assert said.startswith(
        f"removed {holder_name(killed.owner)} of a dead daemon, removed volume runner-shared"
    )
    assert (volumes(api), containers(api)) == ([], [])
    assert dangling not in images(api)


def test_a_daemon_that_holds_its_lock_lives(daemon, dangling, api, state_dir):
    last, other = daemon(shared_volume="/shared"), daemon(state_dir.path, shared_volume="/shared")

    assert holder_name(other.owner) in last.exit()
    assert (volumes(api), containers(api)) == ([VOLUME], [holder_name(other.owner)])
    assert dangling in images(api)


def test_a_directory_of_somebody_else_proves_no_death(daemon, api, state_dir):
    last, other = daemon(shared_volume="/shared"), daemon(state_dir.path, shared_volume="/shared")
    state_dir.die()
    (state_dir.path / "owner").write_text(new_owner_id())

    assert holder_name(other.owner) in last.exit()
    assert volumes(api) == [VOLUME]


def test_a_dead_daemons_runner_that_runs_keeps_all(daemon, dangling, api, state_dir):
    last, killed = daemon(shared_volume="/shared"), daemon(state_dir.path, shared_volume="/shared")
    runner = killed.start_runner()
    state_dir.die()

    assert f"nothing is pruned, as {runner.runner} of another daemon" in last.exit()
    assert containers(api) == sorted([runner.runner, holder_name(killed.owner)])
    assert dangling in images(api)


def test_a_runner_of_ones_own_that_could_not_be_removed_is_called_that(daemon):
    one = daemon()
    runner = one.start_runner()

    assert f"nothing is pruned, as {runner.runner} of this daemon may need it" in one.exit()


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


def test_a_look_at_the_socket_that_was_killed_goes_too(rig, daemon, api):
    one = daemon()
    looking = _body(rig.settings(RunnerScript(), dind=True), BackendContext(one.owner, None, FakeClock()))
    api.create_container_from_config(looking, "look")

    one.exit()

    assert containers(api) == []


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
