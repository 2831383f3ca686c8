"""The phases of a start, from the demand to the job (docs/metrics.md, *The phases of a start*)."""

from __future__ import annotations

import pytest
from support.world import World

from runscaler.actors.start_timer import StartTimer
from runscaler.backends.base import Place, StartStep
from runscaler.errors import Unreachable
from runscaler.github.messages import JobStarted
from runscaler.status import NO_PHASES, StartPhases
from runscaler.testing.clock import FakeClock

ELSEWHERE = JobStarted("nobody", runner_name="runner-elsewhere")
"""It brings GitHub's counts along."""


def test_each_phase_of_a_container_is_measured_and_both_sides_of_the_jit_call_are_creation() -> None:
    clock = FakeClock()
    timer = StartTimer(clock, clock.monotonic() - 2, Place())

    timer.began()
    clock.advance(0.5)
    timer.jit_asked()
    clock.advance(3)
    timer.jit_answered()
    clock.advance(1)
    timer.reached(StartStep.CREATED)
    clock.advance(0.25)

    phases = timer.up()
    assert phases == StartPhases(wait=2, jit=3, create=1.5, start=0.25)
    assert phases.up == 6.75
    assert timer.reaction == 2.5


def test_a_vm_boots_before_its_jit_configuration_is_asked_for() -> None:
    clock = FakeClock()
    timer = StartTimer(clock, clock.monotonic(), Place(vm_slot=0))
    timer.began()
    clock.advance(4)
    timer.reached(StartStep.CREATED)
    clock.advance(20)
    timer.reached(StartStep.BOOTED)
    timer.jit_asked()
    clock.advance(1)
    timer.jit_answered()
    clock.advance(2)

    assert timer.up() == StartPhases(wait=0, create=4, boot=20, jit=1, start=2)
    assert timer.reaction == 0


def slow_world(**settings: object) -> World:
    """Its backend takes 2 s for a start."""
    world = World(max_runners=3, **settings)
    world.backend.latency = 2.0
    return world


def test_a_slot_shows_the_phases_of_its_runner_up_to_the_job() -> None:
    world = slow_world()
    world.agents_connect = False
    world.queue(1)
    world.play()
    world.advance(1)
    assert world.status().slots[0].phases == StartPhases(wait=0, jit=0, create=2, start=0)

    world.advance(6)
    world.agents_connect = True
    world.advance(1)

    phases = world.status().slots[0].phases
    assert phases.register == phases.job == pytest.approx(8, abs=1)
    assert world.status().typical_start == phases


def test_an_idle_runner_is_registered_when_githubs_counts_show_it_and_has_no_job_yet() -> None:
    world = slow_world(min_runners=1)
    world.agents_connect = False
    world.play()
    world.advance(5)
    assert world.status().slots[0].phases.register is None

    world.agents_connect = True
    world.play()
    world.github.say("linux", ELSEWHERE)
    world.advance(1)

    phases = world.status().slots[0].phases
    assert phases.register == pytest.approx(5, abs=1.5)
    assert phases.job is None


def test_a_word_after_90_s_says_nothing_about_when_the_runner_was_registered() -> None:
    world = slow_world(min_runners=1)
    world.github.fail_next("runner", Unreachable("no answer"), times=1000)
    world.counts_are_lost = True
    world.play()
    world.advance(130)
    world.counts_are_lost = False
    world.github.say("linux", ELSEWHERE)
    world.advance(1)

    assert world.status().slots[0].phases.register is None
    assert world.status().typical_start.register is None


def test_an_adopted_runner_has_no_phases() -> None:
    world = slow_world(min_runners=1)
    world.play()
    world.kill()
    world.start()
    world.play()
    world.queue(1)
    world.advance(1)

    assert world.status().slots[0].phases == NO_PHASES
    assert world.status().slots[1].phases != NO_PHASES


def test_a_new_runner_in_a_slot_starts_without_phases() -> None:
    world = slow_world()
    world.queue(1)
    world.play()
    world.finish_all()
    world.advance(30)
    world.backend.latency = 0.0
    world.agents_connect = False
    world.queue(1)
    world.play()
    world.advance(1)

    assert world.status().slots[0].phases == StartPhases(wait=0, jit=0, create=0, start=0)
