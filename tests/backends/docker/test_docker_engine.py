from __future__ import annotations

import errno
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.wire_server import WireServer, answer

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.errors import BackendDown, BackendError, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.net.admission import Turn

PATIENCE = 60.0


@pytest.fixture
def mute(tmp_path):
    """An engine that accepts connections and answers nothing."""
    path = tmp_path / "mute.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        yield Engine(EngineAddress(f"unix://{path}"))


def ping(engine, interrupt=None, **options):
    with engine.call("ask", interrupt, **options) as api:
        return api.ping()


def test_a_dead_engine_fails_calls_but_not_the_construction(tmp_path):
    engine = Engine(EngineAddress(f"unix://{tmp_path}/absent.sock"))

    with pytest.raises(BackendDown, match=r"cannot ask: the engine's socket .*absent\.sock does not exist"):
        ping(engine)


def test_an_unknown_scheme_fails_calls_with_a_clear_line():
    with pytest.raises(BackendError, match="unknown scheme"):
        ping(Engine(EngineAddress("gopher://there")))


@pytest.mark.parametrize("body", [[], {}, {"ApiVersion": "latest"}, {"ApiVersion": 1.4}, "hello"])
def test_what_is_no_engine_is_called_so(body):
    with WireServer() as server:
        server.on("GET", "/version", answer(body))

        with pytest.raises(BackendDown, match="is no Docker engine"):
            ping(Engine(EngineAddress(server.url)))


@pytest.mark.parametrize("config", ['{"auths": {"r": {"auth": "%"}}}', '{"auths": {"r": 1}}', "[1]"])
def test_a_docker_configuration_that_cannot_be_used_is_named(tmp_path, monkeypatch, config):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(config)

    with pytest.raises(BackendError, match="the Docker configuration of this program's user"):
        ping(Engine(EngineAddress("tcp://127.0.0.1:9")))


def test_a_call_to_a_mute_engine_is_cancelled_by_its_interrupt(mute):
    interrupt = Interrupt()
    timer = threading.Timer(0.05, interrupt.set)
    timer.start()

    with pytest.raises(Interrupted):
        ping(mute, interrupt)

    timer.join()


def test_a_mute_engine_is_waited_for_no_longer_than_the_call_allows(mute):
    with pytest.raises(BackendDown, match="does not answer in time"):
        ping(mute, seconds=0.05)


def test_what_was_being_handled_before_is_no_reason(mute):
    try:
        raise FileNotFoundError(errno.ENOENT, "the trouble before")
    except FileNotFoundError:
        with pytest.raises(BackendDown, match="does not answer in time"):
            ping(mute, seconds=0.05)


def test_a_call_that_waits_for_others_is_interrupted_too(mute):
    engine = Engine(mute.address, max_changes=1)
    first, second = Interrupt(), Interrupt()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(ping, engine, one, turn=Turn.USUAL) for one in (first, second)]
        second.set()
        first.set()

        assert [type(call.exception(PATIENCE)) for call in calls] == [Interrupted, Interrupted]


def test_an_interrupted_call_that_only_waits_gets_no_grace(mute):
    engine = Engine(mute.address, max_changes=0)
    interrupt = Interrupt()
    timer = threading.Timer(0.05, interrupt.set)
    timer.start()

    with pytest.raises(Interrupted):
        ping(engine, interrupt, turn=Turn.USUAL, grace=PATIENCE, seconds=PATIENCE / 2)

    timer.join()
    assert [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)] == []


def test_a_request_that_was_sent_gets_its_grace_and_is_cancelled_then(mute):
    interrupt = Interrupt()
    timer = threading.Timer(0.05, interrupt.set)
    timer.start()

    with pytest.raises(Interrupted):
        ping(mute, interrupt, grace=0.1)

    timer.join()


@pytest.mark.engine
def test_a_late_cancellation_spares_the_next_call_on_the_same_connection(engine_url):
    engine = Engine(EngineAddress(engine_url), max_changes=1)
    late = []

    class Late(Interrupt):
        def cancelling(self, cancel):
            late.append(cancel)
            return super().cancelling(cancel)

    assert ping(engine, Late())
    with engine.call("ask") as api:
        assert api.ping()
        for cancel in late:
            cancel()
        assert api.ping()
    engine.disconnect()


@pytest.mark.engine
def test_connections_are_used_again(engine_url):
    engine = Engine(EngineAddress(engine_url))
    for _ in range(5):
        ping(engine)
        with engine.call("list") as api:
            api.containers(all=True, filters={"label": ["nobody=has"]})
    with engine.call("look") as api:
        pool = api.get_adapter("http+docker://localhost/").get_connection_with_tls_context(None, None)

    assert pool.num_connections == 1
    engine.disconnect()
