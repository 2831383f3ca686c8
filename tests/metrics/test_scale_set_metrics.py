"""What a scale set's metrics say while it lives: whole systems without threads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.scrapes import Scrape, scrape
from support.world import World, scale_set

from runscaler.actors.listener import ListenerActor
from runscaler.actors.scale_set.job_tracking import JobTracking
from runscaler.backends.base import Ending
from runscaler.config.model import MetricsSettings, ScheduleWindow
from runscaler.errors import (
    AccessDenied,
    BackendError,
    ImageMissing,
    Refused,
    ServerError,
    SessionConflict,
    StartFailed,
)
from runscaler.metrics import own
from runscaler.metrics.exposition import Exposition
from runscaler.metrics.gauges import orphans
from runscaler.metrics.jobs import JobWords
from runscaler.policy.host_guard import Disk, Measurement
from runscaler.simulator.options import Flavour


def served(**settings: object) -> World:
    world = World(max_runners=3, **settings)
    world.play()
    world.advance(1)
    return world


def states(seen: Scrape) -> dict[str, float]:
    return {
        one["state"]: seen.value("runscaler_runners", state=one["state"])
        for one in seen.labels("runscaler_runners")
        if seen.value("runscaler_runners", state=one["state"])
    }


def test_the_first_scrape_of_a_set_has_its_gauges_and_the_counters_of_alerts_at_zero() -> None:
    world = World(max_runners=3, min_runners=1)

    seen = scrape(world)

    assert seen.value("runscaler_scale_set_state", state="connecting") == 1
    assert seen.value("gha_controller_running_listeners") == 0
    assert seen.value("runscaler_session_up") == 0
    assert seen.total("runscaler_runner_failures_total") == 0
    assert len(seen.labels("runscaler_runner_failures_total")) == 15
    assert len(seen.labels("runscaler_jobs_lost_total")) == 5
    assert len(seen.labels("runscaler_message_failures_total")) == 2
    assert len(seen.labels("runscaler_actor_restarts_total")) == 8
    assert "runscaler_messages_total" not in seen.types
    assert "runscaler_runner_start_seconds" not in seen.types


def test_a_quiet_set_costs_at_most_65_series_and_the_process_few() -> None:
    world = served()
    one = scrape(world)

    of_set = [labels for _, labels in one.samples if {"scale_set", "name"} & set(dict(labels))]
    assert len(of_set) <= 65
    assert len(one.samples) - len(of_set) <= 300


def test_10000_jobs_leave_a_bounded_number_of_series() -> None:
    world = served()
    counted = world.metrics.of(world.status().key, world.status().url)
    for number in range(10_000):
        words = JobWords("my-org", "app", f"build {number % 3}", "push", "succeeded")
        counted.job_started(words, 1.0)
        counted.job_completed(words, 1.0)

    seen = scrape(world)
    of_jobs = [name for name, _ in seen.samples if name.startswith(("gha_started", "gha_comp", "gha_job"))]
    assert len(of_jobs) == 3 * 98
    assert seen.total("gha_started_jobs_total") == 10_000


def test_the_age_of_the_image_is_told_once_the_backend_knows_it_and_grows() -> None:
    world = served()
    assert "runscaler_image_age_seconds" not in scrape(world).types

    built = world.clock.wall() - 26 * 86_400
    world.backend.image_built_at = lambda _settings: built  # type: ignore[attr-defined]
    world.advance(3600)
    exposition, status, now = Exposition(world.metrics), world.board.read(), world.clock.wall()
    for later in (0, 60):  # the same snapshot
        seen = Scrape.of(exposition.text(status, now + later, {}))
        assert seen.value("runscaler_image_age_seconds") == now + later - built


def test_githubs_counts_and_ours_stand_beside_each_other() -> None:
    world = served(min_runners=1)
    world.queue(1)
    world.play()
    world.advance(1)

    seen = scrape(world)
    assert (seen.value("gha_assigned_jobs"), seen.value("gha_running_jobs")) == (1, 1)
    assert (seen.value("gha_min_runners"), seen.value("gha_max_runners")) == (1, 3)
    assert seen.value("gha_desired_runners") == seen.value("runscaler_target_runners") == 2
    assert states(seen) == {"idle": 1, "busy": 1}
    assert seen.value("gha_controller_running_ephemeral_runners") == 2
    assert seen.value("runscaler_announced_capacity") == seen.value("runscaler_slots") == 3
    assert seen.value("runscaler_session_up") == 1
    assert seen.value("runscaler_scale_set_state", state="running") == 1
    assert seen.value("runscaler_session_last_message_timestamp_seconds") > 1.8e9
    assert seen.value("runscaler_statistics_timestamp_seconds") > 1.8e9
    assert seen.value("runscaler_actors", actor="scale_set") == 1


def test_a_job_from_the_demand_to_the_end_is_counted_in_every_phase() -> None:
    world = served()
    world.backend.latency = 2.0
    world.queue(1)
    world.play()
    world.advance(10)
    world.finish_all()
    world.advance(15)

    seen = scrape(world)
    assert seen.value("runscaler_runner_starts_total", source="cold", result="ok") == 1
    for phase in ("wait", "jit", "create", "start", "register", "total"):
        assert seen.value("runscaler_runner_start_seconds_count", phase=phase) == 1
    assert seen.value("runscaler_runner_start_seconds_sum", phase="create") == 2
    assert seen.value("runscaler_runner_start_seconds_sum", phase="total") >= 2
    assert seen.value("runscaler_runner_ends_total", outcome="job_done") == 1
    assert seen.value("runscaler_runner_lifetime_seconds_count") == 1
    assert seen.value("runscaler_runner_idle_seconds_count") == 1
    assert seen.value("runscaler_reaction_seconds_count", backend="docker") == 1
    assert seen.value("runscaler_message_handle_seconds_count") >= 1
    assert seen.value("runscaler_backend_operations_total", operation="create", result="ok") == 1
    assert seen.value("runscaler_backend_operations_total", operation="remove", result="ok") == 1
    assert seen.value("runscaler_session_opens_total", result="opened") == 1


def test_an_idle_runner_that_is_retired_says_what_keeping_it_cost() -> None:
    world = served(min_runners=1)
    world.shut_down()
    world.advance(40)

    seen = scrape(world)
    assert seen.value("runscaler_runner_retirements_total", result="removed") == 1
    assert seen.value("runscaler_runner_ends_total", outcome="retired") == 1
    assert seen.value("runscaler_runner_idle_seconds_count") == 1


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        ("start", StartFailed("no"), "create"),
        ("start", ImageMissing("no image"), "image"),
        ("jit", Refused("no", status=422), "jit_rejected"),
        ("jit", ServerError("away", status=503), "jit_timeout"),
    ],
)
def test_a_failed_start_is_counted_under_its_reason(call: str, error: Exception, reason: str) -> None:
    world = served()
    if call == "jit":
        world.github.fail_next("jit_config", error)
    else:
        world.backend.fail_next("start", error)
    world.queue(1)
    world.play()

    world.advance(1)
    seen = scrape(world)
    assert seen.value("runscaler_runner_failures_total", reason=reason) == 1
    assert seen.total("runscaler_runner_failures_total") == 1
    assert seen.value("runscaler_runner_starts_total", source="cold", result="failed") == 1


def test_starts_that_wait_in_backoff_are_arcs_failed_runners_and_unmet_demand() -> None:
    world = served()
    for _ in range(3):
        world.backend.fail_next("start", StartFailed("no"))
    world.queue(3)
    world.play()
    world.clock.advance(0.06)
    world.deliver()

    seen = scrape(world)
    assert seen.value("runscaler_demand_unmet_runners", reason="backoff") == 3
    assert seen.value("gha_controller_failed_ephemeral_runners") == 3
    (unmet,) = world.status().unmet
    assert (unmet.reason, unmet.count) == ("backoff", 3)


def test_a_reason_that_no_longer_holds_is_not_served() -> None:
    world = served()
    world.backend.fail_next("start", StartFailed("no"))
    world.queue(1)
    world.play()
    world.clock.advance(0.06)
    world.deliver()
    assert scrape(world).value("runscaler_demand_unmet_runners", reason="backoff") == 1

    world.advance(10)

    assert "runscaler_demand_unmet_runners" not in scrape(world).types


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending(exit_code=1), "exited_before_job"),
        (Ending(exit_code=7), "runner_outdated"),
        (Ending(exit_code=137, out_of_memory=True), "oom"),
        (None, "removed_externally"),
    ],
)
def test_an_end_before_a_job_is_counted_under_its_reason(ending: Ending | None, reason: str) -> None:
    world = served(min_runners=1)
    runner = world.status().slots[0].runner
    if ending is None:
        world.vanish(runner)
    else:
        world.end(runner, ending.exit_code, out_of_memory=ending.out_of_memory)
    world.advance(30)

    seen = scrape(world)
    assert seen.value("runscaler_runner_failures_total", reason=reason) >= 1
    assert seen.value("runscaler_runner_ends_total", outcome="failed") >= 1


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"exit_code": 137}, "killed"),
        ({"exit_code": None, "signal": 9}, "killed"),
        ({"exit_code": 137, "out_of_memory": True}, "oom"),
        ({"exit_code": 1}, "unknown"),
    ],
)
def test_a_runner_that_dies_in_its_job_is_a_lost_job(how: dict[str, object], reason: str) -> None:
    world = served()
    world.queue(1)
    world.play()
    world.end(world.working()[0], **how)
    world.advance(5)

    seen = scrape(world)
    assert seen.value("runscaler_jobs_lost_total", reason=reason) == 1
    assert seen.value("runscaler_runner_ends_total", outcome="lost") == 1


def test_a_standby_holds_no_session_and_says_why() -> None:
    world = World(max_runners=3)
    world.github.fail_next("open_session", SessionConflict("taken", status=409), times=1)
    world.play()
    world.advance(1)

    seen = scrape(world)
    assert seen.value("runscaler_scale_set_state", state="standby") == 1
    assert seen.value("runscaler_session_up") == 0
    assert seen.value("runscaler_session_opens_total", result="conflict") == 1

    world.advance(60)
    assert scrape(world).value("runscaler_session_up") == 1


def test_metrics_are_there_while_github_is_away_and_say_so() -> None:
    world = World(max_runners=3)
    world.github.fail_next("open_session", ServerError("away", status=503), times=100)
    world.play()
    world.advance(1)

    seen = scrape(world)
    assert seen.value("runscaler_scale_set_state", state="degraded") == 1
    assert seen.value("runscaler_scale_set_degraded", reason="github") == 1
    assert seen.value("runscaler_session_up") == 0
    assert seen.total("runscaler_session_opens_total", result="error") >= 1
    assert seen.value("gha_max_runners") == 3


def test_a_refused_credential_is_told_apart_from_github_being_away() -> None:
    world = World(max_runners=3)
    world.github.fail_next("find_scale_set", AccessDenied("no", status=401), times=100)
    world.play()
    world.advance(1)

    seen = scrape(world)
    assert [one["reason"] for one in seen.labels("runscaler_scale_set_degraded")] == ["auth"]


def test_a_backend_that_is_away_is_down_and_its_return_shown() -> None:
    world = served()
    world.backend.engine.down("the engine is away")
    world.play()
    world.advance(1)
    seen = scrape(world)
    assert seen.value("runscaler_backend_up", backend="memory", engine="") == 0
    assert seen.value("runscaler_scale_set_degraded", reason="backend_down") == 1

    world.backend.engine.up()
    world.advance(2)
    assert scrape(world).value("runscaler_backend_up") == 1
    assert scrape(world).value("runscaler_backend_stream_restarts_total") == 1


def test_idle_runners_that_get_nothing_while_jobs_wait_are_stalled_by_time_alone() -> None:
    world = served(min_runners=2)
    waiting = replace(world.status(), assigned_jobs=1, running_jobs=0)
    status, exposition = replace(world.board.read(), scale_sets=(waiting,)), Exposition(world.metrics)
    now = world.clock.wall()

    fresh = Scrape.of(exposition.text(status, now, {}))
    late = Scrape.of(exposition.text(status, now + 200, {}))

    assert fresh.value("runscaler_runners_stalled") == 0
    assert late.value("runscaler_runners_stalled") == 2


def test_a_found_runner_is_adopted_and_not_observed_as_a_start() -> None:
    world = served(min_runners=1)
    world.kill()
    world.start()
    world.play()
    world.advance(1)

    seen = scrape(world)
    assert seen.value("runscaler_runner_adoptions_total", result="taken") == 1
    assert "runscaler_runner_start_seconds" not in seen.types
    assert "runscaler_reconcile_repairs_total" not in seen.types


def test_a_runner_whose_end_no_event_told_is_a_repair() -> None:
    world = served(min_runners=1)
    (resource,) = world.resources()
    world.backend.engine.discard(resource.id)
    world.advance(40)

    assert scrape(world).value("runscaler_reconcile_repairs_total", kind="vanished") == 1


def test_a_crashing_batch_is_retried_and_then_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    world = served()

    def fails(self: object, batch: object) -> None:
        if batch:
            raise RuntimeError("poison")

    original = JobTracking.apply
    monkeypatch.setattr(JobTracking, "apply", lambda self, batch: fails(self, batch) or original(self, batch))
    world.queue(1)
    world.play()
    world.advance(200)

    seen = scrape(world)
    quarantined = seen.value("runscaler_message_failures_total", outcome="quarantined")
    assert quarantined == 2  # the one that assigns the job, and the one that says that it began
    assert seen.value("runscaler_message_failures_total", outcome="retried") == 3 * quarantined


def test_a_crashed_listener_is_a_restart_of_its_kind() -> None:
    world = served()
    world.crash(ListenerActor)
    world.advance(5)

    assert scrape(world).value("runscaler_actor_restarts_total", actor="listener") == 1


def test_two_sets_of_one_name_are_told_apart_by_their_place() -> None:
    sets = (
        scale_set("linux", url="https://github.com/a"),
        scale_set("linux", url="https://github.com/b/app"),
        scale_set("mac", url="https://github.com/a"),
    )
    world = World(scale_sets=sets)

    seen = scrape(world)

    assert {one["scale_set"] for one in seen.labels("runscaler_slots")} == {"linux@a", "linux@b/app", "mac"}
    (arc,) = [one for one in seen.labels("gha_max_runners") if one["name"] == "linux@b/app"]
    assert (arc["organization"], arc["repository"], arc["enterprise"]) == ("b", "app", "")
    assert arc["actions_github_com_scale_set_name"] == "linux@b/app"


def test_sets_of_one_name_and_place_are_told_apart_by_group_and_then_host() -> None:
    sets = (
        scale_set("linux", url="https://github.com/a"),
        scale_set("linux", url="https://github.com/a", runner_group="big"),
        scale_set("linux", url="https://ghes.example/a"),
    )
    names = {one["scale_set"] for one in scrape(World(scale_sets=sets)).labels("runscaler_slots")}

    assert names == {"linux@github.com/a/default", "linux@a/big", "linux@ghes.example/a/default"}


def test_an_enterprise_and_the_settings_spelling_are_shown() -> None:
    world = World(scale_sets=(scale_set("Linux", url="https://github.com/enterprises/Big"),))
    world.play()

    (labels,) = scrape(world).labels("gha_max_runners")
    assert (labels["name"], labels["enterprise"], labels["organization"]) == ("Linux", "Big", "")


def test_a_set_that_a_reload_removed_is_gone_at_once_and_a_name_shared_no_more_is_short_again() -> None:
    sets = (scale_set("linux", url="https://github.com/a"), scale_set("linux", url="https://github.com/b"))
    world = World(scale_sets=sets)
    world.play()
    exposition = Exposition(world.metrics)
    status = world.board.read()
    world.metrics.of(sets[0].key, sets[0].url).observe(own.LIFETIME, 3.0)
    assert 'scale_set="linux@a"' in exposition.text(status, 0.0, {})

    left = replace(status, scale_sets=status.scale_sets[:1])
    text = exposition.text(left, 0.0, {})

    assert "linux@" not in text
    assert Scrape.of(text).value("runscaler_runner_lifetime_seconds_count", scale_set="linux") == 1


def test_a_metric_that_is_switched_off_is_not_served() -> None:
    world = World(
        max_runners=3,
        metrics=MetricsSettings(disable=("runscaler_runners", "gha_max_runners"), namespace="ci"),
    )
    world.play()

    seen = scrape(world)
    assert not {"runscaler_runners", "gha_max_runners"} & set(seen.types)
    assert seen.value("gha_min_runners", namespace="ci") == 0


def test_offers_are_counted_where_github_offers_jobs() -> None:
    world = World(max_runners=3, flavour=Flavour.ACQUIRE)
    world.queue(2)
    world.play()
    world.advance(1)

    assert scrape(world).value("runscaler_messages_total", kind="available") == 2


def test_the_hosts_guards_are_shown_with_their_limits() -> None:
    world = World(max_runners=3, host_cap=2, host={"min_free_disk": 1000, "max_load": 4.0})
    world.measured = Measurement(disks=(Disk("/", 10),), load=1.0)
    world.queue(3)
    world.play()
    world.advance(10)

    seen = scrape(world)
    assert seen.value("runscaler_host_guard_active", guard="disk") == 1
    assert seen.value("runscaler_host_guard_active", guard="load") == 0
    assert seen.value("runscaler_host_guard_active", guard="max_runners") == 0
    assert seen.value("runscaler_host_guard_threshold", guard="disk") == 1000 * 2**20
    assert seen.value("runscaler_host_guard_threshold", guard="max_runners") == 2
    assert seen.value("runscaler_host_disk_free_bytes", path="/") == 10
    assert seen.value("runscaler_demand_unmet_runners", reason="host_guard") == 3
    assert seen.value("runscaler_scale_set_state", state="paused") == 1

    world.measured = Measurement(disks=(Disk("/", 10**10),), load=1.0)
    world.advance(20)
    seen = scrape(world)
    assert seen.value("runscaler_host_guard_active", guard="disk") == 0
    assert seen.value("runscaler_host_guard_active", guard="max_runners") == 1
    assert seen.value("runscaler_demand_unmet_runners", reason="host_cap") == 1


def test_the_windows_of_a_schedule_and_the_last_look_at_the_image_are_shown() -> None:
    window = {"cron": "* * * * *", "duration": 3600.0, "max_runners": 2}
    world = World(max_runners=3, schedule=(ScheduleWindow(**window),))
    world.play()
    world.advance(1)

    seen = scrape(world)
    assert seen.value("runscaler_schedule_active", window="1") == 1
    assert seen.value("gha_max_runners") == 2
    assert seen.value("runscaler_image_last_check_timestamp_seconds") >= 1.8e9


def test_ended_runners_that_cannot_be_removed_are_orphans_until_they_are_gone() -> None:
    world = served()
    world.queue(2)
    world.play()
    for _ in range(6):
        world.backend.fail_next("remove", BackendError("500 from the engine"))
    world.finish_all()
    world.advance(5)
    seen = world.board.read()
    (status,) = seen.scale_sets
    sets = (status, status, replace(status, backend="tart"), replace(status, backend="somebody's"))

    assert scrape(world).value("runscaler_reconcile_repairs_total", kind="stuck_removing") == 2
    assert orphans(replace(seen, scale_sets=sets)) == {("container",): 4, ("vm",): 2, ("process",): 0}

    world.advance(300)
    assert world.status().leftovers == 0
