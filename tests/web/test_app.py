from __future__ import annotations

from dataclasses import replace

import pytest

from runscaler.status import Counters, Opening, ScaleSetStatus, SetState, Unmet, UnmetDemand


def one(name: str = "linux", state: SetState = SetState.OK, **more: object) -> ScaleSetStatus:
    url = "https://github.com/my-org"
    return ScaleSetStatus(name=name, url=url, runner_group="default", backend="docker", state=state, **more)


def having(world, *sets: ScaleSetStatus, **more: object) -> None:
    world.status = replace(world.status, scale_sets=sets, **more)


def test_health_has_the_keys_that_the_go_tool_had(world):
    having(
        world,
        one(
            idle=1,
            busy=2,
            counters=Counters(jobs_started=9, jobs_completed=7),
            desired_runners=3,
            available_jobs=4,
            assigned_jobs=5,
            running_jobs=2,
        ),
    )
    world.clock.advance(3723)

    answer = world.get("/healthz")

    assert answer.code == 200
    assert answer.json["status"] == "ok"
    assert answer.json["version"] == "1.2.3"
    assert answer.json["uptime"] == "1h2m3s"
    (got,) = answer.json["scale_sets"]
    assert {key: got[key] for key in ("name", "idle", "busy")} == {"name": "linux", "idle": 1, "busy": 2}
    assert got["metrics"] == {
        "jobs_started": 9,
        "jobs_completed": 7,
        "desired_runners": 3,
        "available_jobs": 4,
        "assigned_jobs": 5,
        "running_jobs": 2,
    }


def test_health_shows_the_window_in_force_and_the_next_one(world):
    now = Opening(2, 1_800_000_000.0, 1_800_036_000.0, "Europe/Berlin", 1, 20)
    then = Opening(1, 1_800_050_000.0, 1_800_053_600.0, "UTC", 0, 5)
    having(world, one(window=now, next_window=then), one("plain"))

    linux, plain = world.get("/healthz").json["scale_sets"]

    assert linux["schedule"] == {
        "window": {
            "entry": 2,
            "min": 1,
            "max": 20,
            "opens": "2027-01-15T09:00:00+01:00",
            "closes": "2027-01-15T19:00:00+01:00",
            "timezone": "Europe/Berlin",
        },
        "next": {
            "entry": 1,
            "min": 0,
            "max": 5,
            "opens": "2027-01-15T21:53:20+00:00",
            "closes": "2027-01-15T22:53:20+00:00",
            "timezone": "UTC",
        },
    }
    assert plain["schedule"] == {"window": None, "next": None}


def test_health_says_why_wanted_runners_are_not_started(world):
    having(
        world,
        one(
            state=SetState.DEGRADED,
            reason="engine away",
            starting=1,
            total=3,
            max=10,
            restarts=2,
            last_poll=1_800_000_000.0,
            image_built_at=1_800_000_000.0 - 26 * 86_400.0,
            retry_at=1_800_000_009.0,
            state_since=1_800_000_000.0 - 600,
            waiting_since=1_800_000_000.0 - 60,
            counters=Counters(runners_failed=4, runners_lost=1),
            unmet=(
                UnmetDemand(Unmet.BACKEND_DOWN, 3, "no answer"),
                UnmetDemand(Unmet.HOST_GUARD, 2, "free disk 4 GiB", look_at=1_800_000_004.0),
            ),
        ),
    )
    world.clock.advance(1.26)

    answer = world.get("/healthz")

    (got,) = answer.json["scale_sets"]
    assert answer.code == 200
    assert answer.json["status"] == "degraded"
    assert got["state"] == "degraded"
    assert got["reason"] == "engine away"
    assert got["unmet"] == [
        {"reason": "backend_down", "count": 3, "detail": "no answer", "look_seconds": None},
        {"reason": "host_guard", "count": 2, "detail": "free disk 4 GiB", "look_seconds": 2.7},
    ]
    assert (got["starting"], got["total"], got["max"], got["restarts"]) == (1, 3, 10, 2)
    assert (got["last_poll_seconds"], got["retry_seconds"]) == (1.3, 7.7)
    assert (got["state_seconds"], got["waiting_seconds"]) == (601.3, 61.3)
    assert got["image_age_days"] == 26
    assert (got["runners_failed"], got["runners_lost"]) == (4, 1)


