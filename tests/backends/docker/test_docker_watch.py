from __future__ import annotations

import json
import threading

import pytest
from support.engine import DockerRig, shell_image
from support.engine_proxy import EngineProxy
from support.relay import ShortFolder
from support.wire_server import WireServer, answer, head

from runscaler.backends.base import BackendAvailable, BackendUnavailable, Ending, ResourceEnded, WatchCrashed
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.answers import Nonsense
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.missed_ends import MissedEnds
from runscaler.backends.docker.watch import LONGEST_PAUSE, Endings, SidecarLost, Watch, engine_time
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.testing.backend_contract import PATIENCE, Orders
from runscaler.testing.clock import FakeClock


class Seen:
    """What was reported, in order, to wait on."""

    def __init__(self):
        self.all = []
        self._changed = threading.Condition()

    def __call__(self, observation):
        with self._changed:
            self.all.append(observation)
            self._changed.notify_all()

    def await_up_again(self):
        """Up after the last time down, whatever else was seen since."""

        def is_up():
            states = [one for one in self.all if isinstance(one, BackendAvailable | BackendUnavailable)]
            return bool(states) and isinstance(states[-1], BackendAvailable)

        with self._changed:
            assert self._changed.wait_for(is_up, PATIENCE), f"not up again: {self.all}"

    def await_count(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= count, PATIENCE), f"too few: {self.all}"

    def await_last(self, kind):
        with self._changed:
            ok = self._changed.wait_for(lambda: self.all and isinstance(self.all[-1], kind), PATIENCE)
        assert ok, f"no {kind.__name__} last: {self.all}"
        return self.all[-1]

    def await_end_of(self, resource):
        def found():
            return next((o for o in self.all if getattr(o, "resource_id", "") == resource.id), None)

        with self._changed:
            end = self._changed.wait_for(found, PATIENCE)
        assert end, f"no end of {resource.id}: {self.all}"
        return end


def watch_of(engine, owner, clock, since, report, **seconds):
    """For tests in which the events tell all ends."""
    return Watch(engine, owner, clock, since, report, MissedEnds(engine.url, clock, list), **seconds)


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def proxy(engine_url):
    with ShortFolder() as folder, EngineProxy(engine_url, folder / "proxy.sock") as proxy:
        yield proxy


OURS = new_owner_id()


def event(action, container="c", owner=OURS, **attributes):
    labels = {"io.runscaler.owner": owner}
    return {"Action": action, "Actor": {"ID": container, "Attributes": attributes | labels}}


def test_an_end_tells_exit_code_and_signal():
    endings = Endings(OURS)

    assert endings.observe(event("die", exitCode="7"), 5.0) == ResourceEnded("c", Ending(7, None, False, 5.0))
    assert endings.observe(event("die", exitCode="137"), 5.0) == ResourceEnded(
        "c", Ending(137, 9, False, 5.0)
    )


def test_memory_that_ran_out_is_reported_with_the_end():
    endings = Endings(OURS)

    assert endings.observe(event("oom"), 4.0) is None
    assert endings.observe(event("die", exitCode="137"), 5.0).ending.out_of_memory
    assert not endings.observe(event("die", "other", exitCode="137"), 5.0).ending.out_of_memory


def test_a_destruction_is_reported_only_if_the_end_was_not():
    endings = Endings(OURS)
    endings.observe(event("die", exitCode="0"), 5.0)

    assert endings.observe(event("destroy"), 6.0) is None
    assert endings.observe(event("destroy", "never-ran"), 6.0) == ResourceEnded("never-ran", None)


def test_podmans_names_of_events_mean_the_same():
    endings = Endings(OURS)

    died = endings.observe(event("died", containerExitCode="3"), 5.0)

    assert died == ResourceEnded("c", Ending(3, None, False, 5.0))
    assert endings.observe(event("remove"), 6.0) is None
    assert endings.observe(event("remove", "never-ran"), 6.0) == ResourceEnded("never-ran", None)


def test_another_owners_events_say_nothing_even_if_the_engine_sends_them():
    endings = Endings(OURS)

    assert endings.observe(event("die", owner=new_owner_id(), exitCode="0"), 5.0) is None
    assert endings.observe(event("destroy", owner=new_owner_id()), 6.0) is None


def test_the_ends_of_helpers_say_nothing():
    labels = {"io.runscaler.helper": "socket", "exitCode": "0"}

    assert Endings(OURS).observe(event("die", **labels), 5.0) is None


SIDECAR = {"io.runscaler.helper": "sidecar", "io.runscaler.runner": "runner-1", "exitCode": "137"}
"""Of the sidecar of runner-1."""


def test_a_sidecar_that_dies_before_its_runner_is_a_reason_to_list():
    assert Endings(OURS).observe(event("die", "sidecar", **SIDECAR), 5.0) == SidecarLost("sidecar")
    assert Endings(OURS).observe(event("destroy", "sidecar", **SIDECAR), 6.0) is None


