"""The health actor: sole writer of the board, holder of the server."""

from __future__ import annotations

from dataclasses import replace

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
from runscaler.names import ScaleSetKey
from runscaler.status import SetState


class Server:
    """Counts its ends."""

    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


def started(solo: Solo) -> HealthActor:
    solo.harness.launch(HealthActor, solo.parent.actor_ref, solo.house)
    return solo.harness.alive(HealthActor)[0]


def test_a_snapshot_replaces_that_of_its_own_scale_set() -> None:
    solo = Solo(scale_sets=(scale_set("linux"), scale_set("windows")))
    health = started(solo)
    before = solo.board.read().scale_sets
    taken = replace(before[1], state=SetState.OK, idle=3)

    solo.tell(health, SnapshotTaken(solo.config.scale_sets[1].key, taken))

    assert solo.board.read().scale_sets == (before[0], taken)


def test_a_snapshot_of_a_scale_set_that_is_not_ours_changes_nothing() -> None:
    solo = Solo()
    health = started(solo)
    before = solo.board.read()

    solo.tell(health, SnapshotTaken(ScaleSetKey.of("x", "y", "z"), before.scale_sets[0]))

    assert solo.board.read().scale_sets == before.scale_sets


def test_restarts_and_the_reason_of_the_end_are_shown() -> None:
    solo = Solo()
    solo.tell(started(solo), RestartsCounted((("host", 2), ("keeper memory", 1)), "host crashed"))

    status = solo.board.read()
    assert (status.restarts, status.given_up) == ({"host": 2, "keeper memory": 1}, "host crashed")


def test_the_server_runs_as_long_as_the_actor() -> None:
    server = Server()
    solo = Solo(serve=lambda: server)
    health = started(solo)
    assert server.stops == 0

    solo.tell(health, StopHealth())

    assert server.stops == 1
    assert solo.heard(SharedStopped) == [SharedStopped("health")]


def test_a_crash_ends_the_server_so_that_the_next_can_serve() -> None:
    server = Server()
    solo = Solo(serve=lambda: server)
    solo.tell(started(solo), object())

    assert server.stops == 1
    assert len(solo.heard(ChildCrashed)) == 1


def test_a_server_that_cannot_be_started_is_a_crash() -> None:
    def refuse() -> Server:
        raise OSError("too many open files")

    solo = Solo(serve=refuse)
    solo.harness.launch(HealthActor, solo.parent.actor_ref, solo.house)
    solo.play()

    (crash,) = solo.heard(ChildCrashed)
    assert (crash.name, crash.handling) == ("health", "start")


def test_without_a_port_only_the_board_is_kept() -> None:
    solo = Solo()
    solo.tell(started(solo), StopHealth())

    assert solo.heard(SharedStopped) == [SharedStopped("health")]
