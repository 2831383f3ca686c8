"""No runner starts while this host is short of something (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.held_workers import HeldWorkerPool
from support.solo import Solo
from support.world import ScaleSetActor, World, scale_set

from runscaler.actors.context import Configuration
from runscaler.actors.host import HostActor
from runscaler.actors.messages import ApplyHostSettings, ClaimCapacity, ClaimGranted, HostShort, Reload
from runscaler.config.model import Config, HostSettings
from runscaler.names import Generation, SlotNumber
from runscaler.policy.host_guard import Disk, Measurement
from runscaler.status import SetState, Unmet

GIB = 1024**3
LIMIT = {"min_free_disk": "10GiB"}
PLENTY, TOO_LITTLE, ALMOST = (Measurement(disks=(Disk("/engine", free * GIB),)) for free in (50, 4, 10.5))
REASON = "free disk 4 GiB is below min-free-disk 10 GiB (/engine)"


def guarded(measured: Measurement = PLENTY, **more: object) -> World:
    world = World(host=LIMIT, **{"max_runners": 5, **more})  # type: ignore[arg-type]
    world.measured = measured
    world.play()
    return world


def test_nothing_starts_while_the_disk_is_too_full_and_the_reason_is_shown() -> None:
    world = guarded(TOO_LITTLE)
    world.queue(3)
    world.advance(7)

    (unmet,) = world.status().unmet
    assert world.resources() == []
    assert (unmet.reason, unmet.count, unmet.detail) == (Unmet.HOST_GUARD, 3, REASON)
    assert unmet.look_at is not None
    assert 0 < unmet.look_at - world.clock.wall() <= 5
    assert world.status().state is SetState.OK


def test_starts_go_on_when_there_is_enough_again() -> None:
    world = guarded(TOO_LITTLE)
    world.queue(3)
    world.advance(7)
    world.measured = PLENTY

    world.advance(5)

    assert len(world.working()) == 3
    assert world.status().unmet == ()


def test_running_jobs_go_on() -> None:
    world = guarded()
    world.queue(2)
    world.play()
    world.measured = TOO_LITTLE
    world.advance(30)
    world.queue(1)
    world.play()

    assert len(world.working()) == 2
    assert [one.count for one in world.status().unmet] == [1]
    assert world.cut_down == []


def test_a_job_that_is_cancelled_meanwhile_wants_nothing_any_more() -> None:
    world = guarded(TOO_LITTLE)
    (job,) = world.queue(1)
    world.play()
    world.github.cancel(job)
    world.play()

    assert (world.states(), world.status().unmet) == ([], ())


def test_it_is_said_once_and_once_when_it_is_over(log_lines: list[str]) -> None:
    world = guarded(TOO_LITTLE)
    world.queue(1)
    world.advance(60)
    world.measured = ALMOST
    world.advance(60)
    assert world.working() == []
    world.measured = PLENTY
    world.advance(60)
    world.measured = ALMOST
    world.advance(60)

    assert [line for line in log_lines if "runners start" in line or "runner starts:" in line] == [
        f"no runner starts: {REASON}; looking every 5 s\n",
        "runners start again: this host has enough of what was short\n",
    ]


def test_what_becomes_short_later_is_said_too(log_lines: list[str]) -> None:
    world = World(host={**LIMIT, "max_load": 4.0}, max_runners=1)
    world.measured = TOO_LITTLE
    world.advance(10)
    world.measured = replace(TOO_LITTLE, load=5.0)
    world.advance(10)

    assert log_lines[-1] == f"no runner starts: {REASON}; load 5.0 is above max-load 4; looking every 5 s\n"


def test_nothing_starts_before_the_first_look() -> None:
    world = World(host=LIMIT, max_runners=2)
    world.measured = TOO_LITTLE
    world.queue(2)
    world.play()

    assert world.started == []


def test_warm_runners_wait_too() -> None:
    world = guarded(TOO_LITTLE, min_runners=2)
    world.advance(6)

    assert world.resources() == []
    assert [(one.reason, one.count) for one in world.status().unmet] == [(Unmet.HOST_GUARD, 2)]


def test_when_it_is_over_the_cap_is_shared_fairly() -> None:
    sets = (scale_set("a", max_runners=10), scale_set("b", max_runners=10))
    world = World(scale_sets=sets, host=LIMIT, host_cap=4)
    world.measured = TOO_LITTLE
    world.queue(10, "a")
    world.advance(6)
    world.queue(10, "b")
    world.advance(6)
    assert world.resources() == []
    world.measured = PLENTY

    world.advance(6)

    assert (world.status(0).busy, world.status(1).busy) == (2, 2)
    assert {one.reason for number in (0, 1) for one in world.status(number).unmet} == {Unmet.HOST_CAP}


@pytest.mark.parametrize("kind", [HostActor, ScaleSetActor])
def test_an_actor_that_is_restarted_meanwhile_neither_starts_nor_forgets_anything(kind: type) -> None:
    world = guarded(TOO_LITTLE)
    world.queue(2)
    world.advance(6)
    world.crash(kind)
    world.advance(10)
    assert world.resources() == []
    assert [(one.reason, one.detail) for one in world.status().unmet] == [(Unmet.HOST_GUARD, REASON)]
    world.measured = PLENTY

    world.advance(6)

    assert len(world.working()) == 2


def test_a_restarted_host_that_is_short_no_more_leaves_no_reason_behind() -> None:
    world = guarded(TOO_LITTLE)
    world.queue(1)
    world.advance(6)
    world.measured = PLENTY
    world.crash(HostActor)
    world.advance(3)

    assert (len(world.working()), world.status().unmet) == (1, ())


def test_a_shortage_that_ended_with_its_host_actor_is_no_reason_later() -> None:
    world = guarded(TOO_LITTLE, host_cap=1)
    (job,) = world.queue(1)
    world.play()
    world.github.cancel(job)
    world.play()
    world.measured = PLENTY
    world.crash(HostActor)
    world.advance(10)
    world.queue(2)
    world.play()

    assert [one.reason for one in world.status().unmet] == [Unmet.HOST_CAP]


def test_without_limits_nothing_is_measured() -> None:
    world = World(max_runners=1)
    world.measured = None  # type: ignore[assignment]
    world.queue(1)
    world.advance(20)

    assert len(world.working()) == 1


def reload(world: World, **limits: object) -> None:
    host = HostSettings.model_validate(limits)
    world.config = world.config.model_copy(update={"host": host})
    world.root.receive(Reload(world.config))
    world.play()


def test_a_reload_can_set_limits_and_take_them_away() -> None:
    world = World(max_runners=5)
    world.queue(1)
    world.play()
    world.measured = TOO_LITTLE
    reload(world, **LIMIT)
    world.queue(2)
    world.advance(1)
    assert (len(world.working()), [one.detail for one in world.status().unmet]) == (1, [REASON])

    reload(world, min_free_disk="1GiB")
    assert (len(world.working()), world.status().unmet) == (3, ())

    reload(world, **LIMIT)
    world.queue(1)
    world.advance(6)
    assert [one.detail for one in world.status().unmet] == [REASON]
    reload(world)
    world.advance(30)
    assert (len(world.working()), world.status().unmet) == (4, ())


@pytest.mark.parametrize("seconds", [1, 10])
def test_after_limits_were_taken_away_and_set_again_there_is_one_look_each_time(seconds: float) -> None:
    world = guarded()
    looks = 0

    def measure() -> Measurement:
        nonlocal looks
        looks += 1
        return PLENTY

    reload(world)
    world.advance(seconds)
    reload(world, **LIMIT)
    world.measure = measure  # type: ignore[method-assign]
    world.advance(20)

    assert looks == 4


class Held:
    """A host actor whose measurements wait for the test, and one scale set."""

    def __init__(self) -> None:
        self.solo = Solo()
        self.answer = TOO_LITTLE
        self.pools: list[HeldWorkerPool] = []
        context = replace(
            self.solo.context,
            configuration=Configuration(Config(scale_sets=(self.solo.settings,), host=LIMIT)),  # type: ignore[arg-type]
            make_worker_pool=self.make_pool,
            measure_host=lambda: self.answer,
        )
        self.actor = self.solo.harness.add(HostActor(self.solo.parent.actor_ref, context))
        self.actor.on_start()
        self.scale_set = self.solo.probe("linux")

    def make_pool(self, *args: object) -> HeldWorkerPool:
        self.pools.append(HeldWorkerPool(*args))  # type: ignore[arg-type]
        return self.pools[-1]

    def claim(self, slot: int) -> None:
        claim = ClaimCapacity(
            self.solo.settings.key, self.scale_set.actor_ref, SlotNumber(slot), Generation(1)
        )
        self.solo.tell(self.actor, claim)

    def finish_look(self) -> None:
        self.pools[0].do_one()
        self.solo.play()


def test_the_first_claim_brings_the_first_look_and_waits_for_it() -> None:
    held = Held()
    held.claim(0)
    assert held.scale_set.of(ClaimGranted) == []
    assert held.scale_set.of(HostShort)[0].reason == "this host is being looked at for the first time"
    held.answer = PLENTY

    held.finish_look()

    assert [one.slot for one in held.scale_set.of(ClaimGranted)] == [0]
    assert held.scale_set.received[-2:] == [HostShort(None), *held.scale_set.of(ClaimGranted)]


def test_a_measurement_that_hangs_is_not_waited_for_for_ever(log_lines: list[str]) -> None:
    held = Held()
    held.claim(0)
    held.solo.advance(29)
    assert held.scale_set.of(ClaimGranted) == []

    held.solo.advance(2)

    assert len(held.pools[0].waiting) == 1
    assert [one.slot for one in held.scale_set.of(ClaimGranted)] == [0]
    assert "this host cannot be measured for 30 s: a disk may hang. Starts go on unguarded\n" in log_lines

    held.finish_look()  # it hung for a while only
    held.claim(1)
    assert len(held.scale_set.of(ClaimGranted)) == 1


def test_there_is_one_measurement_at_a_time_and_its_end_brings_no_second_warning(
    log_lines: list[str],
) -> None:
    held = Held()
    held.claim(0)
    for _ in range(4):
        held.solo.advance(5)
    assert len(held.pools[0].waiting) == 1
    held.finish_look()
    held.solo.advance(5)
    held.finish_look()
    held.solo.advance(29)

    assert [line for line in log_lines if "cannot be measured" in line] == []


def test_what_is_measured_for_the_limits_before_a_reload_says_nothing_about_the_new_ones() -> None:
    held = Held()
    held.claim(0)
    held.solo.tell(held.actor, ApplyHostSettings(HostSettings.model_validate({"max_load": 4.0})))
    held.answer = Measurement()
    held.finish_look()
    assert held.scale_set.of(ClaimGranted) == []

    held.answer = Measurement(load=5.0)
    held.finish_look()
    assert held.scale_set.of(HostShort)[-1].reason == "load 5.0 is above max-load 4"


def test_a_measurement_that_crashes_takes_the_host_actor_down_to_be_started_anew() -> None:
    world = guarded()
    world.measured = property()  # type: ignore[assignment]
    world.advance(6)
    world.measured = PLENTY
    world.queue(1)
    world.advance(6)

    assert world.board.read().restarts["host"] == 1
    assert len(world.working()) == 1