def test_a_sidecar_that_goes_with_its_runner_says_nothing():
    endings = Endings(OURS)
    endings.observe(event("die", "runner", **{"io.runscaler.runner": "runner-1", "exitCode": "0"}), 4.0)

    assert endings.observe(event("die", "sidecar", **SIDECAR), 5.0) is None


def test_the_engine_is_asked_from_a_time_that_is_finer_than_seconds():
    assert engine_time(1_800_000_000_000_000_005) == "1800000000.000000005"


@pytest.mark.parametrize("action", ["rename", "", None, 7, ["die"]])
def test_other_events_say_nothing(action):
    assert Endings(OURS).observe(event(action), 1.0) is None


@pytest.mark.parametrize(
    "actor",
    [None, [], {}, {"ID": 7}, {"ID": "../x"}, {"ID": "c" * 300}, {"ID": "c", "Attributes": ["x"]}],
    ids=str,
)
def test_what_is_no_event_is_nonsense(actor):
    with pytest.raises(Nonsense):
        Endings(OURS).observe({"Action": "die", "Actor": actor}, 1.0)


@pytest.mark.parametrize(
    "code", ["9" * 5000, "-1", "", "x", "\u00b2", None, {"a": 1}], ids=lambda it: str(it)[:5]
)
def test_an_exit_code_that_is_none_is_not_known(code):
    assert Endings(OURS).observe(event("die", exitCode=code), 1.0).ending.exit_code is None


@pytest.mark.engine
def test_an_engine_that_ends_is_reported_once_and_again_when_it_is_back(private_engine, seen):
    rig = DockerRig(private_engine.url, "unused")
    backend = rig.open(new_owner_id())
    watch = backend.watch(SystemClock().wall(), seen)
    seen.await_last(BackendAvailable)

    private_engine.stop()
    down = seen.await_last(BackendUnavailable)
    private_engine.start()
    seen.await_last(BackendAvailable)

    watch.stop()
    backend.close()
    assert [type(one) for one in seen.all] == [BackendAvailable, BackendUnavailable, BackendAvailable]
    assert private_engine.url in down.reason
    assert any("start the engine" in fix for fix in down.fixes)


@pytest.mark.engine
def test_runners_outlive_a_killed_engine_and_their_ends_are_seen_afterwards(private_engine, seen):
    owner = new_owner_id()
    rig = DockerRig(private_engine.url, shell_image(private_engine.url))
    backend, orders = rig.open(owner), Orders(rig)
    resource = backend.start(orders.make(), Interrupt())
    watch = backend.watch(SystemClock().wall(), seen)
    seen.await_last(BackendAvailable)

    private_engine.kill()
    seen.await_last(BackendUnavailable)
    private_engine.start()
    seen.await_up_again()
    assert [listed.id for listed in backend.inventory()] == [resource.id]
    after = backend.start(orders.make(), Interrupt())
    backend.remove(after, force=True, interrupt=Interrupt())

    assert seen.await_end_of(after).key == after.key
    watch.stop()
    backend.close()


@pytest.mark.engine
def test_an_engine_that_hangs_is_down_until_it_goes_on(private_engine, seen):
    engine = Engine(EngineAddress(private_engine.url))
    watch = watch_of(engine, new_owner_id(), SystemClock(), 0.0, seen, silence_seconds=0.2, ping_seconds=0.2)
    seen.await_last(BackendAvailable)

    private_engine.freeze()
    down = seen.await_last(BackendUnavailable)
    private_engine.thaw()
    seen.await_last(BackendAvailable)

    watch.stop()
    engine.disconnect()
    assert "does not answer in time" in down.reason


@pytest.mark.engine
def test_a_silent_stream_is_resumed_without_a_report(rig, owner, engine_url, seen):
    engine = Engine(EngineAddress(engine_url))
    watch = watch_of(engine, owner, SystemClock(), SystemClock().wall(), seen, silence_seconds=0.05)
    seen.await_last(BackendAvailable)
    backend = rig.open(owner)

    resource = backend.start(Orders(rig).make(), Interrupt())
    backend.remove(resource, force=True, interrupt=Interrupt())

    seen.await_end_of(resource)
    watch.stop()
    engine.disconnect()
    backend.close()
    assert [type(one) for one in seen.all] == [BackendAvailable, ResourceEnded]


@pytest.mark.engine
def test_an_engine_that_refuses_its_events_is_asked_ever_more_slowly(proxy, seen):
    refused = proxy.refuse("GET", "/events", 500, "out of watchers", times=8)
    clock, engine = FakeClock(), Engine(EngineAddress(proxy.url))

    watch = watch_of(engine, new_owner_id(), clock, 0.0, seen)
    seen.await_count(9)

    watch.stop()
    engine.disconnect()
    assert refused.hits == 8
    assert [type(one) for one in seen.all] == [BackendAvailable] * 9
    assert clock.pauses == sorted(clock.pauses)
    assert len(clock.pauses) >= 8
    assert clock.pauses[-1] >= LONGEST_PAUSE


