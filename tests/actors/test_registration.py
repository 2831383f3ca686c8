"""The scale set at GitHub stays as configured, whatever somebody changes by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.solo import Solo
from support.world import URL, World

from runscaler.actors.messages import AnnounceCapacity, BatchHandled
from runscaler.actors.registration import CHECK_SECONDS, RETRY_SECONDS
from runscaler.errors import AccessDenied, GitHubError, NotFound, Refused, ServerError, Unreachable
from runscaler.github.base import ScaleSetChange

if TYPE_CHECKING:
    from runscaler.actors.listener import ListenerActor
    from runscaler.simulator.records import ScaleSet

OTHER_GROUP = 3


def serving_world() -> tuple[World, ScaleSet]:
    world = World(max_runners=2, min_runners=1, labels=("linux", "gpu"))
    world.github.let_clients_change_labels()
    world.play()
    found = world.github.scale_set("linux")
    assert found is not None
    return world, found


def facts(scale_set: ScaleSet) -> tuple[object, ...]:
    return scale_set.name, scale_set.group_id, scale_set.label_names


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

    assert scale_set.label_names == ("theirs",)
    assert world.github.calls["update_scale_set"] == 0


def test_a_standby_that_dies_finds_the_scale_set_that_it_created_by_another_name() -> None:
    """It has no session that would tell the id."""
    world, scale_set = serving_world()
    world.queue(1)
    world.github.hold_session("linux")
    world.play()
    world.github.change_scale_set("linux", name="renamed")
    world.kill()
    world.github.end_session("renamed")
    world.start()
    world.play()

    assert world.github.scale_set("linux") is scale_set
    assert len(world.working()) == 1


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
    other = world.github.add_scale_set(URL, "linux", 1, ("linux", "gpu"))
    world.github.end_session("renamed")
    world.advance(3)

    assert other.session is not None
    assert renamed.name == "renamed"


# -- what GitHub does not change (faults F92, F93) ----------------------------------------------------


def adopting(**there: object) -> Solo:
    """A listener's surroundings with a scale set at GitHub that only has the label linux."""
    solo = Solo(labels=("linux", "gpu"))
    solo.github.add_scale_set(solo.settings.url, "linux", 1, ("linux",))
    for call in ("find_scale_set", "scale_set", "update_scale_set"):
        solo.service.answers[call] = lambda found: found and replace(found, **there)
    return solo


def serve(solo: Solo) -> ListenerActor:
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))
    return listener


def check_again(solo: Solo, listener: ListenerActor, seconds: float = CHECK_SECONDS) -> None:
    solo.clock.advance(seconds)
    solo.tell(listener, AnnounceCapacity(10))


def updates(solo: Solo) -> int:
    return solo.service.names().count("update_scale_set")


def warnings(log_lines: list[str]) -> list[str]:
    return [line for line in log_lines if "the scale set is used as it is" in line]


REFUSALS = [
    AccessDenied("answered 403", status=403),
    NotFound("answered 404", status=404),
    Refused("answered 501", status=501),
]


@pytest.mark.parametrize("error", REFUSALS, ids=str)
def test_a_refused_change_is_said_once_with_its_cure_and_the_session_polls(
    error: GitHubError, log_lines
) -> None:
    solo = adopting()
    solo.github.fail_next("update_scale_set", error, times=9)
    listener = serve(solo)
    for _ in range(3):
        check_again(solo, listener)

    assert solo.service.names().count("open_session") == 1
    assert solo.service.names().count("poll") == 4
    assert updates(solo) == 1
    (line,) = warnings(log_lines)
    assert str(error) in line
    assert "labels 'linux' instead of 'linux, gpu'" in line
    assert "delete the scale set at GitHub" in line
    assert "choose another name" in line


def test_a_change_that_fails_for_a_while_is_made_later_and_the_session_polls_meanwhile(log_lines) -> None:
    solo = adopting()
    solo.github.let_clients_change_labels()
    solo.github.fail_next("update_scale_set", ServerError("answered 503", status=503), times=2)
    listener = serve(solo)
    assert solo.service.names().count("poll") == 1

    for _ in range(3):
        check_again(solo, listener, RETRY_SECONDS)

    assert updates(solo) == 3
    assert solo.registered_set().label_names == ("linux", "gpu")
    assert len(warnings(log_lines)) == 1
    assert "trying again in 60 s" in warnings(log_lines)[0]


