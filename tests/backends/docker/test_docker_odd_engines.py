"""Answers that only some engines give. With the real ones: test_engine_kinds.py."""

from __future__ import annotations

import pytest
from support.engine import engine_address
from support.wire_server import WireServer, answer

from runscaler.backends.base import BackendContext, Resource
from runscaler.backends.docker import factory
from runscaler.backends.docker.local import import_image, route_to_host
from runscaler.clock import SystemClock
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import StartFailed
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName, SlotNumber, new_owner_id
from runscaler.testing.backend_contract import Orders

DOCKER = {"ApiVersion": "1.41"}
PODMAN = DOCKER | {"Components": [{"Name": "Podman Engine"}]}
GONE = answer({"message": "no such container"}, 404)


@pytest.fixture
def server():
    with WireServer() as server:
        yield server


class Rig:
    """A backend on the scripted engine."""

    def __init__(self, url):
        self.owner = new_owner_id()
        self.docker = {"host": url, "dind": False}
        self.backend = factory.create(self.settings(), BackendContext(self.owner, None, SystemClock()))

    def settings(self, _script=None):
        return ScaleSetSettings(
            url="https://github.com/o",
            name="linux",
            token=Secret("t"),
            runner_image="image:1",
            docker=DockerSettings(**self.docker),
        )

    @property
    def resource(self):
        key = self.settings().key
        return Resource("c1", self.owner, key, SlotNumber(0), RunnerName("runner-1"), 1, 0.0)


@pytest.fixture
def rig(server):
    rig = Rig(server.url.replace("http://", "tcp://"))
    yield rig
    rig.backend.close()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(b""), None),
        (answer({"Processes": None}), None),
        (answer({"Processes": []}), None),
        (answer({"Processes": [["1", "/bin/sh"]]}), False),
        (answer({"Processes": [["1", "bin/Runner.Worker"]]}), True),
    ],
)
def test_an_engine_that_lists_no_process_cannot_tell_whether_a_job_runs(server, rig, reply, expected):
    server.on("GET", "/version", answer(PODMAN))
    server.on("GET", "/top", reply)

    assert rig.backend.runs_a_job(rig.resource, Interrupt()) is expected


@pytest.mark.parametrize(
    ("inspected", "expected"),
    [
        (answer({"State": {"Running": True}}), None),
        (answer({"State": {"Running": False}}), False),
        (GONE, False),
    ],
)
def test_no_job_runs_in_a_container_that_ended_while_its_processes_were_asked_for(
    server, rig, inspected, expected
):
    server.on("GET", "/version", answer(DOCKER))
    server.on("GET", "/top", answer({"message": "ps: exit status 1"}, 500))
    server.on("GET", "/containers/c1/json", inspected)

    assert rig.backend.runs_a_job(rig.resource, Interrupt()) is expected


@pytest.mark.parametrize(("version", "kills"), [(PODMAN, 1), (DOCKER, 0)])
def test_podman_whose_removal_waits_for_sigterm_gets_a_kill_first(server, rig, version, kills):
    server.on("GET", "/version", answer(version))
    server.on("POST", "/kill", answer({}))
    server.on("DELETE", "/containers/c1", answer({}))
    server.on("GET", "/containers/c1/json", GONE)

    rig.backend.remove(rig.resource, force=True, interrupt=Interrupt())

    assert len(server.requests("POST", "/kill")) == kills
    assert len(server.requests("DELETE", "/containers/c1")) == 1


def test_the_engines_own_warnings_are_logged_once(server, rig, log_lines):
    server.on("GET", "/version", answer(DOCKER))
    server.on("GET", "/info", answer({}))
    server.on("POST", "/create", answer({"Id": "c1", "Warnings": ["no swap\n limit"]}), times=2)
    server.on("POST", "/start", answer({}), times=2)
    orders = Orders(rig)

    for _ in range(2):
        rig.backend.start(orders.make(), Interrupt())

    assert [line.strip() for line in log_lines] == [f"the engine {rig.docker['host']} says: no swap limit"]


