"""An engine whose answers have another shape than the API's: one clear line, and nothing is believed."""

from __future__ import annotations

import pytest
from support.wire_server import WireServer, answer

from runscaler.backends.base import BackendContext, Resource
from runscaler.backends.docker import transport
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.backend import DockerBackend
from runscaler.backends.docker.engine import Engine
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import BackendError, StartFailed
from runscaler.findings import Level
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName, ScaleSetKey, SlotNumber, new_owner_id
from runscaler.testing.backend_contract import Orders
from runscaler.testing.clock import FakeClock

OWNER = new_owner_id()
RUNNER = RunnerName("runner-0011aabb")
LABELS = {
    "managed-by": "runner",
    "io.runscaler.owner": OWNER,
    "io.runscaler.url": "https://github.com/my-org",
    "io.runscaler.scale-set": "linux",
    "io.runscaler.runner-group": "default",
    "io.runscaler.slot": "3",
    "io.runscaler.runner": RUNNER,
    "io.runscaler.runner-id": "7",
}


def short(value):
    return str(value)[:30]


RUNNING = {"Id": "c1", "Labels": LABELS, "Created": 12, "State": "running"}
ENDED = {**RUNNING, "State": "exited"}
DEEP = b"[" * 100_000
LONG_NUMBER = b'[{"Created": ' + b"9" * 5000 + b"}]"


@pytest.fixture
def server():
    with WireServer() as made:
        made.on("GET", "/version", answer({"ApiVersion": "1.43", "Version": "27"}), times=99)
        yield made


@pytest.fixture
def backend(server):
    made = DockerBackend(Engine(EngineAddress(server.url)), BackendContext(OWNER, None, FakeClock()))
    yield made
    made.close()


def resource():
    key = ScaleSetKey.of("https://github.com/my-org", "default", "linux")
    return Resource("c1", OWNER, key, SlotNumber(3), RUNNER, 7, 12.0)


class Settings:
    """What `Orders` needs of a rig."""

    def settings(self, script=None):
        return ScaleSetSettings(url="https://github.com/my-org", name="linux", token=Secret("t"))


class WithoutSocket:
    def settings(self, script=None):
        settings = Settings().settings(script)
        return settings.model_copy(update={"docker": DockerSettings(dind=False)})


def test_a_list_as_it_should_be_is_read(server, backend):
    server.on("GET", "/containers/json", answer([RUNNING]))

    assert backend.inventory() == [resource()]


@pytest.mark.parametrize(
    "listed",
    [None, {}, "x", 7, [7], [None], [{**RUNNING, "Id": None}], [{**RUNNING, "Id": "../x"}], DEEP, LONG_NUMBER,
     b"<html>", b"\xff\xfe", b"NaN"],
    ids=short,
)  # fmt: skip
def test_a_list_that_is_none_is_no_empty_list(server, backend, listed):
    server.on("GET", "/containers/json", answer(b"null" if listed is None else listed))

    with pytest.raises(BackendError, match="cannot list containers: the engine answers nonsense: "):
        backend.inventory()


@pytest.mark.parametrize(
    "inspected",
    [[], {}, {"State": None}, {"State": "exited"}, {"State": {}}, {"State": {"Running": "no"}}, DEEP],
    ids=short,
)
def test_a_container_whose_state_cannot_be_read_has_not_ended(server, backend, inspected):
    server.on("GET", "/containers/json", answer([ENDED]))
    server.on("GET", "/containers/c1/json", answer(inspected))

    with pytest.raises(BackendError, match="the engine answers nonsense: "):
        backend.inventory()


@pytest.mark.parametrize("code", [None, "0", 10**30, True, 1.5, [1]], ids=str)
def test_an_end_without_an_exit_code_is_an_end_all_the_same(server, backend, code):
    state = {"Running": False, "Status": "exited", "ExitCode": code, "FinishedAt": 7, "OOMKilled": None}
    server.on("GET", "/containers/json", answer([ENDED]))
    server.on("GET", "/containers/c1/json", answer({"State": state}))

    (ended,) = backend.inventory()

    assert ended.ending.exit_code is None
    assert ended.ending.at == 0.0


def test_a_container_with_labels_that_cannot_be_read_is_left_alone_and_named_once(server, backend, log_lines):
    foreign = {**RUNNING, "Id": "c2", "Labels": {**LABELS, "io.runscaler.runner": "/etc/passwd"}}
    absurd = {**RUNNING, "Id": "c3", "Labels": {**LABELS, "io.runscaler.slot": "9" * 5000}}
    server.on(
        "GET", "/containers/json", answer([RUNNING, foreign, absurd, {"Id": "c4", "Labels": None}]), times=2
    )

    assert [one.id for one in backend.inventory()] == ["c1"]
    assert [one.id for one in backend.inventory()] == ["c1"]

    (line,) = [line for line in log_lines if "left alone" in line]
    assert "container c2" in line
    assert "container c3" in line
    assert len(line) < 500


@pytest.mark.parametrize("created", [[], {}, {"Id": 7}, {"Id": ""}, {"Id": "a/../b"}, DEEP], ids=short)
def test_an_answer_to_create_that_is_none_fails_the_start_and_is_undone(server, backend, created):
    server.on("GET", "/info", answer({}))
    server.on("POST", "/containers/create", answer(created, 201))
    server.on("GET", "/containers/json", answer([{"Id": "c9"}]))
    server.on("DELETE", "/containers/c9", answer(None, 204))

    with pytest.raises(StartFailed, match="the engine answers nonsense"):
        backend.start(Orders(WithoutSocket()).make(), Interrupt())

    assert len(server.requests("DELETE", "/containers/c9")) == 1


@pytest.mark.parametrize("top", [[], {}, {"Processes": "x"}, {"Processes": ["x"]}, DEEP], ids=short)
def test_processes_that_are_none_say_nothing_about_a_job(server, backend, top):
    server.on("GET", "/containers/c1/top", answer(top))

    with pytest.raises(BackendError, match="the engine answers nonsense"):
        backend.runs_a_job(resource(), Interrupt())


@pytest.mark.parametrize("refusal", [[], {"msg": "x"}, "x", DEEP], ids=short)
def test_a_refusal_of_another_shape_is_an_error_with_a_clear_line(server, backend, refusal):
    server.on("DELETE", "/containers/c1", answer(refusal, 500))

    with pytest.raises(BackendError, match="cannot remove container runner-0011aabb"):
        backend.remove(resource(), force=True, interrupt=Interrupt())


@pytest.mark.parametrize("image", [[], "x", DEEP], ids=short)
def test_an_image_that_is_none_is_a_finding(server, backend, image):
    server.on("GET", "/images/", answer(image))

    found = backend.check(Settings().settings())

    assert [one.level for one in found] == [Level.ERROR]
    assert "the engine answers nonsense" in found[0].message


def test_an_answer_without_an_end_is_not_read_to_its_end(server, backend, monkeypatch):
    monkeypatch.setattr(transport, "MAX_ANSWER", 100_000)
    server.on("GET", "/containers/json", answer(b"[" + b" " * 200_000 + b"]"))

    with pytest.raises(BackendError, match="the engine answers nonsense: more than"):
        backend.inventory()
