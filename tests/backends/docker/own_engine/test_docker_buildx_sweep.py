"""Builders of buildx and their volumes, on an engine of our own, with a stand-in for BuildKit's image.

docs/behaviour.md § 7.1
"""

from __future__ import annotations

import base64
import json

import pytest
from support.buildx import BUILDING, IMAGE, STATE, Buildx
from support.engine import RunnerScript, engine_address
from support.wire_server import WireServer, answer

from runscaler.backends.base import BackendContext
from runscaler.backends.docker import buildx_sweep
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.builder_processes import only_its_daemon
from runscaler.backends.docker.buildx_sweep import Builder, BuildxSweep, time_of_engine
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.starts_under_way import StartsUnderWay
from runscaler.backends.docker.volume_use import NEVER
from runscaler.clock import SystemClock
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.testing.clock import FakeClock

HOUR = 3600.0
TTL = 24 * HOUR
NOW = -1.0
"""A TTL by which all that is there is old; ages of containers and volumes cannot be set."""


@pytest.fixture
def buildx(api, image):
    made = Buildx(api, SystemClock().wall())
    yield made
    made.discard_all()


@pytest.fixture
def sweep_of(own_engine, image, owner):
    """`sweep_of(ttl)` is the sweep with that TTL, `ahead` seconds later than now."""
    engine = Engine(engine_address(own_engine.url))

    def make(ttl, images=(image,), ahead=0.0):
        context = BackendContext(owner, None, SystemClock())
        return BuildxSweep(engine, context, ttl, images, Interrupt(), lambda api: time_of_engine(api) + ahead)

    yield make
    engine.disconnect()


