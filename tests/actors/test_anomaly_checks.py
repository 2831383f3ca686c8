"""What cannot be quite right at GitHub is looked at again, and acted on only when it is certain."""

from __future__ import annotations

from support.world import World, scale_set

from runscaler.github.messages import JobAssigned, Statistics


def idle_world(count: int = 1, **settings: object) -> World:
    world = World(max_runners=8, min_runners=count, **settings)
    world.play()
    assert world.states() == ["idle"] * count
    return world


def test_a_runner_whose_registration_is_gone_twice_a_minute_apart_is_replaced() -> None:
    world = idle_world()
    ghost = world.status().slots[0].runner
    world.github.deregister(world.running[ghost].runner_id)

    world.advance(60)
    assert world.status().slots[0].runner == ghost

    world.advance(110)
    assert [slot.runner == ghost for slot in world.status().slots] == [False]
    assert world.states() == ["idle"]


def test_a_runner_that_is_known_again_at_the_second_look_stays() -> None:
    world = idle_world()
    runner = world.status().slots[0].runner
    world.advance(200)
    assert world.status().slots[0].runner == runner


def test_a_session_that_has_been_mute_for_three_polls_is_opened_anew() -> None:
    world = idle_world()
    opened = world.github.calls["open_session"]
    for _ in range(230):
        world.clock.advance(1)
        world.harness.deliver_all()  # nobody polls
    assert world.github.calls["open_session"] == opened + 1


def test_statistics_of_nothing_beside_assigned_jobs_get_a_second_opinion() -> None:
    world = World(max_runners=3)
    world.play()
    world.github.believe("linux", Statistics())
    refreshed = world.github.calls["refresh_session"]
    world.github.say("linux", JobAssigned(job_id="j"))

    world.play()
    assert world.github.calls["refresh_session"] == refreshed + 1


def test_idle_runners_that_get_no_job_while_some_wait_are_replaced_a_quarter_at_a_time() -> None:
    world = idle_world(4)
    before = {slot.runner for slot in world.status().slots}
    world.github.believe("linux", Statistics(assigned=4, running=0, registered=4, idle=4))
    world.github.say("linux", JobAssigned(job_id="elsewhere"))
    world.play()

    world.advance(179)
    assert before <= {slot.runner for slot in world.status().slots}

    world.advance(75)
    assert len(before - {slot.runner for slot in world.status().slots}) == 2


def test_nobody_is_replaced_while_every_scale_set_suffers() -> None:
    world = World(scale_sets=(scale_set("a", min_runners=1), scale_set("b", min_runners=1)))
    world.play()
    before = {slot.runner for number in (0, 1) for slot in world.status(number).slots}
    for name in ("a", "b"):
        world.github.believe(name, Statistics(assigned=2, running=0))
        world.github.say(name, JobAssigned(job_id="elsewhere"))

    world.advance(300)
    after = {slot.runner for number in (0, 1) for slot in world.status(number).slots}
    assert before <= after


def test_after_ten_minutes_without_a_job_the_counts_themselves_are_doubted_once(log_lines) -> None:
    world = idle_world(2)
    world.github.believe("linux", Statistics(assigned=2, running=0, registered=2, idle=2))
    world.github.say("linux", JobAssigned(job_id="elsewhere"))

    world.advance(590)
    assert not [line for line in log_lines if "its counts may be wrong" in line]
    world.advance(1500)
    assert len([line for line in log_lines if "its counts may be wrong" in line]) == 1
    replaced = [line for line in log_lines if "replacing 1" in line]
    world.advance(3600)
    assert [line for line in log_lines if "replacing 1" in line] == replaced


def test_what_cannot_be_read_is_said_once_however_often_it_comes(log_lines) -> None:
    world = idle_world()
    for _ in range(5):
        world.github.say("linux", problems=("statistics: -3 assigned jobs",))
        world.advance(60)
    assert log_lines.count("statistics: -3 assigned jobs\n") == 1
