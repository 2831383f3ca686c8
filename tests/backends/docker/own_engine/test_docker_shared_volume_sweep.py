"""The TTL of the shared volume, on an engine of our own. docs/behaviour.md § 7.1"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile

import pytest
from docker.errors import NotFound
from support.engine import RunnerScript
from support.shared_volume import Item, SharedVolumeOn
from support.wire_server import WireServer, answer

from runscaler.backends.base import SweepTarget
from runscaler.backends.docker import shared_volume_sweep
from runscaler.backends.docker.container import SHARED_VOLUME
from runscaler.backends.docker.shared_volume_sweep import SCRIPT, Swept, _result
from runscaler.clock import SystemClock
from runscaler.errors import BackendDown, BackendError, ImageMissing, Interrupted
from runscaler.names import new_owner_id
from runscaler.units import format_bytes

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]
MINUTE = 60.0
TTL = 60 * MINUTE
OLD = TTL + 1
KIB = 1024
HELPER = "runner-shared-sweep"


@pytest.fixture
def volume(rig, api):
    return SharedVolumeOn(rig.url, rig.image)


@pytest.fixture
def now():
    return SystemClock().wall()


@pytest.fixture
def sweep_of(rig, owner):
    """`sweep_of(ttl)`: the sweep of the shared volume of one scale set, or of several with these TTLs."""
    opened = []

    def make(*ttls, path="/shared; $(touch /x)", **docker):
        sets = [
            rig.settings(
                RunnerScript(), shared_volume=path, shared_volume_ttl=ttl, buildx_cleanup=False, **docker
            )
            for ttl in ttls
        ]
        opened.append(rig.open_with(sets[0], owner))
        return opened[-1].sweeps(sets)

    yield make
    for one in opened:
        one.close()


TARGETS = [
    Item("old", OLD),
    Item("a b/--help\n$(reboot)\n", OLD),
    Item("deep/er/file", OLD, size=100 * KIB),
    Item("deep/er", OLD, is_directory=True),
    Item("deep", OLD, is_directory=True),
    Item("empty", OLD, is_directory=True),
    Item("kept/old", OLD),
    Item("outside", OLD, link="/etc/passwd"),
    Item("folder", OLD, link="/etc"),
    Item("-delete", OLD),
    Item("edge", TTL + 1),
]
"""Directories without a row are as new as the archive."""
LOOK_ALIKES = [
    Item("new", 1),
    Item("just before", TTL - 30),
    Item("future", -1000),
    Item("kept/new", 1),
    Item("kept", OLD, is_directory=True),
    Item("made just now", 1, is_directory=True),
    Item("new link", 1, link="/etc/hostname"),
]


def test_exactly_what_is_older_than_the_ttl_goes(sweep_of, volume, api, now):
    volume.put([*TARGETS, *LOOK_ALIKES], now)
    (sweep,) = sweep_of(TTL)

    result = sweep.run()
    said = str(result)

    # "a b" is new, as it was made by the archive just now.
    assert volume.paths() == {item.path for item in LOOK_ALIKES} | {"a b"}
    files = sum(not item.is_directory for item in TARGETS)
    assert said.startswith(f"removed {files} files and 3 empty folders, ")
    assert result.removed == files + 3
    assert str(sweep.run()) == ""
    assert api.containers(all=True, filters={"name": HELPER}) == []


def test_the_plan_tells_what_would_go_and_changes_nothing(sweep_of, volume, now):
    volume.put([*TARGETS, *LOOK_ALIKES], now)
    (sweep,) = sweep_of(TTL)
    before = volume.paths()

    planned, folders = sweep.plan()

    assert (planned.kind, planned.name) == ("files", f"8 in volume {SHARED_VOLUME}")
    assert folders == SweepTarget("empty folders", f"1 in volume {SHARED_VOLUME}")
    assert 100 * KIB <= planned.bytes < 200 * KIB
    assert volume.paths() == before
    result = sweep.run()
    assert format_bytes(planned.bytes) in str(result)
    assert result.bytes == planned.bytes
    assert sweep.plan() == []


def test_old_folders_without_a_file_are_planned_and_go(sweep_of, volume, now):
    volume.put([Item("deep/er", OLD, is_directory=True), Item("deep", OLD, is_directory=True)], now)
    (sweep,) = sweep_of(TTL)

    assert sweep.plan() == [SweepTarget("empty folders", f"1 in volume {SHARED_VOLUME}")]
    assert str(sweep.run()) == "removed 2 empty folders"
    assert (volume.paths(), sweep.plan()) == (set(), [])


def test_the_root_stays_and_belongs_to_the_runner(sweep_of, volume, api, now):
    volume.put([Item("old", OLD), Item("", OLD, is_directory=True)], now)
    (sweep,) = sweep_of(TTL)
    sweep.run()

    assert volume.paths() == set()


@pytest.mark.parametrize("ttls", [(TTL, 3 * TTL), (3 * TTL, TTL)])
def test_of_several_ttls_the_longest_counts(sweep_of, volume, now, ttls):
    volume.put([Item("old", 2 * TTL), Item("older", 3 * TTL + 1)], now)
    (sweep,) = sweep_of(*ttls)
    sweep.run()

    assert volume.paths() == {"old"}


def test_a_scale_set_that_keeps_its_files_keeps_them_from_all(sweep_of):
    assert sweep_of(TTL, 0.0) == []


def test_the_shortest_interval_counts(rig, owner):
    keys = {"shared_volume": "/s", "shared_volume_ttl": TTL, "buildx_cleanup": False}
    sets = [rig.settings(RunnerScript(), shared_volume_cleanup_interval=n, **keys) for n in (90.0, 60.0)]
    backend = rig.open_with(sets[0], owner)

    assert [sweep.interval for sweep in backend.sweeps(sets)] == [60.0]
    backend.close()


def test_seconds_of_a_ttl_count_as_a_whole_minute(sweep_of, volume, now):
    volume.put([Item("one minute", 65), Item("two minutes", 121)], now)
    (sweep,) = sweep_of(61.0)
    sweep.run()

    assert volume.paths() == {"one minute"}


def test_without_the_volume_there_is_nothing_to_do_and_none_is_made(sweep_of, api):
    (sweep,) = sweep_of(TTL)

    assert (sweep.plan(), str(sweep.run())) == ([], "")
    with pytest.raises(NotFound):
        api.inspect_volume(SHARED_VOLUME)


def left_by_a_killed_daemon(api, rig, command, *, started):
    mount = {"Type": "volume", "Source": SHARED_VOLUME, "Target": "/v"}
    labels = {"io.runscaler.helper": "sweep", "io.runscaler.helper.owner": new_owner_id()}
    body = {
        "Image": rig.image,
        "Cmd": ["sh", "-c", command],
        "Labels": labels,
        "HostConfig": {"Mounts": [mount]},
    }
    container = api.create_container_from_config(body, HELPER)["Id"]
    if started:
        api.start(container)
    return container


def test_a_container_of_somebody_else_with_the_name_stays(sweep_of, volume, api, rig, now):
    volume.put([Item("old", OLD)], now)
    other = api.create_container_from_config({"Image": rig.image, "Cmd": ["true"]}, HELPER)["Id"]
    (sweep,) = sweep_of(TTL)

    with pytest.raises(BackendError, match=f"a container called {HELPER} is there that is not of this"):
        sweep.run()
    assert [one["Id"] for one in api.containers(all=True)] == [other]
    assert volume.paths() == {"old"}


def test_what_a_killed_daemon_left_of_its_sweep_is_replaced(sweep_of, volume, api, rig, now):
    volume.put([Item("old", OLD)], now)
    api.wait(left_by_a_killed_daemon(api, rig, "true", started=True))
    (sweep,) = sweep_of(TTL)

    assert str(sweep.run()) == "removed 1 file, 4 KiB"
    assert api.containers(all=True, filters={"name": HELPER}) == []


def test_a_sweep_of_another_daemon_is_left_alone(sweep_of, volume, api, rig, now):
    volume.put([Item("old", OLD)], now)
    other = left_by_a_killed_daemon(api, rig, "sleep 600", started=True)
    (sweep,) = sweep_of(TTL)

    with pytest.raises(BackendError, match=f"{HELPER} is at it already"):
        sweep.run()
    assert api.inspect_container(other)["State"]["Running"]
    assert volume.paths() == {"old"}


def test_an_image_without_a_shell_is_one_clear_line(sweep_of, rig, volume, api, now):
    volume.put([Item("old", OLD)], now)
    rig.image = "runscaler-test-bare:1"
    with tarfile.open(fileobj=(layer := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    api.import_image_from_data(layer.getvalue(), *rig.image.split(":"))
    (sweep,) = sweep_of(TTL)

    with pytest.raises(BackendError, match=r"cannot sweep volume runner-shared with image .*sh") as caught:
        sweep.run()
    assert "\n" not in str(caught.value)
    assert "shared-volume-ttl = 0" in str(caught.value.fixes)
    assert api.containers(all=True, filters={"name": HELPER}) == []


def test_without_an_image_nothing_is_swept_and_that_is_said(sweep_of, rig, volume, now):
    volume.put([Item("old", OLD)], now)
    rig.image = "runscaler-test-absent:1"
    (sweep,) = sweep_of(TTL)

    with pytest.raises(ImageMissing, match="runscaler-test-absent:1"):
        sweep.run()
    assert volume.paths() == {"old"}


def test_the_image_of_any_scale_set_will_do(rig, owner, volume, now):
    volume.put([Item("old", OLD)], now)
    keys = {"shared_volume": "/s", "shared_volume_ttl": TTL, "buildx_cleanup": False}
    there = rig.settings(RunnerScript(), **keys)
    absent = there.model_copy(update={"runner_image": "runscaler-test-absent:1"})
    backend = rig.open_with(there, owner)
    (sweep,) = backend.sweeps([absent, there])

    assert str(sweep.run()) == "removed 1 file, 4 KiB"
    backend.close()


def test_closing_the_backend_cuts_a_sweep_and_removes_its_container(rig, owner, volume, api, now):
    volume.put([Item("old", OLD)], now)
    settings = rig.settings(RunnerScript(), shared_volume="/s", shared_volume_ttl=TTL, buildx_cleanup=False)
    backend = rig.open_with(settings, owner)
    (sweep,) = backend.sweeps([settings])
    backend.close()

    with pytest.raises(Interrupted):
        sweep.run()
    assert api.containers(all=True, filters={"name": HELPER}) == []
    assert volume.paths() == {"old"}


def test_an_engine_that_hangs_is_not_waited_for_as_a_sweep_is(rig, owner, monkeypatch):
    monkeypatch.setattr(shared_volume_sweep, "CALL_SECONDS", 0.5)
    with WireServer() as server:
        server.on("GET", "/version", answer({"ApiVersion": "1.43"}), times=9)
        server.on("GET", "/volumes/", lambda conversation: conversation.ended.wait())
        rig.url = server.url
        settings = rig.settings(RunnerScript(), shared_volume="/s", shared_volume_ttl=TTL)
        backend = rig.open_with(settings, owner)
        sweep, _ = backend.sweeps([settings])

        with pytest.raises(BackendDown, match=r"cannot sweep volume .* does not answer in time"):
            sweep.run()
        backend.close()


# -- what the container runs and says -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("swept", "line"),
    [
        (Swept(0, 0), ""),
        (Swept(1, 4096), "removed 1 file, 4 KiB"),
        (Swept(0, 0, 1), "removed 1 empty folder"),
        (
            Swept(3, 3072, 2, 1, 1024),
            "removed 2 files and 2 empty folders, 2 KiB; 1 file could not be removed",
        ),
        (Swept(1, 512, 0, 1, 512), "removed nothing; 1 file could not be removed"),
    ],
)
def test_a_sweep_says_what_it_did(swept, line):
    assert swept.line == line


FIND_WITHOUT_DELETE = """#!/bin/sh
case "$*" in *-empty*) exit 1;; esac
exec {} "$@"
"""


def in_shell(tools, root):
    """What the sweep says of a directory, on this host, with the programs in `tools`."""
    command = [shutil.which("sh"), "-c", SCRIPT, HELPER, str(root), "60", "delete"]
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, check=False)
    return _result(done.returncode, done.stdout, "cannot sweep")


def test_a_tool_that_the_image_lacks_is_named(tmp_path):
    tools = ("stat", "tr", "wc", "rm", "rmdir")
    for name in tools:
        (tmp_path / name).symlink_to(shutil.which(name))

    with pytest.raises(BackendError, match=r"^cannot sweep: the image has no find$"):
        in_shell(tmp_path, tmp_path)


def test_what_cannot_be_deleted_is_counted(tmp_path):
    """With an `rm` that fails, as root in the container can delete everything."""
    tools, root = tmp_path / "bin", tmp_path / "root"
    tools.mkdir()
    root.mkdir()
    for name in ("stat", "tr", "wc", "rmdir"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "rm").symlink_to(shutil.which("false"))
    (tools / "find").write_text(FIND_WITHOUT_DELETE.format(shutil.which("find")))
    (tools / "find").chmod(0o755)
    (root / "old").touch()
    os.utime(root / "old", (0, 0))

    swept = in_shell(tools, root)

    assert swept == Swept(1, 0, files_left=1)


def test_output_that_is_none_of_ours_is_an_error():
    with pytest.raises(BackendError, match="exit code 0: before x"):
        _result(0, b"before x\x1b[2J", "cannot sweep")
    with pytest.raises(BackendError, match="exit code 137: no output"):
        _result(137, b"", "cannot sweep")