@pytest.mark.engine
@pytest.mark.timeout(120)
class TestOnAnEngine:
    def test_exactly_the_builders_that_build_nothing_go_with_their_volume(self, buildx, api, image, sweep_of):
        idle = buildx.builder("idle")
        stopped = buildx.builder("stopped", ["true"])
        api.wait(stopped)
        never = buildx.builder("never", started=False)
        plain = buildx.builder("without-init", init=False)
        building = buildx.builder("client")
        buildx.begin_build(building)
        steps = buildx.builder("steps", BUILDING)
        paused = buildx.builder("paused")
        api.pause(paused)
        users = buildx.builder("mine", ["sleep", "600"], image)
        other = "my_buildx_buildkit_a0"
        api.create_container_from_config({"Image": IMAGE, "Cmd": ["true"]}, other)
        kept = {building, steps, paused, users, other}
        pids = {name: api.inspect_container(name)["State"]["Pid"] for name in kept}

        said = str(sweep_of(NOW).run())

        assert buildx.containers() == kept
        assert buildx.volumes() == {f"{name}_state" for name in kept - {other}}
        assert {name: api.inspect_container(name)["State"]["Pid"] for name in kept} == pids
        for name in (idle, stopped, never, plain):
            assert name in said
            assert f"{name}_state" in said

    def test_one_that_was_started_within_the_ttl_stays(self, buildx, sweep_of):
        builder = buildx.builder("young")

        assert str(sweep_of(TTL).run()) == ""
        assert buildx.containers() == {builder}

    def test_exactly_the_old_volumes_that_no_container_uses_go(self, buildx, api, sweep_of):
        later = 2 * TTL
        old = [buildx.volume(name, last_used=TTL + 60 - later) for name in ("old0_state", "old0")]
        used = buildx.volume("used0_state", last_used=TTL + 60 - later)
        mount = {"Type": "volume", "Source": used, "Target": "/v"}
        api.create_container_from_config(
            {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}}, "user"
        )
        recent = buildx.volume("fixed0_state", last_used=TTL - 60 - later)
        for name in ("my_buildx_buildkit_a0_state", "buildx_buildkit", "runner-shared"):
            api.create_volume(name)
        result = sweep_of(TTL, ahead=later).run()

        assert buildx.volumes() == {
            used, recent, "my_buildx_buildkit_a0_state", "buildx_buildkit", "runner-shared"
        }  # fmt: skip
        assert all(name in result.words for name in old)
        assert result.removed == len(old)
        assert buildx.containers() == {"user"}

    def test_starts_are_let_pass_before_each_volume_is_looked_into_and_removed(self, buildx, sweep_of):
        volumes = {buildx.volume(f"old{number}_state", last_used=TTL) for number in range(3)}
        sweep, left = sweep_of(NOW), []

        class Recorder(StartsUnderWay):
            def let_pass(self, *_):
                left.append(buildx.volumes())

        sweep._engine.starts = Recorder()
        assert sweep.run().removed == 3

        assert [len(one) for one in left] == [3, 2, 1]
        assert left[0] == volumes

    def test_a_volume_younger_than_the_ttl_stays_however_old_its_files(self, buildx, sweep_of):
        young = buildx.volume("young0_state", last_used=2 * TTL)

        assert str(sweep_of(TTL).run()) == ""
        assert buildx.volumes() == {young}

    def test_what_cannot_be_looked_into_stays(self, buildx, sweep_of):
        volume = buildx.volume("old0_state", last_used=2 * TTL)

        assert sweep_of(NOW, images=("runscaler-test-absent:1",)).run().words == ""
        assert buildx.volumes() == {volume}

    def test_the_plan_tells_names_and_sizes_and_changes_nothing(self, buildx, api, sweep_of):
        builder = buildx.builder("idle", ["sh", "-c", f"head -c 50000 /bin/busybox > {STATE}/cache; true"])
        api.wait(builder)
        volume = buildx.volume("old0_state", last_used=TTL)

        planned = {(one.kind, one.name): one.bytes for one in sweep_of(NOW).plan()}

        assert planned.keys() == {
            ("builder", builder), ("volume", f"{builder}_state"), ("volume", volume)
        }  # fmt: skip
        assert planned["volume", f"{builder}_state"] >= 50_000
        assert buildx.containers() == {builder}
        assert buildx.volumes() == {f"{builder}_state", volume}

    def test_what_a_killed_look_into_a_volume_left_is_replaced(self, buildx, api, sweep_of):
        buildx.volume("old0_state", last_used=TTL)
        labels = {"io.runscaler.helper": "buildx", "io.runscaler.helper.owner": new_owner_id()}
        body = {"Image": IMAGE, "Cmd": ["true"], "Labels": labels}
        api.create_container_from_config(body, "runner-buildx-look")

        assert str(sweep_of(NOW).run()) == "removed volume buildx_buildkit_old0_state"
        assert buildx.containers() == set()

    def test_a_container_of_somebody_else_with_the_name_of_the_look_stays(self, buildx, api, sweep_of):
        volume = buildx.volume("old0_state", last_used=TTL)
        api.create_container_from_config({"Image": IMAGE, "Cmd": ["true"]}, "runner-buildx-look")

        with pytest.raises(BackendError, match="a container called runner-buildx-look is there"):
            sweep_of(NOW).run()
        assert buildx.containers() == {"runner-buildx-look"}
        assert buildx.volumes() == {volume}

    def test_a_build_that_begins_after_the_first_look_is_not_cut(self, buildx, api, sweep_of):
        builder = buildx.builder("late")
        sweep = sweep_of(NOW)
        (found,) = sweep.builders()
        buildx.begin_build(builder)

        assert not sweep.remove_builder(found)
        state = api.inspect_container(builder)["State"]
        assert (state["Running"], state["Paused"]) == (True, False)

    def test_a_stopped_builder_that_is_started_after_the_first_look_stays(self, buildx, api, sweep_of):
        builder = buildx.builder("late", started=False)
        sweep = sweep_of(NOW)
        (found,) = sweep.builders()
        api.start(builder)

        assert not sweep.remove_builder(found)
        assert buildx.containers() == {builder}

    def test_one_that_was_started_and_has_ended_again_stays_too(self, buildx, api, sweep_of):
        builder = buildx.builder("late", ["true"], started=False)
        sweep = sweep_of(NOW)
        (found,) = sweep.builders()
        api.start(builder)
        api.wait(builder)

        assert not sweep.remove_builder(found)
        assert buildx.containers() == {builder}