def test_labels_that_stay_as_they_are_are_said_once_with_the_cure(log_lines) -> None:
    solo = adopting(labels=("linux",))
    listener = serve(solo)
    for _ in range(3):
        check_again(solo, listener)

    assert updates(solo) == 1
    assert solo.service.names().count("poll") == 4
    (line,) = warnings(log_lines)
    assert "labels are fixed when a scale set is created" in line
    assert "delete the scale set at GitHub" in line
    assert "choose another name" in line


def test_a_change_that_github_claims_to_make_and_does_not_is_asked_for_twice_only(log_lines) -> None:
    solo = adopting(labels=("linux",))
    solo.service.answers["update_scale_set"] = lambda found: replace(found, labels=("linux", "gpu"))
    listener = serve(solo)
    for _ in range(5):
        check_again(solo, listener)

    assert updates(solo) == 2
    assert len(warnings(log_lines)) == 1


def test_labels_dropped_at_creation_have_another_cure(log_lines) -> None:
    solo = Solo(labels=("linux", "gpu"))
    for call in ("create_scale_set", "update_scale_set", "scale_set"):
        solo.service.answers[call] = lambda found: replace(found, labels=("linux",))
    serve(solo)

    (line,) = warnings(log_lines)
    assert "leave out the labels that it drops" in line
    assert "delete" not in line


def test_a_warning_comes_again_when_its_reason_does(log_lines) -> None:
    solo = adopting()
    solo.github.fail_next("update_scale_set", REFUSALS[0])
    listener = serve(solo)
    solo.github.change_scale_set("linux", labels=("linux", "gpu"))
    check_again(solo, listener)
    solo.github.fail_next("update_scale_set", REFUSALS[0])
    solo.github.change_scale_set("linux", labels=("linux",))
    check_again(solo, listener)

    assert len(warnings(log_lines)) == 2


def test_labels_that_a_reply_leaves_out_do_not_count_as_different(log_lines) -> None:
    solo = adopting(labels=None)
    listener = serve(solo)
    check_again(solo, listener)

    assert updates(solo) == 0
    assert log_lines == [] or not warnings(log_lines)


@pytest.mark.parametrize(("told", "asked"), [(False, 1), (True, 0), (None, 0)])
def test_an_adopted_scale_set_stops_its_runners_from_updating_themselves(
    told: bool | None, asked: int
) -> None:
    solo = adopting(labels=("linux", "gpu"), updates_disabled=told)
    serve(solo)

    changes = [change for _, change in solo.service.args("update_scale_set")]
    assert changes == [ScaleSetChange(updates_disabled=True)] * asked


def test_a_change_holds_only_what_differs() -> None:
    solo = adopting()
    serve(solo)

    assert [change for _, change in solo.service.args("update_scale_set")] == [
        ScaleSetChange(labels=("linux", "gpu"))
    ]


def test_a_wrong_clock_of_this_host_is_said_at_start_and_when_it_is_wrong_again(log_lines) -> None:
    solo = Solo()
    solo.github.clock_skew = -900.0
    listener = serve(solo)
    check_again(solo, listener)

    def said() -> list[str]:
        return [line for line in log_lines if "this host's clock" in line]

    assert len(said()) == 1
    assert "15 min behind GitHub's: GitHub may refuse the runners" in said()[0]
    assert "NTP" in said()[0]
    for skew in (0.0, 7200.0):
        solo.github.clock_skew = skew
        check_again(solo, listener)
    assert len(said()) == 2
    assert "120 min ahead of" in said()[1]


def test_another_name_of_the_organisation_is_said_once_with_the_new_url(log_lines) -> None:
    solo = Solo()
    listener = serve(solo)
    solo.github.moved_to = "https://github.com/new-org"
    for _ in range(3):
        check_again(solo, listener)

    (line,) = [line for line in log_lines if "was renamed or moved" in line]
    assert "GitHub calls" in line
    assert 'set url = "https://github.com/new-org"' in line
