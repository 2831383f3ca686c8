"""The health actor alone: it writes the board and owns the health server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.solo import Solo
from support.world import scale_set

from runscaler.actors.health import HealthActor
from runscaler.actors.messages import (
    ChildCrashed,
    RestartsCounted,
    SharedStopped,
    SnapshotTaken,
    StopHealth,
)
from runscaler.status import SetState


class Server:
    """Counts how often it is stopped."""

    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


def start(solo: Solo) -> HealthActor:
    solo.harness.launch(HealthActor, solo.parent.actor_ref, solo.context)
    return solo.harness.alive(HealthActor)[0]


def test_a_snapshot_replaces_the_last_one_of_its_scale_set() -> None:
    solo = Solo(scale_sets=(scale_set("linux"), scale_set("windows")))
    health = start(solo)
    before = solo.board.read().scale_sets
    taken = replace(before[1], state=SetState.OK, idle=3)

    solo.tell(health, SnapshotTaken(solo.config.scale_sets[1].key, taken))

    shown = solo.board.read().scale_sets
    assert shown == (before[0], replace(taken, state_since=solo.clock.wall()))


def test_the_board_tells_since_when_a_scale_set_is_in_its_state_and_jobs_wait() -> None:
    solo = Solo()
    health = start(solo)
    (before,) = solo.board.read().scale_sets
    began = solo.clock.wall()

    def told(later: float, **facts: Any) -> tuple[float | None, float | None]:
        solo.clock.advance(later)
        solo.tell(health, SnapshotTaken(before.key, replace(before, **facts)))
        (one,) = solo.board.read().scale_sets
        return tuple(None if at is None else at - began for at in (one.state_since, one.waiting_since))

    assert told(5, state=SetState.OK) == (5, None)
    assert told(10, state=SetState.OK, assigned_jobs=3, running_jobs=1) == (5, 15)
    assert told(10, state=SetState.DEGRADED, reason="x", assigned_jobs=2, running_jobs=1) == (25, 15)
    assert told(10, state=SetState.DEGRADED, reason="y", assigned_jobs=1, running_jobs=1) == (25, None)
    assert told(10, state=SetState.DEGRADED, reason="y", assigned_jobs=2) == (25, 45)


def test_a_scale_set_that_is_not_configured_any_more_comes_last_until_it_has_stopped() -> None:
    solo = Solo()
    health = start(solo)
    before = solo.board.read().scale_sets
    old = replace(before[0], name="old", state=SetState.DRAINING)

    solo.tell(health, SnapshotTaken(old.key, old))
    assert [one.name for one in solo.board.read().scale_sets] == [*(one.name for one in before), "old"]

    solo.tell(health, SnapshotTaken(old.key, replace(old, state=SetState.STOPPED)))
    assert solo.board.read().scale_sets == before


def test_restarts_and_the_reason_for_giving_up_are_shown() -> None:
    solo = Solo()
    solo.tell(start(solo), RestartsCounted((("host", 2), ("keeper memory", 1)), "host crashed"))

    status = solo.board.read()
    assert (status.restarts, status.given_up) == ({"host": 2, "keeper memory": 1}, "host crashed")


def test_the_server_runs_as_long_as_the_actor() -> None:
    server = Server()
    solo = Solo(serve=lambda _: server)
    health = start(solo)
    assert server.stops == 0

    solo.tell(health, StopHealth())

    assert server.stops == 1
    assert solo.heard(SharedStopped) == [SharedStopped("health")]


def test_a_crash_stops_the_server_so_that_the_next_actor_can_serve() -> None:
    server = Server()
    solo = Solo(serve=lambda _: server)
    solo.tell(start(solo), object())

    assert server.stops == 1
    assert len(solo.heard(ChildCrashed)) == 1


def test_a_server_that_cannot_be_started_is_a_crash() -> None:
    def refuse(_: object) -> Server:
        raise OSError("too many open files")

    solo = Solo(serve=refuse)
    solo.harness.launch(HealthActor, solo.parent.actor_ref, solo.context)
    solo.play()

    (crash,) = solo.heard(ChildCrashed)
    assert (crash.name, crash.handling) == ("health", "start")


def test_without_a_server_the_actor_runs_and_stops_all_the_same() -> None:
    solo = Solo()
    solo.tell(start(solo), StopHealth())

    assert solo.heard(SharedStopped) == [SharedStopped("health")]


class Stoppable:
    """Something to stop; `reported` tells at each stop whether the actor had reported its own end already."""

    def __init__(self, solo: Solo) -> None:
        self._solo = solo
        self.reported: list[bool] = []

    def stop(self) -> None:
        self._solo.harness.deliver_all()
        self.reported.append(bool(self._solo.heard(SharedStopped)))


def test_the_server_has_stopped_before_the_actor_reports_its_end() -> None:
    """Else `Autoscaler.stop()` would return while the port is in use, and the next start would fail."""
    solo = Solo()
    server = Stoppable(solo)
    solo.context = replace(solo.context, serve=lambda _: server)
    solo.harness.launch(HealthActor, solo.parent.actor_ref, solo.context)
    solo.tell(solo.harness.alive(HealthActor)[0], StopHealth())

    assert server.reported[0] is False


def test_a_server_whose_thread_crashed_takes_the_actor_down_which_closes_it() -> None:
    """Its successor starts another on the same port."""
    crashed: list[Any] = []
    server = Server()

    def serve(tell: Any) -> Server:
        crashed.append(tell)
        return server

    solo = Solo(serve=serve)
    start(solo)

    crashed[0]("ValueError: a bug")
    solo.play()

    (crash,) = solo.heard(ChildCrashed)
    assert (crash.handling, server.stops) == ("ServerCrashed", 1)
    assert "ValueError: a bug" in crash.error