def told(*ends, more=False):
    """An answer of the event stream: containers and when they died, by the engine's clock."""

    def act(conversation):
        conversation.send(head(200, {"Transfer-Encoding": "chunked"}))
        for container, at in ends:
            line = json.dumps(event("die", container, exitCode="0") | {"timeNano": at}).encode()
            conversation.send(b"%x\r\n%b\r\n" % (len(line), line))
        if more:
            conversation.ended.wait(PATIENCE)
        conversation.send(b"0\r\n\r\n")

    return act


def test_each_end_is_reported_once_even_if_the_engine_s_clock_is_set_back(seen):
    with WireServer() as server:
        server.on("GET", "/version", answer({"ApiVersion": "1.43"}), times=9)
        server.on("GET", "/_ping", answer(b"OK"), times=9)
        server.on("GET", "/events", told(("a", 7_000_000_000), ("b", 5_000_000_000)))
        server.on(
            "GET",
            "/events",
            told(("a", 7_000_000_000), ("b", 5_000_000_000), ("c", 6_000_000_000), more=True),
        )
        engine = Engine(EngineAddress(server.url))

        watch = watch_of(engine, OURS, SystemClock(), 0.0, seen)
        seen.await_count(5)

        watch.stop()
        engine.disconnect()
        asked = [one.target for one in server.requests("GET", "/events")]
    ends = [one.resource_id for one in seen.all if isinstance(one, ResourceEnded)]
    assert ends == ["a", "b", "c"]
    assert "since=5.000000000" in asked[1]


def test_events_that_are_none_are_skipped_and_named_once(seen, log_lines):
    def act(conversation):
        conversation.send(head(200, {"Transfer-Encoding": "chunked"}))
        nonsense = [[], {}, {"timeNano": "7"}, {"timeNano": 10**30}, {"timeNano": 7, "Actor": None}]
        for one in (*nonsense, event("die", "a", exitCode="0") | {"timeNano": 7_000_000_000}):
            line = json.dumps(one).encode() + b"\n"
            conversation.send(b"%x\r\n%b\r\n" % (len(line), line))
        conversation.ended.wait(PATIENCE)

    with WireServer() as server:
        server.on("GET", "/version", answer({"ApiVersion": "1.43"}), times=9)
        server.on("GET", "/_ping", answer(b"OK"), times=9)
        server.on("GET", "/events", act)
        engine = Engine(EngineAddress(server.url))

        watch = watch_of(engine, OURS, SystemClock(), 0.0, seen)
        seen.await_last(ResourceEnded)

        watch.stop()
        engine.disconnect()
    assert [type(one) for one in seen.all] == [BackendAvailable, BackendAvailable, ResourceEnded]
    assert len([line for line in log_lines if "nonsense" in line]) == 1


def test_a_watch_that_crashes_says_so(seen):
    def crash(observation):
        seen(observation)
        if isinstance(observation, BackendAvailable):
            raise ZeroDivisionError("a bug of ours")

    with WireServer() as server:
        server.on("GET", "/version", answer({"ApiVersion": "1.43"}))
        server.on("GET", "/_ping", answer(b"OK"))
        engine = Engine(EngineAddress(server.url))

        watch = watch_of(engine, new_owner_id(), SystemClock(), 0.0, crash)
        crashed = seen.await_last(WatchCrashed)

        watch.stop()
        engine.disconnect()
    assert crashed.error.startswith("ZeroDivisionError: a bug of ours\n")


@pytest.mark.engine
def test_an_end_while_the_stream_is_broken_is_reported_when_it_is_back(proxy, rig, owner, seen):
    backend = rig.open(owner)
    resource = backend.start(Orders(rig).make(), Interrupt())
    engine = Engine(EngineAddress(proxy.url))
    watch = watch_of(engine, owner, SystemClock(), SystemClock().wall(), seen)
    seen.await_last(BackendAvailable)
    while not proxy.under_way("/events"):
        pass

    gap = proxy.refuse("GET", "/events", 503, "not now")
    proxy.cut("/events")
    backend.remove(resource, force=True, interrupt=Interrupt())
    proxy.lift(gap)

    assert seen.await_end_of(resource).ending.exit_code == 137
    watch.stop()
    engine.disconnect()
    backend.close()
    assert not any(isinstance(one, BackendUnavailable) for one in seen.all)


@pytest.mark.engine
def test_a_stream_that_a_proxy_would_end_with_its_connection_is_ended_by_a_stop(proxy, rig, owner, seen):
    engine, backend = Engine(EngineAddress(proxy.url)), rig.open(owner)
    watch = watch_of(engine, owner, SystemClock(), 0.0, seen, silence_seconds=2 * PATIENCE)
    resource = backend.start(Orders(rig).make(), Interrupt())
    backend.remove(resource, force=True, interrupt=Interrupt())
    seen.await_end_of(resource)

    stopping = threading.Thread(target=watch.stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE)

    assert not stopping.is_alive()
    engine.disconnect()
    backend.close()
