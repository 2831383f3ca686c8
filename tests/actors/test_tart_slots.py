"""VM slots shared by scale sets, other programs and the warm pool: whole systems without threads."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.placed import PlacedMemoryBackend
from support.world import World, scale_set

from runscaler.actors.base import ActorCrashed
from runscaler.actors.host import HostActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.actors.tart_slots import HOLD_REPORT_SECONDS, HOLDERS_SECONDS, TartSlotActor
from runscaler.backends.memory import MemoryBackend
from runscaler.errors import BackendError, StartFailed
from runscaler.names import OwnerId
from runscaler.policy.vm_slots import MAX_AGE_SECONDS
from runscaler.status import SetState, Unmet

if TYPE_CHECKING:
    from runscaler.config.model import ScaleSetSettings
    from runscaler.simulator.records import Job


def mac_set(name: str, *, pool: int = 0, most: int = 2, **settings: Any) -> ScaleSetSettings:
    return scale_set(name, tart={"pool_size": pool, "max_vms": most}, **settings)


class MacWorld(World):
    """A World on a host with VM slots."""

    backend: PlacedMemoryBackend

    def __init__(self, *sets: ScaleSetSettings, **options: Any) -> None:
        super().__init__(scale_sets=sets, backend=PlacedMemoryBackend, **options)
        self.play()

    def kill(self) -> None:
        """The VM slots that the process had claimed are free again, except those with a VM in them."""
        super().kill()
        self.backend.claims.clear()

    def finish_next(self, name: str) -> None:
        number = [one.name for one in self.config.scale_sets].index(name)
        busy = [slot.runner for slot in self.status(number).slots if slot.state == "busy"]
        self.finish(busy[0])
        self.play()

    def unmet(self, number: int = 0) -> list[tuple[Unmet, int]]:
        return [(one.reason, one.count) for one in self.status(number).unmet]


class MixedWorld(MacWorld):
    """Two scale sets: `mac`, and `here`, which needs no VM slots."""

    def __init__(self, *, host_cap: int) -> None:
        mac = mac_set("mac", backend="tart", runner_image="image")
        super().__init__(mac, scale_set("here", backend="process"), host_cap=host_cap)

    def backend_id_of(self, settings: ScaleSetSettings) -> str:
        return settings.backend

    def open_backend(self, settings: ScaleSetSettings) -> MemoryBackend:
        if settings.backend == "tart":
            return self.backend
        return MemoryBackend(
            self.clock, owner=OwnerId("b"), engine=self.backend.engine, on_start=self._agent_starts
        )


def two_sets(**options: Any) -> MacWorld:
    return MacWorld(mac_set("a", **options), mac_set("b", **options))


def test_no_more_vms_run_than_the_host_may_run() -> None:
    world = two_sets()
    world.queue(5, "a")
    world.queue(5, "b")
    world.play()

    assert len(world.backend.living()) == 2
    assert world.states(0).count("busy") + world.states(1).count("busy") == 2
    assert world.unmet(0) == [(Unmet.VM_LIMIT, world.states(0).count("waiting"))]
    assert world.unmet(1) == [(Unmet.VM_LIMIT, world.states(1).count("waiting"))]
    assert world.status(0).state is SetState.OK


def test_both_scale_sets_get_their_turns_until_all_jobs_are_done() -> None:
    world = two_sets()
    jobs = world.queue(6, "a") + world.queue(6, "b")
    world.play()
    order = []
    while busy := [name for number, name in enumerate("ab") if "busy" in world.states(number)]:
        order += busy
        for name in busy:
            world.finish_next(name)
            world.advance(1)

    assert [job.result for job in jobs] == ["succeeded"] * len(jobs)
    assert world.backend.most_at_once == 2
    assert {*order[:3]} == {"a", "b"}
    assert abs(order[:6].count("a") - 3) <= 1
    assert (world.backend.claims, world.backend.living()) == ({}, {})


def test_vms_of_others_count_and_are_waited_for() -> None:
    world = MacWorld(mac_set("a"))
    world.backend.foreign = 1
    world.queue(2, "a")
    world.play()
    assert world.states() == ["busy", "waiting"]
    (unmet,) = world.status().unmet
    assert (unmet.reason, unmet.count) == (Unmet.VM_LIMIT, 1)
    assert "a stranger (not ours)" in unmet.detail

    world.backend.foreign = 0
    world.advance(61)
    assert world.states() == ["busy", "busy"]
    assert world.unmet() == []


def test_a_waiting_scale_set_is_told_when_the_holders_of_the_vm_slots_change() -> None:
    world = MacWorld(mac_set("a", most=1))
    world.queue(2, "a")
    world.play()
    assert "a stranger" not in world.status().unmet[0].detail

    world.backend.foreign = 1
    world.advance(HOLDERS_SECONDS + 1)
    assert "a stranger (not ours)" in world.status().unmet[0].detail


def test_a_claim_that_waits_for_a_vm_slot_takes_nothing_from_the_cap_of_the_host() -> None:
    world = MixedWorld(host_cap=4)
    world.queue(6, "mac")
    world.play()
    world.queue(3, "here")
    world.play()
    assert (world.status(0).busy, world.status(1).busy) == (2, 2)
    assert {one.reason for one in world.status(1).unmet} == {Unmet.HOST_CAP}

    world.finish_next("here")
    assert (world.status(0).busy, world.status(1).busy) == (2, 2)


def test_a_vm_slot_is_kept_while_its_runner_waits_for_the_cap_of_the_host() -> None:
    world = MixedWorld(host_cap=1)
    world.queue(1, "here")
    world.play()
    world.queue(1, "mac")
    world.play()
    assert world.unmet(0) == [(Unmet.HOST_CAP, 1)]

    for kind in (TartSlotActor, HostActor, ScaleSetActor):
        world.crash(kind)
        world.advance(3)
        assert len(world.backend.claims) == 1
    world.finish_next("here")
    assert world.states(0) == ["busy"]
    assert world.backend.claims == {}


def test_a_vm_that_the_kernel_refuses_to_run_waits_and_is_no_failure() -> None:
    world = MacWorld(mac_set("a"))
    world.backend.refusing = 3
    world.queue(1, "a")
    world.play()
    assert world.status().state is SetState.OK

    world.advance(60)
    status = world.status()
    assert (world.states(), status.counters.runners_failed, status.state) == (["busy"], 0, SetState.OK)
    assert not world.github.runners or all(one.job for one in world.github.runners.values())


def test_each_vm_slot_has_its_mac_address_and_the_lowest_free_one_is_used() -> None:
    world = MacWorld(mac_set("a"))
    world.queue(2, "a")
    world.play()
    macs = {one.place.vm_slot: one.place.mac for one in world.resources()}
    assert macs == {0: "02:00:00:00:00:01", 1: "02:00:00:00:00:02"}

    world.finish_all()
    world.play()
    world.queue(1, "a")
    world.play()
    assert [one.place.vm_slot for one in world.resources()] == [0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_vm_slot_is_not_granted_again_before_it_was_released_though_its_vm_has_ended(
    order: tuple[int, ...],
) -> None:
    world = MacWorld(mac_set("a"))
    world.queue(4, "a")
    world.play()
    runners = {one.place.vm_slot: one.runner for one in world.resources()}
    for vm_slot in order:
        world.finish(runners[vm_slot])
    world.play()

    assert sorted(one.place.vm_slot or 0 for one in world.resources()) == [0, 1]
    assert world.status().counters.runners_failed == 0


# -- the warm pool ------------------------------------------------------------------------------------


def test_the_pool_fills_before_any_job_and_a_job_takes_the_oldest_warm_vm() -> None:
    world = MacWorld(mac_set("a", pool=2))
    assert sorted(world.backend.pooled) == ["pool-00000001", "pool-00000002"]

    world.queue(1, "a")
    world.play()
    assert world.backend.used_warm == ["pool-00000001"]
    assert len(world.backend.living()) == 2


def test_the_pool_is_filled_again_as_slots_become_free() -> None:
    world = MacWorld(mac_set("a", pool=1))
    world.queue(2, "a")
    world.play()
    assert (world.states(), world.backend.pooled) == (["busy", "busy"], {})

    world.finish_next("a")
    world.play()
    assert len(world.backend.pooled) == 1


def test_a_warm_vm_is_removed_for_a_job_that_needs_another_image() -> None:
    world = MacWorld(mac_set("a", pool=2, runner_image="sequoia"), mac_set("b", runner_image="sonoma"))
    assert len(world.backend.pooled) == 2

    world.queue(1, "b")
    world.play()
    assert world.states(1) == ["busy"]
    assert len(world.backend.pooled) == 1


def test_sets_with_the_same_image_share_their_warm_vms() -> None:
    world = MacWorld(mac_set("a", pool=1), mac_set("b"))
    world.queue(1, "b")
    world.play()
    assert world.backend.used_warm == ["pool-00000001"]


def test_a_warm_vm_that_ends_by_itself_is_replaced() -> None:
    world = MacWorld(mac_set("a", pool=1))
    world.backend.die("pool-00000001")
    world.play()
    assert list(world.backend.pooled) == ["pool-00000002"]
    assert world.backend.cooled == ["pool-00000001"]


def test_a_warm_vm_that_reaches_its_maximum_age_is_replaced() -> None:
    world = MacWorld(mac_set("a", pool=1))
    for _ in range(13):
        world.clock.advance(MAX_AGE_SECONDS / 12)
        world.play()
    assert list(world.backend.pooled) == ["pool-00000002"]
    assert world.backend.cooled == ["pool-00000001"]


def test_a_failed_boot_is_retried_with_growing_delays() -> None:
    world = World.__new__(MacWorld)
    World.__init__(world, scale_sets=(mac_set("a", pool=1),), backend=PlacedMemoryBackend)
    for _ in range(3):
        world.backend.fail_next("start", StartFailed("the guest agent did not answer"))
    world.play()
    assert world.backend.pooled == {}

    world.advance(30)
    assert len(world.backend.pooled) == 1


def test_a_failed_removal_is_retried_until_the_warm_vm_is_gone() -> None:
    world = MacWorld(mac_set("a", pool=1))
    for _ in range(4):
        world.backend.fail_next("remove", BackendError("tart delete: operation not permitted"))
    world.shut_down()
    world.play()
    assert world.ended == []

    world.advance(25)
    assert (world.backend.pooled, world.ended) == ({}, [""])


# -- stops and starts ------------------------------------------------------------------------------


def test_a_stop_removes_the_pool() -> None:
    world = MacWorld(mac_set("a", pool=2))
    world.shut_down()
    world.advance(5)
    assert (world.backend.pooled, world.backend.claims, world.ended) == ({}, {}, [""])


def test_a_stop_removes_the_pool_at_once_even_while_busy_runners_drain() -> None:
    world = MacWorld(mac_set("a", pool=2, most=3))
    world.config = world.config.model_copy(update={"drain_timeout": 600.0})
    world.kill()
    world.start()
    world.play()
    world.queue(2, "a")
    world.play()
    assert (world.states().count("busy"), len(world.backend.pooled)) == (2, 1)

    world.shut_down()
    world.advance(5)
    assert (world.states().count("busy"), world.backend.pooled, world.ended) == (2, {}, [])

    world.finish_next("a")
    world.advance(1)
    assert (world.states().count("busy"), world.backend.pooled) == (1, {})
    world.crash(TartSlotActor)
    world.advance(2)
    assert world.backend.pooled == {}
    world.finish_next("a")
    world.advance(5)
    assert (world.backend.claims, world.ended) == ({}, [""])


def test_a_stop_that_keeps_runners_leaves_the_pool_for_the_next_start() -> None:
    world = MacWorld(mac_set("a", pool=2))
    world.config = world.config.model_copy(update={"on_exit": "keep"})
    world.kill()
    world.start()
    world.play()
    before = dict(world.backend.pooled)
    world.shut_down()
    world.advance(5)
    assert (world.backend.pooled, world.ended) == (before, [""])

    world.backend.claims.clear()
    world.start()
    world.play()
    world.queue(1, "a")
    world.play()
    assert world.backend.used_warm == ["pool-00000001"]


def test_running_vms_of_a_killed_daemon_keep_their_vm_slots() -> None:
    world = MacWorld(mac_set("a"))
    world.queue(3, "a")
    world.play()
    world.kill()
    world.start()
    world.play()

    assert world.states() == ["busy", "busy", "waiting"]
    assert world.backend.most_at_once == 2
    world.finish_next("a")
    assert world.states() == ["busy", "busy"]


@pytest.mark.parametrize("pool", [0, 1])
def test_a_crash_of_the_actor_loses_no_claim_and_grants_nothing_twice(pool: int) -> None:
    world = MacWorld(mac_set("a", pool=pool))
    jobs = world.queue(4, "a")
    world.play()
    world.crash(TartSlotActor)
    world.advance(2)
    assert world.states().count("busy") == 2

    while "busy" in world.states():
        world.finish_next("a")
        world.advance(1)
    assert [job.result for job in jobs] == ["succeeded"] * 4
    assert world.backend.most_at_once == 2
    assert (world.backend.claims, len(world.backend.pooled)) == ({}, pool)


def with_a_job_that_waits_for_a_warm_vm() -> tuple[MacWorld, Job]:
    """The claim waits in the inbox of `TartSlotActor`, which handles no messages for now."""
    world = MacWorld(mac_set("a", pool=1))
    world.advance(1)
    world.hanging = (TartSlotActor,)
    (job,) = world.queue(1, "a")
    world.play()
    assert (world.states(), list(world.backend.pooled)) == (["waiting"], ["pool-00000001"])
    return world, job


def test_a_warm_vm_that_was_granted_to_a_job_just_cancelled_is_removed() -> None:
    world, job = with_a_job_that_waits_for_a_warm_vm()
    world.github.cancel(job)
    world.play()
    assert world.states() == []

    world.hanging = ()
    world.advance(5)
    assert list(world.backend.pooled) == ["pool-00000002"]
    world.shut_down()
    world.play()
    assert (world.ended, world.backend.living()) == ([""], {})


def test_a_warm_vm_whose_grant_was_lost_with_its_scale_set_actor_is_removed() -> None:
    world, _ = with_a_job_that_waits_for_a_warm_vm()
    world.hanging = (ScaleSetActor,)
    world.deliver()
    with suppress(ActorCrashed):
        world.harness.alive(ScaleSetActor)[0].on_receive(object())
    world.hanging = ()
    world.advance(60)
    assert world.states() == ["busy"]
    assert len(world.backend.living()) == 2, "the job's, and one for the pool"

    world.finish_all()
    world.advance(60)
    assert len(world.backend.living()) == 1


def test_a_crashed_scale_set_delays_the_others_only_shortly() -> None:
    world = two_sets()
    world.queue(2, "a")
    world.play()
    world.crash(type(world.harness.actors[3]))
    world.queue(1, "b")
    world.advance(HOLD_REPORT_SECONDS)
    world.finish_next("a")
    world.advance(2)
    assert "busy" in world.states(1)