def test_every_key_is_there_from_the_start(world):
    having(world, one(state=SetState.STARTING))

    (got,) = world.get("/healthz").json["scale_sets"]

    assert got["last_poll_seconds"] is None
    assert got["image_age_days"] is None
    assert got["retry_seconds"] is None
    assert got["state_seconds"] is None
    assert got["waiting_seconds"] is None
    assert got["slots"] == []
    assert got["unmet"] == []
    assert set(got["metrics"].values()) == {0}


def test_sets_of_one_name_are_told_apart_by_their_url_and_keep_their_order(world):
    having(world, one("b"), one("a"), one("a"))

    sets = world.get("/healthz").json["scale_sets"]

    assert [got["name"] for got in sets] == ["b", "a", "a"]
    assert all(got["url"] for got in sets)


def test_a_shared_actor_that_gave_up_is_a_503(world):
    having(world, one(), given_up="the host actor crashed six times", restarts={"host": 5})

    answer = world.get("/healthz")

    assert answer.code == 503
    assert answer.json["status"] == "failed"
    assert answer.json["reason"] == "the host actor crashed six times"
    assert answer.json["restarts"] == {"host": 5}
    assert world.get("/readyz").code == 503


@pytest.mark.parametrize(
    "state", [SetState.OK, SetState.STANDBY, SetState.FAILED, SetState.DEGRADED, SetState.DRAINING]
)
def test_a_set_that_serves_or_says_why_not_is_ready(world, state):
    having(world, one(state=state))

    answer = world.get("/readyz")

    assert (answer.code, answer.json) == (200, {"status": "ok"})


def test_readiness_names_the_sets_it_waits_for(world):
    having(world, one("a"), one("b", SetState.STARTING))

    answer = world.get("/readyz")

    assert (answer.code, answer.json) == (503, {"status": "not ready", "waiting": ["b"]})


def test_liveness_asks_the_actor_system(world):
    assert world.get("/livez").json == {"status": "ok"}

    world.alive = False

    assert world.get("/livez").code == 503


def test_an_unknown_path_is_a_404_in_json(world):
    answer = world.get("/healthz/../etc/passwd")

    assert answer.code == 404
    assert answer.json["error"] == "not found"
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_the_port_is_read_only(world, method):
    answer = world.get("/healthz", method=method)

    assert answer.code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_head_has_the_headers_of_get_and_no_body(world):
    got, head = world.get("/healthz"), world.get("/healthz", method="HEAD")

    assert head.body == b""
    assert head.headers == got.headers


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "LOCALHOST.",
        "127.0.0.1",
        "127.0.0.9:80",
        "[::1]:8080",
        "[::1]",
        None,
        "",
    ],
)
def test_a_host_header_of_this_machine_is_accepted(world, host):
    assert world.get("/healthz", host=host).code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "10.0.0.1:8080",
        "localhost.evil.example",
        "[fe80::1]:8080",
        ":8080",
        "[",
        "🦊",
    ],
)
def test_any_other_host_header_is_rejected(world, host):
    assert world.get("/healthz", host=host).code == 403


@pytest.mark.parametrize(
    "host",
    [
        *(
            "[::1]x",
            "[::1]:8080x",
            "[127.0.0.1]",
            "::1",
            "[::1",
            "localhost:8080:1",
            "local host",
            "localhost/",
        ),
        *("127.0.0.1@evil.example", "127.0.0.1.evil.example", "[::1%lo]", "localhost\n", "[localhost]"),
        "[::1]:123456",
    ],
)
def test_a_host_header_of_another_form_is_refused(world, host):
    assert world.get("/healthz", host=host).code == 403


def test_any_host_header_is_accepted_if_the_port_is_open_to_others(world):
    world.loopback_only = False

    assert world.get("/healthz", host="runners.example").code == 200
