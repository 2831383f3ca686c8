from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.daemon import wait_until
from support.engine import RunnerScript, connect
from support.engine_proxy import EngineProxy
from support.relay import ShortFolder

from runscaler.backends.base import BackendContext
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.backend import DockerBackend
from runscaler.backends.docker.engine import Engine
from runscaler.clock import SystemClock
from runscaler.errors import BackendDown, ImageMissing, Interrupted, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.net.admission import Turn
from runscaler.testing.backend_contract import PATIENCE, Orders
from runscaler.testing.backend_rig import wait_for_output

pytestmark = pytest.mark.engine


@pytest.fixture
def backend(rig, owner):
    backend = rig.open(owner)
    yield backend
    backend.close()


@pytest.fixture
def orders(rig):
    return Orders(rig)


@pytest.fixture
def api(engine_url):
    with connect(engine_url) as api:
        yield api


def started(backend, orders, rig, script="exec sleep 600", ca="", **docker):
    order = orders.make()
    settings = rig.settings(RunnerScript(), run_command=f'/bin/sh -c "{script}"', **docker)
    return backend.start(replace(order, settings=settings.model_copy(update={"ca": ca})), Interrupt())


def output_of(api, resource):
    api.wait(resource.id, timeout=60)
    return api.logs(resource.id).decode()


def test_a_runner_runs_as_its_user_in_a_container_of_its_name(backend, orders, rig, api):
    resource = started(backend, orders, rig, "id -u; id -g")

    assert output_of(api, resource) == "1001\n123\n"
    assert api.inspect_container(resource.id)["Name"] == f"/{resource.runner}"


def test_the_jit_configuration_is_in_the_environment_and_in_no_label_or_argument(backend, orders, rig, api):
    order = orders.make()
    jit = order.jit().encoded.reveal()

    resource = backend.start(order, Interrupt())

    config = api.inspect_container(resource.id)["Config"]
    assert f"ACTIONS_RUNNER_INPUT_JITCONFIG={jit}" in config["Env"]
    assert jit not in str({**config, "Env": ()})