@pytest.mark.engine
def test_of_several_sets_the_longest_ttl_and_the_shortest_interval_count_unless_one_keeps_all(rig, owner):
    def sweeps(*tables):
        sets = [rig.settings(RunnerScript(), **table) for table in tables]
        backend = rig.open_with(sets[0], owner)
        try:
            return [(one.interval, one.run.__self__._ttl) for one in backend.sweeps(sets)]
        finally:
            backend.close()

    first = {"buildx_cleanup_ttl": 60.0, "buildx_cleanup_interval": 30.0}
    second = {"buildx_cleanup_ttl": 120.0, "buildx_cleanup_interval": 90.0}
    assert sweeps(first, second) == [(30.0, 120.0)]
    assert sweeps(first, {"buildx_cleanup": False}) == []


# -- what comes in between ----------------------------------------------------------------------------

DAYS_AGO = "2026-01-02T03:04:05Z"
BUILDER = {
    "Id": "b1",
    "Name": "/buildx_buildkit_a0",
    "State": {"Running": True, "Pid": 10, "StartedAt": DAYS_AGO},
}


@pytest.fixture
def server():
    with WireServer() as made:
        made.on("GET", "/version", answer({"ApiVersion": "1.43", "Version": "27"}), times=99)
        yield made


@pytest.fixture
def sweeping(server, owner):
    """A sweep on an engine that the test scripts, and its interrupt."""
    engine, interrupt = Engine(EngineAddress(server.url)), Interrupt()
    context = BackendContext(owner, None, FakeClock())
    yield BuildxSweep(engine, context, TTL, ("image:1",), interrupt), interrupt
    engine.disconnect()


def found(running=True):
    return Builder("b1", "buildx_buildkit_a0", "", DAYS_AGO, is_running=running)


def test_a_builder_goes_on_if_the_daemon_stops_amid_its_removal(server, sweeping, monkeypatch):
    monkeypatch.setattr(buildx_sweep, "UNDO_SECONDS", 0.5)
    sweep, interrupt = sweeping

    def interrupted(conversation):
        interrupt.set()
        answer(status=204)(conversation)

    server.on("GET", "/containers/b1/json", answer(BUILDER), times=9)
    server.on("POST", "/containers/b1/pause", interrupted)
    server.on("GET", "/containers/b1/top", lambda conversation: conversation.ended.wait())
    server.on("POST", "/containers/b1/unpause", answer(status=204))

    with pytest.raises(Interrupted):
        sweep.remove_builder(found())
    assert len(server.requests("POST", "/unpause")) == 1
    assert server.requests("DELETE", "/containers/b1") == []


def test_a_builder_goes_on_if_the_engine_cannot_remove_it(server, sweeping):
    server.on("GET", "/containers/b1/json", answer(BUILDER), times=9)
    server.on("POST", "/containers/b1/pause", answer(status=204))
    top = {"Titles": ["PID", "PPID", "CMD"], "Processes": [["10", "1", "buildkitd"]]}
    server.on("GET", "/containers/b1/top", answer(top))
    server.on("DELETE", "/containers/b1", answer({"message": "the driver failed"}, 500))
    server.on("POST", "/containers/b1/unpause", answer(status=204))

    with pytest.raises(BackendError, match=r"cannot remove builder buildx_buildkit_a0: .* the driver failed"):
        sweeping[0].remove_builder(found())
    assert len(server.requests("POST", "/unpause")) == 1


