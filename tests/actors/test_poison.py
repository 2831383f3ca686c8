"""A batch that crashes the scale set whenever it is handled must not stop the scale set for ever."""

from __future__ import annotations

from typing import cast

from support.world import World

from runscaler.github.messages import JobStarted
from runscaler.status import SetState


def test_a_batch_that_crashes_its_scale_set_three_times_is_set_aside() -> None:
    world = World(max_runners=3, min_runners=1)
    world.play()
    runner = world.status().slots[0].runner
    unheard_of = cast(
        "str", 5
    )  # not a string, which the parser of the wire would refuse: handling it crashes

    world.github.say("linux", JobStarted(job_id="j", runner_name=runner, display_name=unheard_of))
    world.play()
    world.advance(30)

    assert len(world.state_store.aside) == 1
    assert "display_name=5" in world.state_store.aside[0]
    assert world.status().restarts == 3

    world.queue(2)
    world.play()
    assert world.status().state is SetState.OK
    assert world.states().count("busy") == 2
