"""Root alone: its children are probes, so that every order and every restart can be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.solo import Solo
from support.world import scale_set

from runscaler import events
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
    RestartsCounted,
    ScaleSetStopped,
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
from runscaler.backends.memory import MemoryBackend
from runscaler.errors import BackendError
from runscaler.status import SetState

if TYPE_CHECKING:
    from runscaler.actors.messages import Ref
    from runscaler.actors.scale_set import Place
    from runscaler.testing.probe import Probe


class ClosingBackend(MemoryBackend):
    closed = 0

    def close(self) -> None:
        self.closed += 1


class StubbornBackend(ClosingBackend):
    def close(self) -> None:
        raise BackendError("cannot be closed")


class Troupe:
    """A root over two scale sets, each on an engine of its own; `made` are its children in the order
    in which they were made: kind, arguments, and the probe that plays the part."""

    def __init__(
        self, *, one_engine: bool = False, backend: type[ClosingBackend] = ClosingBackend, **config: Any
    ) -> None:
        self.solo = Solo(scale_sets=(scale_set("linux"), scale_set("windows")))
        self.made: list[tuple[type[Any], tuple[Any, ...], Probe]] = []
        self.ended: list[str] = []
        self.backends: list[ClosingBackend] = []
        self.failing: dict[type[Any], int] = {}
        self.linux, self.windows = self.solo.config.scale_sets
        house = replace(
            self.solo.house,
            config=self.solo.config.model_copy(update=config),
            launch=self._launch,
            thing_of=lambda settings: "memory" if one_engine else settings.name,
            open_backend=lambda _: self._open(backend),
        )
        self.root = self.solo.harness.add(RootActor(house, self.ended.append))
        self.root.on_start()
        self.solo.play()

    def _open(self, kind: type[ClosingBackend]) -> ClosingBackend:
        self.backends.append(kind(self.solo.clock))
        return self.backends[-1]

    def _launch(self, kind: type[Any], *args: Any) -> Ref:
        if self.failing.get(kind, 0) > 0:
            self.failing[kind] -= 1
            raise OSError("no thread can be had")
        probe = self.solo.probe(kind.__name__)
        self.made.append((kind, args, probe))
        return probe.actor_ref

    def tell(self, *messages: object) -> None:
        self.solo.tell(self.root, *messages)

    def kinds(self) -> list[type[Any]]:
        return [kind for kind, _, _ in self.made]

    def all(self, kind: type[Any]) -> list[Probe]:
        """Every actor of that kind that was ever made, oldest first."""
        return [probe for one, _, probe in self.made if one is kind]

    def places(self) -> list[Place]:
        """Where each scale set actor was put, oldest first."""
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
        """That child is dead: what it would have told."""
        probe = self.all(kind)[number]
        probe.actor_stopped.set()
        error = "ValueError: broken\n  somewhere.py:1 in it"
        return ChildCrashed(probe.actor_urn, probe.name, handling, error, orphans)

    def crash_until_given_up(self, kind: type[Any], number: int = -1) -> None:
        for delay in (1, 2, 4, 8, 16):
            self.crash(kind, number)
            self.solo.advance(delay)
        self.crash(kind, number)

    def stop_sets(self) -> None:
        self.tell(ScaleSetStopped(self.linux.key), ScaleSetStopped(self.windows.key))


# -- starting -----------------------------------------------------------------------------------------


def test_what_all_stand_on_is_started_before_the_scale_sets() -> None:
    troupe = Troupe()

    assert troupe.kinds() == [HealthActor, HostActor, KeeperActor, KeeperActor, ScaleSetActor, ScaleSetActor]
    place = troupe.places()[1]
    assert place.keeper == troupe.all(KeeperActor)[1].actor_ref
    assert place.host == troupe.all(HostActor)[0].actor_ref
    assert place.health == troupe.all(HealthActor)[0].actor_ref
    assert place.backend is troupe.backends[1]
    assert place.restarts == 0


def test_scale_sets_on_one_thing_share_its_keeper_and_its_backend() -> None:
    troupe = Troupe(one_engine=True)

    assert troupe.kinds().count(KeeperActor) == 1
    linux, windows = troupe.places()
    assert linux.keeper == windows.keeper
    assert linux.backend is windows.backend


def test_root_answers_that_it_lives() -> None:
    assert Troupe().root.receive(Ping()) is True


# -- crashes of scale sets --------------------------------------------------------------------------------


def test_a_crashed_scale_set_is_restarted_and_the_other_never_notices() -> None:
    troupe = Troupe()
    troupe.crash(ScaleSetActor, 0)
    assert troupe.kinds().count(ScaleSetActor) == 2

    troupe.solo.advance(1)

    assert troupe.kinds().count(ScaleSetActor) == 3
    assert troupe.places()[2].backend is troupe.places()[0].backend
    assert troupe.all(ScaleSetActor)[1].received == []


def test_a_restarted_scale_set_goes_on_from_the_counters_of_its_last_snapshot() -> None:
    troupe = Troupe()
    last = replace(
        troupe.solo.board.status.scale_sets[0],
        jobs_started=7, jobs_completed=6, runners_started=5, runners_failed=4, restarts=3,
    )  # fmt: skip
    troupe.solo.board.status = replace(
        troupe.solo.board.status, scale_sets=(last, *troupe.solo.board.status.scale_sets[1:])
    )
    troupe.crash(ScaleSetActor, 0)
    troupe.solo.advance(1)

    place = troupe.places()[2]
    assert place.restarts == 4
    assert place.tally is not None
    assert (place.tally.jobs_started, place.tally.jobs_completed) == (7, 6)
    assert (place.tally.runners_started, place.tally.runners_failed) == (5, 4)


def test_a_crash_is_told_to_those_who_watch() -> None:
    troupe = Troupe()
    troupe.crash(ScaleSetActor, 0)
    troupe.crash(HostActor)

    first, second = troupe.solo.events
    assert isinstance(first, events.ActorRestarted)
    assert isinstance(second, events.ActorRestarted)
    assert (first.scale_set, first.gave_up) == ("linux", False)
    assert first.reason == "ValueError: broken while handling an order"
    assert (second.scale_set, second.name) == ("", "host")


def test_a_report_about_nobody_changes_nothing() -> None:
    troupe = Troupe()
    troupe.tell(ChildCrashed("urn:nobody", "nobody", "an order", "ValueError", ()))
    troupe.solo.advance(60)

    assert len(troupe.made) == 6
    assert troupe.solo.events == []


def test_a_replacement_waits_until_the_orphans_have_ended() -> None:
    troupe = Troupe()
    orphans = [troupe.solo.probe("orphan"), troupe.solo.probe("orphan")]
    troupe.crash(ScaleSetActor, 0, tuple(one.actor_ref for one in orphans))
    troupe.solo.advance(5)
    assert troupe.kinds().count(ScaleSetActor) == 2

    orphans[0].actor_stopped.set()
    troupe.solo.advance(5)
    assert troupe.kinds().count(ScaleSetActor) == 2

    orphans[1].actor_stopped.set()
    troupe.solo.advance(0.1)
    assert troupe.kinds().count(ScaleSetActor) == 3


def test_a_scale_set_that_gives_up_is_shown_as_failed_and_tried_every_minute() -> None:
    troupe = Troupe()
    troupe.crash_until_given_up(ScaleSetActor)

    (told,) = troupe.all(HealthActor)[0].of(SnapshotTaken)
    assert told.key == troupe.windows.key
    assert (told.status.state, told.status.reason) == (
        SetState.FAILED,
        "ValueError: broken while handling an order",
    )
    assert troupe.ended == []

    started = troupe.kinds().count(ScaleSetActor)
    troupe.solo.advance(59)
    assert troupe.kinds().count(ScaleSetActor) == started
    troupe.solo.advance(1)
    assert troupe.kinds().count(ScaleSetActor) == started + 1


def test_a_scale_set_that_was_given_up_gets_all_its_tries_again() -> None:
    troupe = Troupe()
    troupe.crash_until_given_up(ScaleSetActor)
    troupe.solo.advance(60)
    started = troupe.kinds().count(ScaleSetActor)

    troupe.crash(ScaleSetActor)
    troupe.solo.advance(1)

    assert troupe.kinds().count(ScaleSetActor) == started + 1


def test_a_batch_that_crashed_its_scale_set_three_times_is_named_to_the_next() -> None:
    troupe = Troupe()
    for digest, delay in (("bad", 1), ("odd", 2), ("bad", 4), ("bad", 8)):
        assert troupe.places()[-1].poisonous == frozenset()
        troupe.tell(troupe.report(ScaleSetActor, handling=f"{BATCH} {digest}"))
        troupe.solo.advance(delay)

    assert troupe.places()[-1].poisonous == {"bad"}
    troupe.crash(ScaleSetActor, 0)
    troupe.solo.advance(1)
    assert troupe.places()[-1].poisonous == frozenset(), "the other set never saw it"


@pytest.mark.parametrize("kind", [HealthActor, HostActor, KeeperActor, ScaleSetActor])
def test_a_child_that_cannot_be_made_is_made_later(kind: type[Any]) -> None:
    class Unlucky(Troupe):
        def _launch(self, made: type[Any], *args: Any) -> Ref:
            self.failing.setdefault(kind, 2)
            return super()._launch(made, *args)

    troupe = Unlucky(one_engine=True)
    missing = troupe.kinds().count(kind)
    troupe.solo.advance(1)
    troupe.solo.advance(2)

    assert troupe.kinds().count(kind) > missing
    assert {HealthActor, HostActor, KeeperActor, ScaleSetActor} == set(troupe.kinds())


# -- crashes of what all share ----------------------------------------------------------------------------


def test_a_new_keeper_is_introduced_to_the_scale_sets_on_its_thing() -> None:
    troupe = Troupe()
    troupe.crash(KeeperActor, 0)
    troupe.solo.advance(1)

    linux, windows = troupe.all(ScaleSetActor)
    assert linux.received == [PeerReplaced(KEEPER, troupe.all(KeeperActor)[2].actor_ref)]
    assert windows.received == []


@pytest.mark.parametrize(("kind", "name"), [(HostActor, HOST), (HealthActor, HEALTH)])
def test_a_new_host_or_health_is_introduced_to_all(kind: type[Any], name: str) -> None:
    troupe = Troupe()
    troupe.crash(kind)
    troupe.solo.advance(1)

    told = PeerReplaced(name, troupe.all(kind)[1].actor_ref)
    assert [one.received for one in troupe.all(ScaleSetActor)] == [[told], [told]]


def test_restarts_of_what_all_share_are_counted() -> None:
    troupe = Troupe(one_engine=True)
    troupe.crash(HostActor)
    troupe.solo.advance(1)

    (told,) = troupe.all(HealthActor)[0].of(RestartsCounted)
    assert told == RestartsCounted(((HEALTH, 0), (HOST, 1), ("keeper memory", 0)))


@pytest.mark.parametrize(("kind", "name"), [(HostActor, "host"), (KeeperActor, "keeper windows")])
def test_what_all_share_and_cannot_be_had_ends_the_program_with_the_reason(
    kind: type[Any], name: str
) -> None:
    troupe = Troupe()
    troupe.crash_until_given_up(kind)

    (reason,) = troupe.ended
    assert reason == f"{name} crashed again and again: ValueError: broken while handling an order"
    assert troupe.root.actor_stopped.is_set()
    assert all(one.actor_stopped.is_set() for one in troupe.all(ScaleSetActor)), "abandoned"
    assert troupe.all(HealthActor)[0].of(RestartsCounted)[-1].given_up == reason
    assert [one.closed for one in troupe.backends] == [1, 1]


def test_the_crash_of_root_itself_is_a_reason() -> None:
    troupe = Troupe()
    troupe.tell(object())

    assert [reason.split(":")[0] for reason in troupe.ended] == ["the root actor crashed"]
    assert all(one.actor_stopped.is_set() for one in troupe.all(ScaleSetActor)), "abandoned"


def test_a_stop_that_comes_just_then_does_not_hide_why_it_gave_up() -> None:
    troupe = Troupe()
    for delay in (1, 2, 4, 8, 16):
        troupe.crash(HostActor)
        troupe.solo.advance(delay)
    troupe.tell(troupe.report(HostActor), Shutdown())

    (reason,) = troupe.ended
    assert reason.startswith("host crashed again and again")


# -- the end --------------------------------------------------------------------------------------------


def test_a_stop_goes_from_the_scale_sets_down_and_health_is_last() -> None:
    troupe = Troupe(drain_timeout=7.0)
    health, host = troupe.all(HealthActor)[0], troupe.all(HostActor)[0]
    troupe.tell(Shutdown(), Shutdown())
    order = StopScaleSet(7.0, keep=False)
    assert [one.received for one in troupe.all(ScaleSetActor)] == [[order], [order]]

    troupe.tell(ScaleSetStopped(troupe.linux.key))
    assert host.received == []

    troupe.tell(ScaleSetStopped(troupe.windows.key))
    assert host.of(StopHost)
    assert [len(one.of(StopKeeper)) for one in troupe.all(KeeperActor)] == [1, 1]
    assert health.of(StopHealth) == []

    troupe.tell(SharedStopped("host"), SharedStopped("keeper linux"), SharedStopped("keeper windows"))
    assert len(health.of(StopHealth)) == 1
    assert troupe.ended == []

    troupe.tell(SharedStopped("health"))
    assert troupe.ended == [""]
    assert [one.closed for one in troupe.backends] == [1, 1]


def test_runners_are_kept_where_the_configuration_says_so() -> None:
    troupe = Troupe(on_exit="keep")
    troupe.tell(Shutdown())

    (order,) = troupe.all(ScaleSetActor)[0].of(StopScaleSet)
    assert order.keep


def test_a_scale_set_that_is_down_is_not_waited_for() -> None:
    troupe = Troupe()
    troupe.crash(ScaleSetActor, 0)
    troupe.tell(Shutdown(), ScaleSetStopped(troupe.windows.key))
    assert troupe.all(HostActor)[0].of(StopHost)

    troupe.solo.advance(1)
    assert troupe.kinds().count(ScaleSetActor) == 2


def test_a_scale_set_that_crashes_during_the_stop_is_not_started_again() -> None:
    troupe = Troupe()
    troupe.tell(Shutdown(), ScaleSetStopped(troupe.windows.key))
    troupe.crash(ScaleSetActor, 0)
    troupe.solo.advance(1)

    assert troupe.kinds().count(ScaleSetActor) == 2
    assert troupe.all(HostActor)[0].of(StopHost)


@pytest.mark.parametrize("kind", [HostActor, KeeperActor, HealthActor])
def test_what_all_share_is_not_waited_for_while_it_is_down(kind: type[Any]) -> None:
    troupe = Troupe(one_engine=True)
    troupe.crash(kind)
    troupe.tell(Shutdown())
    troupe.stop_sets()
    for name in {"host", "keeper memory", "health"} - {troupe.solo.events[0].name}:  # type: ignore[attr-defined]
        troupe.tell(SharedStopped(name))

    assert troupe.ended == [""]


def test_a_child_that_ended_unasked_is_forgotten() -> None:
    troupe = Troupe()
    troupe.stop_sets()
    troupe.tell(Shutdown())

    assert troupe.all(HostActor)[0].of(StopHost)


def test_what_all_share_and_crashes_during_the_stop_does_not_hold_it_up() -> None:
    troupe = Troupe(one_engine=True)
    troupe.tell(Shutdown())
    troupe.stop_sets()
    troupe.tell(SharedStopped("keeper memory"))
    troupe.crash(HostActor)
    troupe.solo.advance(1)
    troupe.tell(SharedStopped("health"))

    assert troupe.kinds().count(HostActor) == 1
    assert troupe.ended == [""]


def test_scale_sets_that_still_drain_get_a_new_keeper() -> None:
    troupe = Troupe(one_engine=True)
    troupe.tell(Shutdown())
    troupe.crash(KeeperActor)
    troupe.solo.advance(1)
    assert troupe.kinds().count(KeeperActor) == 2

    troupe.stop_sets()
    assert troupe.all(KeeperActor)[1].of(StopKeeper)


def test_a_hurried_end_has_no_reason_and_abandons_all() -> None:
    troupe = Troupe()
    troupe.tell(Abandon())

    assert troupe.ended == [""]
    assert all(one.actor_stopped.is_set() for one in troupe.all(ScaleSetActor))


@pytest.mark.parametrize("last", [Abandon(), object()])
def test_a_backend_that_cannot_be_closed_does_not_hold_up_the_end(last: object) -> None:
    troupe = Troupe(backend=StubbornBackend)
    troupe.tell(last)

    assert len(troupe.ended) == 1


# -- hangs --------------------------------------------------------------------------------------------


def test_a_child_that_does_not_answer_for_30_seconds_is_a_system_that_is_not_alive() -> None:
    troupe = Troupe()
    assert troupe.root.receive(Ping()) is True

    troupe.solo.advance(29)
    assert troupe.root.receive(Ping()) is True

    troupe.solo.advance(2)
    assert troupe.root.receive(Ping()) is False


def test_children_that_answer_keep_the_system_alive() -> None:
    troupe = Troupe()
    for _ in range(10):
        troupe.tell(*(HeartbeatAnswered(name) for name in troupe.root.children.names()))
        troupe.solo.advance(9)

    assert troupe.root.receive(Ping()) is True
