"""The root actor alone: its children are probes, so that tests see every order and every restart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.solo import Solo
from support.world import scale_set

from runscaler import events
from runscaler.actors.context import Configuration
from runscaler.actors.health import HealthActor
from runscaler.actors.host import HostActor
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.messages import (
    BATCH,
    HEALTH,
    HOST,
    KEEPER,
    Abandon,
    ChildCrashed,
    HeartbeatAnswered,
    PeerReplaced,
    Ping,
    Reload,
    RestartsCounted,
    ScaleSetStopped,
    SetDrain,
    SharedStopped,
    Shutdown,
    SnapshotTaken,
    StopHealth,
    StopHost,
    StopKeeper,
    StopScaleSet,
)
from runscaler.actors.root import RootActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.autoscaler import Autoscaler
from runscaler.backends.memory import MemoryBackend
from runscaler.clock import SystemClock
from runscaler.config.model import Config
from runscaler.errors import BackendError, RunscalerError
from runscaler.status import Counters, SetState
from runscaler.testing.memory_github import MemoryGitHub

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.actors.messages import Ref
    from runscaler.actors.scale_set import ScaleSetWiring
    from runscaler.config.model import ScaleSetSettings
    from runscaler.testing.probe import Probe


class ClosingBackend(MemoryBackend):
    closed = 0

    def close(self) -> None:
        self.closed += 1


class StubbornBackend(ClosingBackend):
    def close(self) -> None:
        raise BackendError("cannot be closed")


class Harness:
    """A root with two scale sets, each on a backend of its own.

    `made` lists its children, oldest first: class, arguments, and the probe in the place of the actor.
    """

    def __init__(
        self, *, one_engine: bool = False, backend: type[ClosingBackend] = ClosingBackend, **config: Any
    ) -> None:
        self.solo = Solo(scale_sets=(scale_set("linux"), scale_set("windows")))
        self.made: list[tuple[type[Any], tuple[Any, ...], Probe]] = []
        self.ended: list[str] = []
        self.backends: list[ClosingBackend] = []
        self.failing: dict[type[Any], int] = {}
        self.linux, self.windows = self.solo.config.scale_sets
        context = replace(
            self.solo.context,
            configuration=Configuration(self.solo.config.model_copy(update=config)),
            launch=self._launch,
            backend_id_of=lambda settings: "memory" if one_engine else settings.name,
            open_backend=lambda _: self._open(backend),
        )
        self.root = self.solo.harness.add(RootActor(context, self.ended.append))
        self.root.on_start()
        self.solo.play()

    def _open(self, kind: type[ClosingBackend]) -> ClosingBackend:
        self.backends.append(kind(self.solo.clock))
        return self.backends[-1]

    def _launch(self, kind: type[Any], *args: Any) -> Ref:
        if self.failing.get(kind, 0) > 0:
            self.failing[kind] -= 1
            raise OSError("no thread can be started")
        probe = self.solo.probe(kind.__name__)
        self.made.append((kind, args, probe))
        return probe.actor_ref

    def tell(self, *messages: object) -> None:
        self.solo.tell(self.root, *messages)

    def kinds(self) -> list[type[Any]]:
        return [kind for kind, _, _ in self.made]

    def all(self, kind: type[Any]) -> list[Probe]:
        """The probes of all actors of that class, oldest first."""
        return [probe for one, _, probe in self.made if one is kind]

    def wirings(self) -> list[ScaleSetWiring]:
        """The wiring of each scale set actor, oldest first."""
        return [args[2] for kind, args, _ in self.made if kind is ScaleSetActor]

    def crash(self, kind: type[Any], number: int = -1, orphans: tuple[Ref, ...] = ()) -> None:
        self.tell(self.report(kind, number, orphans))

    def report(
        self,
        kind: type[Any],
        number: int = -1,
        orphans: tuple[Ref, ...] = (),
        handling: str = "an order",
    ) -> ChildCrashed:
        """Kill that child; returns its crash report."""
        probe = self.all(kind)[number]
        probe.actor_stopped.set()
        error = "ValueError: broken\n  somewhere.py:1 in it"
        return ChildCrashed(probe.actor_urn, probe.name, handling, error, orphans)

    def crash_until_given_up(self, kind: type[Any], number: int = -1) -> None:
        for delay in (1, 2, 4, 8, 16):
            self.crash(kind, number)
            self.solo.advance(delay)
        self.crash(kind, number)

    def reload(self, *sets: ScaleSetSettings) -> None:
        """Read a configuration with these scale sets only."""
        self.root.receive(Reload(self.root._context.config.model_copy(update={"scale_sets": sets})))
        self.solo.play()

    def note_poll(self) -> None:
        """All scale sets have had a session."""
        status = self.solo.board.status
        polled = tuple(replace(one, last_poll=1.0) for one in status.scale_sets)
        self.solo.board.status = replace(status, scale_sets=polled)

    def stop_sets(self) -> None:
        self.tell(ScaleSetStopped(self.linux.key), ScaleSetStopped(self.windows.key))


# -- starting -----------------------------------------------------------------------------------------


def test_shared_actors_are_started_before_the_scale_sets() -> None:
    harness = Harness()

    assert harness.kinds() == [HealthActor, HostActor, KeeperActor, KeeperActor, ScaleSetActor, ScaleSetActor]
    wiring = harness.wirings()[1]
    assert wiring.keeper == harness.all(KeeperActor)[1].actor_ref
    assert wiring.host == harness.all(HostActor)[0].actor_ref
    assert wiring.health == harness.all(HealthActor)[0].actor_ref
    assert wiring.backend is harness.backends[1]
    assert wiring.restarts == 0


def test_scale_sets_with_the_same_backend_id_share_keeper_and_backend() -> None:
    harness = Harness(one_engine=True)

    assert harness.kinds().count(KeeperActor) == 1
    linux, windows = harness.wirings()
    assert linux.keeper == windows.keeper
    assert linux.backend is windows.backend


def test_root_answers_a_ping() -> None:
    assert Harness().root.receive(Ping()) is True


# -- crashes of scale sets --------------------------------------------------------------------------------


def test_a_crashed_scale_set_is_restarted_and_the_other_is_not_affected() -> None:
    harness = Harness()
    harness.crash(ScaleSetActor, 0)
    assert harness.kinds().count(ScaleSetActor) == 2

    harness.solo.advance(1)

    assert harness.kinds().count(ScaleSetActor) == 3
    assert harness.wirings()[2].backend is harness.wirings()[0].backend
    assert harness.all(ScaleSetActor)[1].received == []


def test_a_restarted_scale_set_continues_the_counters_of_its_last_snapshot() -> None:
    harness = Harness()
    last = replace(
        harness.solo.board.status.scale_sets[0],
        counters=Counters(jobs_started=7, jobs_completed=6, runners_started=5, runners_failed=4),
        restarts=3,
    )
    harness.solo.board.status = replace(
        harness.solo.board.status, scale_sets=(last, *harness.solo.board.status.scale_sets[1:])
    )
    harness.crash(ScaleSetActor, 0)
    harness.solo.advance(1)

    wiring = harness.wirings()[2]
    assert wiring.restarts == 4
    assert wiring.counters == last.counters


def test_restarts_are_counted_though_a_scale_set_crashes_before_its_first_snapshot() -> None:
    harness = Harness()
    for delay in (1, 2):
        harness.crash(ScaleSetActor)
        harness.solo.advance(delay)

    assert harness.wirings()[-1].restarts == 2


def test_a_crash_is_emitted_as_an_event() -> None:
    harness = Harness()
    harness.crash(ScaleSetActor, 0)
    harness.crash(HostActor)

    first, second = harness.solo.events
    assert isinstance(first, events.ActorRestarted)
    assert isinstance(second, events.ActorRestarted)
    assert (first.scale_set, first.url, first.gave_up) == ("linux", harness.linux.url, False)
    assert first.reason == "ValueError: broken while handling an order"
    assert (second.scale_set, second.name) == ("", "host")


def test_a_crash_report_about_an_unknown_actor_changes_nothing() -> None:
    harness = Harness()
    harness.tell(ChildCrashed("urn:nobody", "nobody", "an order", "ValueError", ()))
    harness.solo.advance(60)

    assert len(harness.made) == 6
    assert harness.solo.events == []


def test_a_replacement_waits_until_the_orphans_have_ended() -> None:
    harness = Harness()
    orphans = [harness.solo.probe("orphan"), harness.solo.probe("orphan")]
    harness.crash(ScaleSetActor, 0, tuple(one.actor_ref for one in orphans))
    harness.solo.advance(5)
    assert harness.kinds().count(ScaleSetActor) == 2

    orphans[0].actor_stopped.set()
    harness.solo.advance(5)
    assert harness.kinds().count(ScaleSetActor) == 2

    orphans[1].actor_stopped.set()
    harness.solo.advance(0.1)
    assert harness.kinds().count(ScaleSetActor) == 3


def test_a_scale_set_that_crashes_too_often_is_shown_as_failed_and_restarted_every_minute() -> None:
    harness = Harness()
    harness.crash_until_given_up(ScaleSetActor)

    (told,) = harness.all(HealthActor)[0].of(SnapshotTaken)
    assert told.key == harness.windows.key
    assert (told.status.state, told.status.reason) == (
        SetState.FAILED,
        "ValueError: broken while handling an order",
    )
    assert harness.ended == []

    started = harness.kinds().count(ScaleSetActor)
    harness.solo.advance(59)
    assert harness.kinds().count(ScaleSetActor) == started
    harness.solo.advance(1)
    assert harness.kinds().count(ScaleSetActor) == started + 1


def test_a_failed_scale_set_has_all_its_restarts_again() -> None:
    harness = Harness()
    harness.crash_until_given_up(ScaleSetActor)
    harness.solo.advance(60)
    started = harness.kinds().count(ScaleSetActor)

    harness.crash(ScaleSetActor)
    harness.solo.advance(1)

    assert harness.kinds().count(ScaleSetActor) == started + 1


def test_a_batch_that_crashed_its_scale_set_three_times_is_named_to_the_next_actor() -> None:
    harness = Harness()
    for digest, delay in (("bad", 1), ("odd", 2), ("bad", 4), ("bad", 8)):
        assert harness.wirings()[-1].poisonous == frozenset()
        harness.tell(harness.report(ScaleSetActor, handling=f"{BATCH} {digest}"))
        harness.solo.advance(delay)

    assert harness.wirings()[-1].poisonous == {"bad"}
    harness.crash(ScaleSetActor, 0)
    harness.solo.advance(1)
    assert harness.wirings()[-1].poisonous == frozenset(), "the other set never received it"


@pytest.mark.parametrize("kind", [HealthActor, HostActor, KeeperActor, ScaleSetActor])
def test_a_child_that_cannot_be_started_is_started_later(kind: type[Any]) -> None:
    class FailingTwice(Harness):
        def _launch(self, made: type[Any], *args: Any) -> Ref:
            self.failing.setdefault(kind, 2)
            return super()._launch(made, *args)

    harness = FailingTwice(one_engine=True)
    missing = harness.kinds().count(kind)
    harness.solo.advance(1)
    harness.solo.advance(2)

    assert harness.kinds().count(kind) > missing
    assert {HealthActor, HostActor, KeeperActor, ScaleSetActor} == set(harness.kinds())


# -- crashes of shared actors ----------------------------------------------------------------------------


def test_a_restarted_keeper_is_announced_to_the_scale_sets_on_its_backend() -> None:
    harness = Harness()
    harness.crash(KeeperActor, 0)
    harness.solo.advance(1)

    linux, windows = harness.all(ScaleSetActor)
    assert linux.received == [PeerReplaced(KEEPER, harness.all(KeeperActor)[2].actor_ref)]
    assert windows.received == []


@pytest.mark.parametrize(("kind", "name"), [(HostActor, HOST), (HealthActor, HEALTH)])
def test_a_restarted_host_or_health_actor_is_announced_to_all(kind: type[Any], name: str) -> None:
    harness = Harness()
    harness.crash(kind)
    harness.solo.advance(1)

    told = PeerReplaced(name, harness.all(kind)[1].actor_ref)
    assert [one.received for one in harness.all(ScaleSetActor)] == [[told], [told]]


def test_restarts_of_shared_actors_are_counted() -> None:
    harness = Harness(one_engine=True)
    harness.crash(HostActor)
    harness.solo.advance(1)

    (told,) = harness.all(HealthActor)[0].of(RestartsCounted)
    assert told == RestartsCounted(((HEALTH, 0), (HOST, 1), ("keeper memory", 0)))


@pytest.mark.parametrize(("kind", "name"), [(HostActor, "host"), (KeeperActor, "keeper windows")])
def test_a_shared_actor_that_crashes_too_often_ends_the_program_with_the_reason(
    kind: type[Any], name: str
) -> None:
    harness = Harness()
    harness.crash_until_given_up(kind)

    (reason,) = harness.ended
    assert reason == f"{name} crashed again and again: ValueError: broken while handling an order"
    assert harness.root.actor_stopped.is_set()
    assert all(one.actor_stopped.is_set() for one in harness.all(ScaleSetActor)), "abandoned"
    assert harness.all(HealthActor)[0].of(RestartsCounted)[-1].given_up == reason
    assert [one.closed for one in harness.backends] == [1, 1]


def test_a_crash_of_root_itself_ends_the_program_with_a_reason() -> None:
    harness = Harness()
    harness.tell(object())

    assert [reason.split(":")[0] for reason in harness.ended] == ["the root actor crashed"]
    assert all(one.actor_stopped.is_set() for one in harness.all(ScaleSetActor)), "abandoned"


def test_a_stop_just_after_giving_up_does_not_hide_the_reason() -> None:
    harness = Harness()
    for delay in (1, 2, 4, 8, 16):
        harness.crash(HostActor)
        harness.solo.advance(delay)
    harness.tell(harness.report(HostActor), Shutdown())

    (reason,) = harness.ended
    assert reason.startswith("host crashed again and again")


# -- backends that no scale set is on any more ----------------------------------------------------------


def without_windows(harness: Harness) -> Probe:
    """The keeper of the scale set that was taken out of the configuration and has ended."""
    harness.reload(harness.linux)
    harness.tell(ScaleSetStopped(harness.windows.key))
    return harness.all(KeeperActor)[-1]


@pytest.mark.parametrize(("on_exit", "tidies"), [("remove", True), ("keep", False)])
def test_the_keeper_of_the_last_set_ends_with_it_and_its_backend_is_closed(
    on_exit: str, tidies: bool
) -> None:
    harness = Harness(on_exit=on_exit)
    harness.note_poll()
    harness.reload(harness.linux)
    harness.solo.board.status = replace(harness.solo.board.status, scale_sets=())
    assert harness.all(KeeperActor)[1].of(StopKeeper) == []

    harness.tell(ScaleSetStopped(harness.windows.key))
    assert harness.all(KeeperActor)[1].of(StopKeeper) == [StopKeeper(keep=False, tidy_up=tidies)]
    assert harness.backends[1].closed == 0

    harness.tell(SharedStopped("keeper windows"))
    assert [one.closed for one in harness.backends] == [0, 1]
    assert harness.all(KeeperActor)[0].of(StopKeeper) == []


def test_nothing_is_tidied_up_where_no_set_has_had_a_session() -> None:
    assert without_windows(Harness()).of(StopKeeper) == [StopKeeper(keep=False, tidy_up=False)]


def test_a_keeper_stays_while_another_set_needs_it() -> None:
    assert without_windows(Harness(one_engine=True)).of(StopKeeper) == []


def test_a_set_that_comes_back_meanwhile_waits_for_the_end_of_its_keeper() -> None:
    harness = Harness()
    without_windows(harness)
    harness.reload(harness.linux, harness.windows)
    assert (harness.kinds().count(KeeperActor), harness.kinds().count(ScaleSetActor)) == (2, 2)

    harness.tell(SharedStopped("keeper windows"))
    assert (harness.kinds().count(KeeperActor), harness.kinds().count(ScaleSetActor)) == (3, 3)
    assert harness.wirings()[2].backend is harness.backends[2]
    assert harness.wirings()[2].keeper == harness.all(KeeperActor)[2].actor_ref


def test_a_set_that_was_drained_and_taken_out_comes_back_undrained() -> None:
    harness = Harness()
    harness.root.receive(SetDrain((harness.windows.key,), drain=True))
    without_windows(harness)
    harness.reload(harness.linux, harness.windows)
    harness.tell(SharedStopped("keeper windows"))

    assert not harness.wirings()[-1].drained


def test_a_keeper_that_crashes_while_it_ends_has_ended() -> None:
    harness = Harness()
    without_windows(harness)
    harness.crash(KeeperActor, 1)
    harness.solo.advance(60)

    assert harness.kinds().count(KeeperActor) == 2
    assert [one.closed for one in harness.backends] == [0, 1]


def test_a_keeper_that_is_down_when_its_last_set_ends_is_not_started_again() -> None:
    harness = Harness()
    harness.crash(KeeperActor, 1)
    without_windows(harness)
    harness.solo.advance(60)

    assert harness.kinds().count(KeeperActor) == 2
    assert [one.closed for one in harness.backends] == [0, 1]


def test_a_stop_waits_for_a_keeper_that_is_ending() -> None:
    harness = Harness()
    harness.note_poll()
    keeper = without_windows(harness)
    harness.tell(Shutdown(), ScaleSetStopped(harness.linux.key))
    assert keeper.of(StopKeeper) == [StopKeeper(keep=False, tidy_up=True)] * 2

    harness.tell(SharedStopped("host"), SharedStopped("keeper linux"))
    assert not harness.all(HealthActor)[0].of(StopHealth)

    harness.tell(SharedStopped("keeper windows"), SharedStopped("health"))
    assert harness.ended == [""]
    assert [one.closed for one in harness.backends] == [1, 1]


# -- stopping --------------------------------------------------------------------------------------------


def test_a_stop_begins_with_the_scale_sets_and_ends_with_health() -> None:
    harness = Harness(drain_timeout=7.0)
    health, host = harness.all(HealthActor)[0], harness.all(HostActor)[0]
    harness.tell(Shutdown(), Shutdown())
    order = StopScaleSet(7.0, keep=False)
    assert [one.received for one in harness.all(ScaleSetActor)] == [[order], [order]]

    harness.tell(ScaleSetStopped(harness.linux.key))
    assert host.received == []

    harness.tell(ScaleSetStopped(harness.windows.key))
    assert host.of(StopHost)
    assert [len(one.of(StopKeeper)) for one in harness.all(KeeperActor)] == [1, 1]
    assert health.of(StopHealth) == []

    harness.tell(SharedStopped("host"), SharedStopped("keeper linux"), SharedStopped("keeper windows"))
    assert len(health.of(StopHealth)) == 1
    assert harness.ended == []

    harness.tell(SharedStopped("health"))
    assert harness.ended == [""]
    assert [one.closed for one in harness.backends] == [1, 1]


def test_a_stop_keeps_the_runners_if_configured() -> None:
    harness = Harness(on_exit="keep")
    harness.tell(Shutdown())

    (order,) = harness.all(ScaleSetActor)[0].of(StopScaleSet)
    assert order.keep


@pytest.mark.parametrize(("on_exit", "tidies"), [("remove", [True, False]), ("keep", [False, False])])
def test_a_backend_tidies_up_if_a_set_on_it_has_had_a_session(on_exit: str, tidies: list[bool]) -> None:
    """Else its start has failed."""
    harness = Harness(on_exit=on_exit)
    linux, windows = harness.solo.board.status.scale_sets
    served = (replace(linux, last_poll=1.0), windows)
    harness.solo.board.status = replace(harness.solo.board.status, scale_sets=served)
    harness.tell(Shutdown())
    harness.stop_sets()

    orders = [order for one in harness.all(KeeperActor) for order in one.of(StopKeeper)]
    assert [order.tidy_up for order in orders] == tidies


def test_a_scale_set_that_is_down_is_not_waited_for() -> None:
    harness = Harness()
    harness.crash(ScaleSetActor, 0)
    harness.tell(Shutdown(), ScaleSetStopped(harness.windows.key))
    assert harness.all(HostActor)[0].of(StopHost)

    harness.solo.advance(1)
    assert harness.kinds().count(ScaleSetActor) == 2


def test_a_scale_set_that_crashes_during_the_stop_is_not_started_again() -> None:
    harness = Harness()
    harness.tell(Shutdown(), ScaleSetStopped(harness.windows.key))
    harness.crash(ScaleSetActor, 0)
    harness.solo.advance(1)

    assert harness.kinds().count(ScaleSetActor) == 2
    assert harness.all(HostActor)[0].of(StopHost)


@pytest.mark.parametrize("kind", [HostActor, KeeperActor, HealthActor])
def test_a_shared_actor_that_is_down_is_not_waited_for(kind: type[Any]) -> None:
    harness = Harness(one_engine=True)
    harness.crash(kind)
    harness.tell(Shutdown())
    harness.stop_sets()
    for name in {"host", "keeper memory", "health"} - {harness.solo.events[0].name}:  # type: ignore[attr-defined]
        harness.tell(SharedStopped(name))

    assert harness.ended == [""]


def test_a_child_that_stopped_without_an_order_is_forgotten() -> None:
    harness = Harness()
    harness.stop_sets()
    harness.tell(Shutdown())

    assert harness.all(HostActor)[0].of(StopHost)


def test_a_shared_actor_that_crashes_during_the_stop_does_not_delay_it() -> None:
    harness = Harness(one_engine=True)
    harness.tell(Shutdown())
    harness.stop_sets()
    harness.tell(SharedStopped("keeper memory"))
    harness.crash(HostActor)
    harness.solo.advance(1)
    harness.tell(SharedStopped("health"))

    assert harness.kinds().count(HostActor) == 1
    assert harness.ended == [""]


def test_scale_sets_that_still_drain_get_a_new_keeper() -> None:
    harness = Harness(one_engine=True)
    harness.tell(Shutdown())
    harness.crash(KeeperActor)
    harness.solo.advance(1)
    assert harness.kinds().count(KeeperActor) == 2

    harness.stop_sets()
    assert harness.all(KeeperActor)[1].of(StopKeeper)


def test_an_immediate_end_has_no_reason_and_abandons_all_children() -> None:
    harness = Harness()
    harness.tell(Abandon())

    assert harness.ended == [""]
    assert all(one.actor_stopped.is_set() for one in harness.all(ScaleSetActor))


@pytest.mark.parametrize("last", [Abandon(), object()])
def test_a_backend_that_cannot_be_closed_does_not_prevent_the_end(last: object) -> None:
    harness = Harness(backend=StubbornBackend)
    harness.tell(last)

    assert len(harness.ended) == 1


# -- heartbeats --------------------------------------------------------------------------------------------


def test_a_ping_fails_once_a_child_has_not_answered_for_30_seconds() -> None:
    harness = Harness()
    assert harness.root.receive(Ping()) is True

    harness.solo.advance(29)
    assert harness.root.receive(Ping()) is True

    harness.solo.advance(2)
    assert harness.root.receive(Ping()) is False


def test_a_ping_succeeds_while_all_children_answer() -> None:
    harness = Harness()
    for _ in range(10):
        harness.tell(*(HeartbeatAnswered(name) for name in harness.root.children.names()))
        harness.solo.advance(9)

    assert harness.root.receive(Ping()) is True


def test_a_crash_of_root_is_the_reason_why_the_program_ended(tmp_path: Path) -> None:
    """Root has no parent that would log its crash: the facade must return the reason."""

    def refuse(*_: object) -> Any:
        raise RunscalerError("there is no backend 'dokcer'")

    config = Config(scale_sets=(scale_set("linux"),), state_dir=tmp_path, health_port=0)
    autoscaler = Autoscaler(config, connect=MemoryGitHub(SystemClock()).connect, open_backend=refuse)
    autoscaler.start()

    assert "there is no backend 'dokcer'" in (autoscaler.wait(30) or "")
