"""The scale set at GitHub stays as configured, whatever somebody changes by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.solo import Solo
from support.world import World

from runscaler.actors.messages import AnnounceCapacity, BatchHandled
from runscaler.actors.registration import CHECK_SECONDS
from runscaler.errors import Unreachable

if TYPE_CHECKING:
    from runscaler.testing.memory_scale_set import MemoryScaleSet

OTHER_GROUP = 3


def serving_world() -> tuple[World, MemoryScaleSet]:
    world = World(max_runners=2, min_runners=1, labels=("linux", "gpu"))
    world.play()
    found = world.github.scale_set("linux")
    assert found is not None
    return world, found


def facts(scale_set: MemoryScaleSet) -> tuple[object, ...]:
    return scale_set.name, scale_set.group_id, scale_set.labels


AS_CONFIGURED = ("linux", 1, ("linux", "gpu"))
CHANGES = [{"name": "renamed"}, {"group_id": OTHER_GROUP}, {"labels": ("other",)}]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_change_by_hand_is_undone_at_the_next_check(change, log_lines) -> None:
    world, scale_set = serving_world()
    world.github.change_scale_set("linux", **change)
    assert facts(scale_set) != AS_CONFIGURED

    world.advance(CHECK_SECONDS + 60)

    assert facts(scale_set) == AS_CONFIGURED
    assert [line for line in log_lines if "somebody changed the scale set" in line]
    assert world.github.calls["open_session"] == 1


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_change_by_hand_is_undone_when_the_next_session_opens(change) -> None:
    world, scale_set = serving_world()
    world.github.change_scale_set("linux", **change)
    world.github.end_session(scale_set.name)
    world.advance(3)

    assert facts(scale_set) == AS_CONFIGURED
    assert world.github.calls["create_scale_set"] == 1
    world.queue(1)
    world.play()
    assert world.states() == ["busy", "idle"]


def test_a_killed_daemon_finds_its_renamed_scale_set_again() -> None:
    world, scale_set = serving_world()
    world.kill()
    world.github.change_scale_set("linux", name="renamed")
    world.start()
    world.play()

    assert facts(scale_set) == AS_CONFIGURED
    assert world.github.calls["create_scale_set"] == 1


def test_a_standby_does_not_change_the_scale_set() -> None:
    world, scale_set = serving_world()
    world.github.hold_session("linux")
    world.github.change_scale_set("linux", labels=("theirs",))
    world.advance(CHECK_SECONDS + 120)

    assert scale_set.labels == ("theirs",)
    assert world.github.calls["update_scale_set"] == 0


def test_a_deleted_scale_set_is_looked_up_by_its_id_only_once() -> None:
    world, _ = serving_world()
    world.github.delete_scale_set("linux")
    world.github.fail_next("create_scale_set", Unreachable("no route to host"), times=4)
    world.advance(60)

    assert world.github.calls["scale_set"] == 1
    assert world.states() == ["idle"]


def test_labels_that_github_drops_are_not_sent_again_at_every_check(log_lines) -> None:
    solo = Solo(labels=("linux", "gpu"))
    for call in ("create_scale_set", "update_scale_set", "scale_set"):
        solo.service.answers[call] = lambda found: replace(found, labels=("linux",))
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))
    asked = solo.service.names().count("update_scale_set")

    for _ in range(3):
        solo.clock.advance(CHECK_SECONDS)
        solo.tell(listener, AnnounceCapacity(10))

    assert solo.service.names().count("scale_set") == 3
    assert (asked, solo.service.names().count("update_scale_set")) == (1, 1)
    assert "somebody" not in "".join(log_lines)


def test_fields_that_github_leaves_out_do_not_count_as_changes(log_lines) -> None:
    solo = Solo()
    solo.service.answers["scale_set"] = lambda found: replace(found, name="", runner_group_id=0)
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))
    solo.clock.advance(CHECK_SECONDS)
    solo.tell(listener, AnnounceCapacity(10))

    assert solo.service.names().count("scale_set") == 1
    assert "update_scale_set" not in solo.service.names()
    assert "somebody" not in "".join(log_lines)


def test_a_failed_check_does_not_disturb_the_session() -> None:
    world, _ = serving_world()
    world.github.fail_next("scale_set", Unreachable("no route to host"))
    world.advance(CHECK_SECONDS + 60)
    world.queue(1)
    world.play()

    assert world.github.calls["open_session"] == 1
    assert world.states() == ["busy", "idle"]


def test_a_scale_set_created_under_the_name_of_a_renamed_one_is_used() -> None:
    world, renamed = serving_world()
    world.github.change_scale_set("linux", name="renamed")
    url, labels = renamed.url, ("linux", "gpu")
    other = world.github.add_scale_set(url, "linux", 1, labels)
    world.github.end_session("renamed")
    world.advance(3)

    assert other.session is not None
    assert renamed.name == "renamed"
