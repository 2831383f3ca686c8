"""The streams of events without a server: what each client is told, and how many there are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from runscaler.config.model import HostSettings
from runscaler.events import (
    JobCompleted,
    JobStarted,
    RunnerFailed,
    RunnerLost,
    RunnerStarted,
    ScaleSetChanged,
)
from runscaler.status import NO_PHASES, JobOrigin, ScaleSetStatus, SetState, SlotStatus, StartPhases
from runscaler.web.history import COLUMNS, STEP_SECONDS, STEPS
from runscaler.web.live import MAX_STREAMS
from runscaler.web.recent_events import FOR_NEWCOMERS, MOST_EVENTS

AT = 1_800_000_000.0


def one(name: str = "linux", state: SetState = SetState.OK, **more: object) -> ScaleSetStatus:
    url = "https://github.com/my-org"
    return ScaleSetStatus(name=name, url=url, runner_group="default", backend="docker", state=state, **more)


def having(world, *sets: ScaleSetStatus) -> None:
    world.status = replace(world.status, scale_sets=sets)


def put(world, at: int, **more: object) -> None:
    sets = list(world.status.scale_sets)
    sets[at] = replace(sets[at], **more)
    having(world, *sets)


def started(number: int) -> RunnerStarted:
    place = {"scale_set": "linux", "url": "https://github.com/my-org", "runner_group": "default"}
    return RunnerStarted(at=AT, **place, slot=0, runner=f"r-{number}", resource="c", seconds=1.5)


def slot(number: int, state: str = "idle", runner: str = "r", job: str = "") -> SlotStatus:
    origin = JobOrigin("my-org/app", "ci.yml@refs/heads/main", 42) if job else JobOrigin()
    phases = StartPhases(wait=0.25) if job else NO_PHASES
    return SlotStatus(number, state, runner, job, AT - 5, origin, phases)


def events(told: list[dict[str, object]]) -> list[str]:
    return [message["data"]["runner"] for message in told if message["name"] == ""]


def test_a_stream_says_what_it_is(world):
    answer, stream = world.watch()

    assert answer.code == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in answer.headers
    (hello,) = stream.told()
    assert hello["name"] == "hello"
    assert hello["data"]["resumed"] is False


def test_an_event_is_told_with_its_time_and_an_id(world):
    _, stream = world.watch()
    (hello,) = stream.told()

    world.live.hear(started(1))
    world.live.turn()

    (message,) = stream.told()
    assert message["name"] == ""
    assert message["id"] == f"{hello['data']['run']}-1"
    assert message["data"] == {
        "event": "runner_started",
        "at": AT,
        "scale_set": "linux",
        "url": "https://github.com/my-org",
        "runner_group": "default",
        "slot": 0,
        "runner": "r-1",
        "resource": "c",
        "seconds": 1.5,
    }


def test_a_newcomer_gets_the_latest_events(world):
    for number in range(FOR_NEWCOMERS + 3):
        world.live.hear(started(number))

    _, stream = world.watch()

    assert events(stream.told()) == [f"r-{number}" for number in range(3, FOR_NEWCOMERS + 3)]


def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(world):
    _, stream = world.watch()
    for number in range(5):
        world.live.hear(started(number))
    world.live.turn()
    last = stream.told()[2]["id"]

    for _, again in (world.watch(last_id=last), world.watch(query=f"last_event_id={last}")):
        hello, *missed = again.told()
        assert hello["data"]["resumed"] is True
        assert events(missed) == ["r-2", "r-3", "r-4"]
    world.live.turn()
    assert events(again.told()) == []


def test_a_client_of_another_run_or_too_far_behind_begins_anew(world):
    _, stream = world.watch()
    world.live.hear(started(0))
    world.live.turn()
    last = stream.told()[-1]["id"]
    run = last.partition("-")[0]
    for number in range(MOST_EVENTS + 1):
        world.live.hear(started(number))

    for wrong in (last, f"{run}-99999", "0-1", f"{run}-", f"{run}--1", "x" * 5000, "\n", f"{run}-٣"):
        _, again = world.watch(last_id=wrong)
        hello, *latest = again.told()
        assert hello["data"]["resumed"] is False
        assert len(latest) == FOR_NEWCOMERS
        again.is_open = False


def test_an_event_between_two_turns_is_told_once_to_a_newcomer(world):
    world.watch()
    world.live.turn()
    world.live.hear(started(1))

    _, late = world.watch()
    world.live.turn()

    assert events(late.told()) == ["r-1"]


def test_only_what_changed_is_told(world):
    having(world, one("a", slots=(slot(0), slot(1), slot(2))), one("b"))
    _, stream = world.watch()
    stream.told()

    put(world, 0, busy=1, slots=(slot(0), slot(1, "busy", job="build")))
    world.live.turn()

    (message,) = stream.told()
    (changed,) = message["data"]["scale_sets"]
    assert message["name"] == "changes"
    assert (changed["name"], changed["busy"], changed["emptied"]) == ("a", 1, [2])
    assert changed["slots"] == [
        {
            "slot": 1,
            "state": "busy",
            "seconds": 5.0,
            "runner": "r",
            "job": "build",
            "repository": "my-org/app",
            "workflow": "ci.yml@refs/heads/main",
            "workflow_run_id": 42,
            "start_seconds": {**dict.fromkeys(NO_PHASES.__slots__), "wait": 0.25},
        }
    ]
    world.live.turn()
    assert stream.told() == []


def test_two_streams_are_told_the_same(world):
    having(world, one("a"))
    _, first = world.watch()
    put(world, 0, busy=1)
    _, second = world.watch()
    assert [message["name"] for message in first.told()] == ["hello", "changes"]
    assert [message["name"] for message in second.told()] == ["hello"]

    put(world, 0, busy=2)
    world.live.turn()

    assert first.told() == second.told() != []


def test_another_list_of_scale_sets_is_told_to_be_fetched(world):
    having(world, one("a"), one("b"))
    _, stream = world.watch()
    stream.told()

    for sets in ((one("a"),), (one("c"),), (one("c"), one("a"))):
        having(world, *sets)
        world.live.turn()
        assert [message["name"] for message in stream.told()] == ["scale_sets"]


def test_a_restart_of_a_shared_actor_is_told(world):
    _, stream = world.watch()
    stream.told()

    world.status = replace(world.status, restarts={"host": 1})
    world.live.turn()

    (message,) = stream.told()
    assert message["data"]["restarts"] == {"host": 1}
    assert message["data"]["scale_sets"] == []


def test_there_are_sixteen_streams_and_the_next_has_to_wait(world):
    streams = [world.watch() for _ in range(MAX_STREAMS)]

    refused, _ = world.watch()
    assert (refused.code, refused.headers["Retry-After"]) == (503, "5")

    streams[3][1].is_open = False
    answer, late = world.watch()
    assert answer.code == 200
    assert late.told()


def test_a_closed_stream_is_told_nothing(world):
    _, stream = world.watch()
    stream.told()
    stream.is_open = False

    world.live.hear(started(1))
    world.live.turn()

    assert stream.sent == b""


def test_head_opens_no_stream(world):
    for _ in range(MAX_STREAMS + 1):
        answer = world.get("/api/v1/events", method="HEAD")
    assert (answer.code, answer.body) == (200, b"")


def test_the_status_is_the_health_report_and_more(world):
    having(world, one("a", slots=(slot(0, "busy", job="build"),)))

    health = world.get("/healthz").json
    status = world.get("/api/v1/status").json

    assert {key: status[key] for key in health} == health
    assert set(status) - set(health) == {"run", "now", "host", "history"}
    assert status["now"] == AT
    assert status["host"]["cpus"] >= 1
    assert 0 < status["host"]["memory_available_bytes"] <= status["host"]["memory_bytes"]


def test_the_limits_in_force_stand_beside_what_the_host_has(world):
    _, stream = world.watch()
    off = {"max_load": None, "min_free_memory_bytes": None, "min_free_disk_bytes": None}
    assert world.get("/api/v1/status").json["host"]["limits"] == off

    world.limits = HostSettings(min_free_memory="1GiB", min_free_disk="10GiB", max_load=8)
    world.clock.advance(STEP_SECONDS)
    world.live.turn()

    on = {"max_load": 8.0, "min_free_memory_bytes": 2**30, "min_free_disk_bytes": 10 * 2**30}
    assert world.get("/api/v1/status").json["host"]["limits"] == on
    assert stream.told()[-1]["data"]["host"]["limits"] == on


def test_the_last_hour_is_kept_in_steps(world):
    having(world, one("a", assigned_jobs=3, busy=2, total=4, max=9), one("b", assigned_jobs=1, max=1))
    _, stream = world.watch()
    job = {"at": AT, "slot": 0, "runner": "r", "job_id": "j", "job": "build"}
    results = ("succeeded", "failed", "canceled", "")
    for event in (
        started(0),
        JobStarted(**job),
        *(JobCompleted(**job, result=result, seconds_run=1) for result in results),
        RunnerFailed(at=AT, slot=0, runner="r", reason="why"),
        RunnerLost(**job, reason="why"),
        ScaleSetChanged(at=AT, state="ok", reason=""),
    ):  # fmt: skip
        world.live.hear(event)
    world.clock.advance(STEP_SECONDS)
    world.live.turn()

    history = world.get("/api/v1/status").json["history"]
    (row,) = history["rows"]
    assert history["columns"] == list(COLUMNS)
    assert row == [AT + STEP_SECONDS, 4, 2, 4, 10, 1, 1, 1, 2, 1, 1, 1]
    last = stream.told()[-1]
    assert (last["name"], last["data"]["row"]) == ("step", row)


def test_a_step_comes_every_ten_seconds_and_an_hour_is_kept(world):
    having(world, one("a"))
    for _ in range(STEPS + 5):
        world.clock.advance(STEP_SECONDS / 2)
        world.live.turn()
        world.clock.advance(STEP_SECONDS / 2)
        world.live.turn()

    rows = world.get("/api/v1/status").json["history"]["rows"]

    assert len(rows) == STEPS
    assert {round(b[0] - a[0], 3) for a, b in pairwise(rows)} == {STEP_SECONDS}


def test_a_sign_of_life_is_a_comment_too(world):
    _, stream = world.watch()
    stream.told()
    world.clock.advance(STEP_SECONDS)

    world.live.turn()

    assert stream.sent.startswith(b": alive\n")


def test_a_line_break_in_a_name_does_not_break_the_stream(world):
    having(world, one("a"))
    _, stream = world.watch()
    stream.told()
    hostile = 'x\n\nevent: step\ndata: {"a": 1}\r\n\u2028<script>'

    put(world, 0, slots=(slot(0, "busy", job=hostile),))
    world.live.turn()

    (message,) = stream.told()
    assert message["data"]["scale_sets"][0]["slots"][0]["job"] == hostile


def test_what_a_host_does_not_tell_is_none_and_the_rest_is_there(world, monkeypatch):
    def refuse() -> None:
        raise OSError("Function not implemented")

    monkeypatch.setattr("psutil.getloadavg", refuse)

    host = world.live.snapshot()["host"]

    assert host["load"] is None
    assert host["memory_bytes"] > 0