def test_one_that_the_engine_cannot_remove_keeps_no_other_from_going(server, sweeping):
    ended = {"Running": False, "StartedAt": DAYS_AGO}
    listed = []
    for number in (1, 2):
        name = f"buildx_buildkit_a{number}"
        mounts = [{"Name": f"{name}_state"}]
        found = {"Id": f"b{number}", "Name": f"/{name}", "State": ended, "Mounts": mounts}
        found["Config"] = {"Image": "moby/buildkit"}
        listed.append({"Id": found["Id"]})
        server.on("GET", f"/containers/b{number}/json", answer(found), times=9)
        server.on("DELETE", f"/volumes/{name}_state", answer(status=204))
    server.on("GET", "/info", answer({"SystemTime": "2026-02-02T03:04:05Z"}), times=9)
    server.on("GET", "/containers/json", answer(listed))
    server.on("DELETE", "/containers/b1", answer({"message": "device or resource busy"}, 500))
    server.on("DELETE", "/containers/b2", answer(status=204))
    server.on("GET", "/volumes", answer({"Volumes": []}))

    with pytest.raises(BackendError, match="cannot remove builder") as caught:
        sweeping[0].run()
    assert "busy; removed builder buildx_buildkit_a2 and volume buildx_buildkit_a2_state" in str(caught.value)
    assert [one.target.rpartition("/")[2] for one in server.requests("DELETE", "/volumes/")] == [
        "buildx_buildkit_a2_state"
    ]


@pytest.mark.parametrize("status", [409, 404])
def test_one_that_cannot_be_paused_is_not_unpaused(server, sweeping, status):
    server.on("GET", "/containers/b1/json", answer(BUILDER), times=9)
    server.on("POST", "/containers/b1/pause", answer({"message": "it is paused"}, status))

    assert not sweeping[0].remove_builder(found())
    assert server.requests("POST", "/unpause") == []


def test_a_volume_counts_as_used_if_the_look_into_it_was_cut_short(server, sweeping):
    """By another daemon, whose look has the same name: the files that are missing in it may be new."""
    stat = base64.b64encode(json.dumps({"name": "state", "mtime": DAYS_AGO}).encode()).decode()
    seen = answer(headers={"X-Docker-Container-Path-Stat": stat})
    server.on("POST", "/containers/create", answer({"Id": "c1"}, 201))
    server.on("HEAD", "/containers/c1/archive", seen)
    server.on("HEAD", "/containers/c1/archive", answer(status=404), times=99)

    assert sweeping[0]._use.last("buildx_buildkit_a0_state", Interrupt()) == NEVER


# -- the processes of a builder -----------------------------------------------------------------------

INIT, DAEMON = "/sbin/docker-init -- buildkitd", "buildkitd --allow-insecure-entitlement network.host"


def processes(*rows):
    return [{"PID": pid, "PPID": parent, "CMD": command} for pid, parent, command in rows]


@pytest.mark.parametrize(
    "rows",
    [
        [("10", "1", DAEMON)],
        [("10", "1", INIT), ("11", "10", DAEMON)],
        [
            ("10", "1", "rootlesskit buildkitd"),
            ("11", "10", "/exe buildkitd"),
            ("12", "11", "buildkitd"),
        ],
    ],
)
def test_only_the_daemon_is_no_build(rows):
    assert only_its_daemon(processes(*rows), "10")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("11", "1", DAEMON)],
        [("10", "1", DAEMON), ("20", "1", "buildctl dial-stdio")],
        [("10", "1", DAEMON), ("20", "1", "buildkitd --version")],
        [("10", "1", DAEMON), ("20", "10", "buildkit-runc run abc")],
        [("10", "1", INIT), ("11", "10", DAEMON), ("20", "11", "/bin/sh -c make")],
        [("10", "1", INIT), ("11", "10", DAEMON), ("20", "10", "/bin/sh")],
    ],
)
def test_anything_else_may_be_a_build(rows):
    assert not only_its_daemon(processes(*rows), "10")