def test_a_runner_is_never_restarted(backend, orders, rig, api):
    resource = started(backend, orders, rig, "exit 1")

    api.wait(resource.id, timeout=60)
    inspected = api.inspect_container(resource.id)
    assert inspected["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert inspected["RestartCount"] == 0


def test_limits_hold(backend, orders, rig, api):
    resource = started(backend, orders, rig, memory=64, cpu=0.5)

    host = api.inspect_container(resource.id)["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (64 * 1024 * 1024, 500_000_000)


def test_memory_that_runs_out_is_reported(backend, orders, rig, api):
    # The shell doubles a text until the limit ends it.
    resource = started(backend, orders, rig, "x=xxxxxxxx; while true; do x=$x$x; done", memory=16)

    api.wait(resource.id, timeout=60)
    (listed,) = backend.inventory()
    assert listed.ending.out_of_memory
    assert (listed.ending.exit_code, listed.ending.signal) == (137, 9)


def test_certificates_are_in_the_container_where_the_variables_say(backend, orders, rig, api, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("a certificate\n")
    script = "cat $NODE_EXTRA_CA_CERTS; head -n 1 $SSL_CERT_FILE; grep -c BEGIN $SSL_CERT_FILE"

    resource = started(backend, orders, rig, script, ca=str(ca))

    *own, public = output_of(api, resource).splitlines()
    assert own == ["a certificate"] * 2
    assert int(public) > 50


def test_certificates_that_cannot_be_read_leave_nothing(backend, orders, rig):
    with pytest.raises(StartFailed, match=r"no-such\.pem"):
        started(backend, orders, rig, ca="/no-such.pem")

    assert rig.leftovers() == []


def test_a_job_reaches_the_engine_through_the_mounted_socket(backend, orders, rig, api):
    socket = rig.url.removeprefix("unix://")
    if not socket.startswith("/"):
        pytest.skip("the engine is not on this host")

    resource = started(backend, orders, rig, "stat -c %g /var/run/docker.sock; id -G", dind=True)

    group, groups = output_of(api, resource).splitlines()
    assert int(group) == Path(socket).stat().st_gid
    assert {group, "0"} <= set(groups.split())


WORKER = "exec /bin/sh -c 'sleep 600; :' Runner.Worker"


def test_a_job_is_seen_by_its_worker_process(backend, orders, rig, api):
    busy = started(backend, orders, rig, WORKER)
    idle = started(backend, orders, rig)

    while not backend.runs_a_job(busy, Interrupt()):
        assert api.inspect_container(busy.id)["State"]["Running"], output_of(api, busy)
    assert backend.runs_a_job(idle, Interrupt()) is False


def test_nothing_runs_in_what_ended_or_is_gone(backend, orders, rig, api):
    resource = started(backend, orders, rig, "exit 0")
    api.wait(resource.id, timeout=60)

    assert backend.runs_a_job(resource, Interrupt()) is False
    backend.remove(resource, force=False, interrupt=Interrupt())
    assert backend.runs_a_job(resource, Interrupt()) is False


def test_a_command_that_is_not_there_fails_the_start_and_says_so(backend, orders, rig):
    order = replace(orders.make(), settings=rig.settings(RunnerScript(), run_command="/no/such/program"))

    with pytest.raises(StartFailed, match="/no/such/program") as caught:
        backend.start(order, Interrupt())

    assert rig.url in str(caught.value)
    assert order.runner in str(caught.value)
    assert order.settings.runner_image in str(caught.value)
    assert rig.leftovers() == []


def test_an_image_that_is_not_there_is_said_to_be_missing(backend, orders, rig):
    order = replace(orders.make(), settings=rig.unusable_settings())

    with pytest.raises(ImageMissing, match="runscaler-test-absent"):
        backend.start(order, Interrupt())


def test_a_taken_name_leaves_its_holder_alone(backend, orders, rig):
    order = orders.make()
    holder = backend.start(order, Interrupt())

    with pytest.raises(StartFailed, match="already in use"):
        backend.start(order, Interrupt())

    assert [listed.id for listed in backend.inventory()] == [holder.id]


def test_a_mute_engine_lets_go_of_an_interrupted_start(rig, orders, tmp_path, owner):
    path = tmp_path / "mute.sock"
    interrupt = Interrupt()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        settings = rig.settings(RunnerScript(), host=f"unix://{path}")
        mute = rig.open_with(settings, owner)
        timer = threading.Timer(0.05, interrupt.set)
        timer.start()

        with pytest.raises(Interrupted):
            mute.start(replace(orders.make(), settings=settings), interrupt)

        timer.join()


def test_a_dead_engine_is_down_for_every_call(rig, orders, tmp_path, owner):
    settings = rig.settings(RunnerScript(), host=f"unix://{tmp_path}/absent.sock")
    dead = rig.open_with(settings, owner)

    for call in (
        dead.inventory,
        lambda: dead.prepare(settings, lambda *_: None, Interrupt()),
        lambda: dead.start(replace(orders.make(), settings=settings), Interrupt()),
    ):
        with pytest.raises(BackendDown):
            call()
    (finding,) = dead.check(settings)
    assert finding.level == "error"
    assert finding.fixes


def test_a_runner_that_has_its_grace_takes_no_place_of_calls_that_change_containers(
    rig, orders, owner, engine_url
):
    backend = DockerBackend(
        Engine(EngineAddress(engine_url), max_changes=1), BackendContext(owner, None, SystemClock())
    )
    stays = started(
        backend, orders, rig, "trap 'echo terminated' TERM; echo ready; while :; do sleep 9 & wait; done"
    )
    interrupt = Interrupt()
    wait_for_output(backend, stays, b"ready")

    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(backend.remove, stays, force=True, interrupt=interrupt, grace=2 * PATIENCE)
        try:
            wait_for_output(backend, stays, b"terminated")
            other = backend.start(orders.make(), Interrupt())
            is_waiting = not removal.done()
        finally:
            interrupt.set()

    assert is_waiting
    assert isinstance(removal.exception(), Interrupted)
    assert {listed.id for listed in backend.inventory()} == {stays.id, other.id}
    for one in (stays, other):
        backend.remove(one, force=True, interrupt=Interrupt())
    backend.close()


@pytest.mark.parametrize(
    ("method", "path", "ask"),
    [
        ("DELETE", "", lambda backend, one: backend.remove(one, force=True, interrupt=Interrupt())),
        ("GET", "/top", lambda backend, one: backend.runs_a_job(one, Interrupt())),
        ("GET", "/logs", lambda backend, one: backend.logs(one, 100, Interrupt())),
    ],
    ids=["remove", "look", "read"],
)
def test_a_start_overtakes_calls_about_what_is_there(rig, orders, owner, engine_url, method, path, ask):
    """Of two places one is for these: the engine does not answer the first, and the second waits."""
    rig.open(owner)  # so that it removes what is left
    with ShortFolder() as folder, EngineProxy(engine_url, folder / "proxy.sock") as proxy:
        engine = Engine(EngineAddress(proxy.url), max_changes=2)
        backend = DockerBackend(engine, BackendContext(owner, None, SystemClock()))
        earlier = [backend.start(orders.make(), Interrupt()) for _ in range(2)]
        mute = proxy.hold(method, f"/containers/[0-9a-f]+{path}")
        with ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(ask, backend, one) for one in earlier]
            try:
                wait_until(lambda: mute.hits == 1 and engine._changes.waiting == 1, "one call and a waiter")
                late = backend.start(orders.make(), Interrupt())
                sent_meanwhile = mute.hits
            finally:
                proxy.lift(mute)

        assert sent_meanwhile == 1
        errors = [error for one in calls if (error := one.exception()) is not None]
        assert [type(error) for error in errors] == [BackendDown]  # of the one that was held
        for one in earlier:
            backend.remove(one, force=True, interrupt=Interrupt())
        assert [listed.id for listed in backend.inventory()] == [late.id]
        backend.close()


def test_the_rest_of_a_start_goes_before_another_start(rig, orders, owner, engine_url):
    """Else of many starts at once all containers would be created before the first one runs."""
    turns = []

    class Recorded(Engine):
        def call(self, doing, *arguments, turn=None, **options):
            turns.append((doing.split()[0], turn))
            return super().call(doing, *arguments, turn=turn, **options)

    rig.open(owner)  # so that it removes what is left
    backend = DockerBackend(Recorded(EngineAddress(engine_url)), BackendContext(owner, None, SystemClock()))
    backend.start(orders.make(), Interrupt())

    assert turns == [("ask", Turn.FIRST), ("create", Turn.USUAL), ("start", Turn.FIRST)]
    backend.close()