def test_an_engine_whose_containers_lack_a_group_says_which_key_sets_it(server, rig):
    server.on("GET", "/version", answer(DOCKER))
    server.on("GET", "/info", answer({}))
    server.on("POST", "/create", answer({"Id": "c1"}))
    server.on("POST", "/start", answer({"message": "runc: setgroups: invalid argument"}, 500))
    server.on("GET", "/containers/json", answer([]))

    with pytest.raises(StartFailed) as caught:
        rig.backend.start(Orders(rig).make(), Interrupt())

    assert any("dind-group" in fix for fix in caught.value.fixes)


def test_a_group_by_hand_is_given_to_the_runner_without_a_look(server, rig):
    rig.docker |= {"dind": True, "dind_group": "123"}
    server.on("GET", "/version", answer(DOCKER))
    server.on("GET", "/info", answer({}))
    server.on("POST", "/create", answer({"Id": "c1"}))
    server.on("POST", "/start", answer({}))

    rig.backend.start(Orders(rig).make(), Interrupt())

    (create,) = server.requests("POST", "/create")
    assert create.json["HostConfig"]["GroupAdd"] == ["123", "0"]


def test_a_helper_container_is_removed_with_its_anonymous_volumes(server, rig):
    rig.docker["shared_volume"] = "/shared"
    server.on("GET", "/version", answer(DOCKER))
    server.on("GET", "/images/", answer({"Created": "", "Architecture": "amd64"}), times=9)
    server.on("POST", "/images/create", answer({"status": "done"}))
    server.on("POST", "/volumes/create", answer({"CreatedAt": "now", "Labels": {}}))
    server.on("POST", "/containers/create", answer({"Id": "helper"}))
    server.on("PUT", "/archive", answer({}))
    server.on("DELETE", "/containers/", answer({}), times=2)

    rig.backend.prepare(rig.settings(), lambda *_: None, Interrupt())

    assert ["v=True" in one.target for one in server.requests("DELETE", "/containers/")] == [True]


@pytest.mark.parametrize("spelling", ["demo:2", "docker.io/library/demo:2", "localhost/demo:2"])
def test_an_import_removes_older_tags_and_never_its_own_however_the_engine_spells_it(server, spelling):
    old, other = spelling.replace(":2", ":1"), "docker.io/library/demolition:1"
    server.on("GET", "/version", answer(PODMAN))
    server.on("POST", "/images/create", answer({"status": "done"}))
    server.on("GET", "/images/json", answer([{"RepoTags": [spelling, old, other]}, {"RepoTags": None}]))
    server.on("DELETE", "/images/", answer([]), times=9)

    import_image(engine_address(server.url.replace("http://", "tcp://")), "demo:2", b"layer", ())

    (removed,) = server.requests("DELETE", "/images/")
    assert f"/images/{old}?" in removed.target
    assert "repo=demo%3A2" in server.requests("POST", "/images/create")[0].target


ROOTLESS = ["name=rootless"]


@pytest.mark.parametrize(
    ("info", "network", "is_loopback"),
    [
        ({}, "host", True),
        ({"SecurityOptions": ROOTLESS}, "host", False),
        ({"SecurityOptions": ROOTLESS, "BuildahVersion": "1.28"}, "host", True),
    ],
)
def test_containers_of_an_engine_over_tcp_reach_this_host_if_it_is_here(
    server, monkeypatch, info, network, is_loopback
):
    monkeypatch.setattr("runscaler.backends.docker.local.socket.gethostname", lambda: "here")
    server.on("GET", "/version", answer(DOCKER), times=2)
    server.on("GET", "/info", answer({"Name": "here"} | info))
    server.on("GET", "/info", answer({"Name": "elsewhere"} | info))
    address = engine_address(server.url.replace("http://", "tcp://"))

    way = route_to_host(address)

    if way is not None or is_loopback:  # a host without a network has no other address
        assert way.network == network
        assert (way.address == "127.0.0.1") == is_loopback
    assert route_to_host(address) is None


def test_a_jit_configuration_is_fetched_after_the_looks_at_the_engine(server, rig):
    """A runner that cannot start for its engine's sake is not registered."""
    asked = []
    server.on("GET", "/version", answer(DOCKER))
    server.on("GET", "/info", answer({"message": "no"}, 500))
    server.on("GET", "/containers/json", answer([]))

    with pytest.raises(StartFailed):
        rig.backend.start(Orders(rig).make(before_jit=lambda: asked.append(1)), Interrupt())

    assert asked == []
