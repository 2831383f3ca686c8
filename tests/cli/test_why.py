"""The sentences of `runner why`; `system/test_admin_commands.py` has the command itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from runscaler.cli.why import WORDS, explanation
from runscaler.status import ScaleSetStatus, SetState, Status, Unmet, UnmetDemand
from runscaler.web.health import health

SHORT = (UnmetDemand(Unmet.HOST_GUARD, 3, "free disk 4 GiB is below min-free-disk 10 GiB (/v)", look_at=4.4),)
SENTENCE = (
    "3 more runners are wanted and not started: free disk 4 GiB is below min-free-disk 10 GiB (/v); "
    "next look in 4 s"
)


def reported(**facts: object) -> dict[str, object]:
    one = ScaleSetStatus("linux", "https://github.com/my-org", "default", "docker", **facts)  # type: ignore[arg-type]
    (shown,) = health(Status("1.2.3", 0.0, (one,)), 0.0)["scale_sets"]  # type: ignore[misc]
    return shown  # type: ignore[return-value]


def explained(**facts: object) -> str:
    return explanation(reported(**facts))


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"state": SetState.OK}, "nothing waits: no job is assigned, no runner is needed"),
        (
            {"state": SetState.OK, "assigned_jobs": 2, "busy": 2, "idle": 1},
            "nothing waits: 2 jobs are assigned, 2 busy, 1 idle",
        ),
        (
            {"state": SetState.OK, "unmet": (UnmetDemand(Unmet.MAX_RUNNERS, 3),)},
            "3 more runners are wanted and not started, as max-runners is reached",
        ),
        (
            {
                "state": SetState.OK,
                "unmet": (UnmetDemand(Unmet.HOST_GUARD, 3, "free disk 4 GiB is below …", look_at=4.4),),
            },
            "3 more runners are wanted and not started: free disk 4 GiB is below …; next look in 4 s",
        ),
        (
            {
                "state": SetState.DEGRADED,
                "reason": "no space left",
                "retry_at": 8.0,
                "unmet": (UnmetDemand(Unmet.BACKOFF, 1, "no space left"),),
            },
            "degraded: no space left, next try in 8 s; 1 more runner is wanted and not started, as "
            + WORDS["backoff"]
            + " (no space left)",
        ),
        (
            {
                "state": SetState.DEGRADED,
                "reason": "no engine",
                "state_since": -605.0,
                "waiting_since": -3723.0,
                "unmet": (UnmetDemand(Unmet.BACKEND_DOWN, 2),),
            },
            "degraded for 10m5s: no engine; 2 more runners are wanted and not started, as "
            + WORDS["backend_down"]
            + "; jobs have waited for 1h2m3s",
        ),
        (
            {"state": SetState.OK, "state_since": -9.0, "waiting_since": -2.0},
            "nothing waits: no job is assigned, no runner is needed",
        ),
        ({"state": SetState.OK, "reason": "pulling an image (40 %)"}, "pulling an image (40 %)"),
        ({"state": SetState.STARTING}, "starting"),
    ],
)
def test_what_waits_is_said_with_its_reason(facts: dict[str, object], sentence: str) -> None:
    assert explained(**facts) == sentence


def test_every_reason_has_its_words() -> None:
    assert WORDS.keys() == {str(reason) for reason in Unmet}


# -- what `runner clean` would free ---------------------------------------------------------------------


@pytest.fixture
def why(runner, monkeypatch, tmp_path):
    """`why(frees, ...)` runs the command beside a daemon that reports `facts`."""
    path = tmp_path / "config.toml"
    path.write_text(
        f'url = "https://github.com/o"\nname = "linux"\ntoken = "t"\nstate-dir = "{tmp_path}/s"\n'
    )
    monkeypatch.setattr("runscaler.cli.admin.admin_socket", lambda *_: tmp_path / "s" / "admin.sock")

    def run(frees, *words, config=path, **facts):
        asked = []

        def bytes_to_free(config, _clock):
            asked.append([one.name for one in config.scale_sets])
            return frees

        monkeypatch.setattr("runscaler.ops.clean_forecast.bytes_to_free", bytes_to_free)
        shown = reported(**{"state": SetState.OK, "unmet": SHORT, **facts})
        monkeypatch.setattr("runscaler.cli.admin.scale_sets", lambda _socket: [shown])
        given = [] if config is None else ["--config", str(config)]
        return runner("why", *words, *given), asked

    return run


def test_where_disk_is_short_it_says_what_a_clean_would_free(why) -> None:
    told, asked = why(38 * 1024**3)

    assert told.out.replace("\n", " ").split() == (
        f"linux: {SENTENCE}; `runner clean` would free 38 GiB".split()
    )
    assert asked == [["linux"]]


@pytest.mark.parametrize("frees", [0, None])
def test_nothing_to_free_or_to_tell_is_not_said(why, frees) -> None:
    told, asked = why(frees)

    assert "runner clean" not in told.out
    assert (told.code, asked) == (0, [["linux"]])


@pytest.mark.parametrize(
    "unmet",
    [
        (UnmetDemand(Unmet.HOST_GUARD, 3, "free memory 4 GiB is below min-free-memory 10 GiB"),),
        (UnmetDemand(Unmet.BACKOFF, 1, "no free disk"),),
        (),
    ],
)
def test_nothing_is_planned_unless_disk_is_short(why, unmet) -> None:
    told, asked = why(1024, "--json", unmet=unmet)

    assert asked == []
    assert told.json["scale_sets"][0]["clean_bytes"] is None


def test_json_has_the_bytes(why) -> None:
    told, _ = why(2048, "--json")

    assert told.json == {
        "scale_sets": [
            {
                "name": "linux",
                "url": "https://github.com/my-org",
                "runner_group": "default",
                "why": f"{SENTENCE}; `runner clean` would free 2 KiB",
                "clean_bytes": 2048,
            }
        ]
    }


@pytest.mark.parametrize("text", ["name = ", ""])
def test_a_configuration_that_cannot_be_used_is_no_failure(why, tmp_path, text) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(text)
    told, asked = why(2048, config=bad)

    assert (told.code, told.err, asked) == (0, "", [])
    assert "next look in 4 s" in " ".join(told.out.split())


def test_the_configuration_at_the_default_place_is_used_if_it_is_that_of_the_daemon(
    why, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, own = why(2048, config=None)
    monkeypatch.setattr("runscaler.cli.admin.admin_socket", lambda *_: Path("/another/admin.sock"))
    told, others = why(2048, config=None)

    assert (own, others) == ([["linux"]], [])
    assert "runner clean" not in told.out


def test_scale_sets_of_one_name_are_told_apart(runner, monkeypatch, tmp_path) -> None:
    twins = [
        {**reported(state=SetState.OK), "url": f"https://github.com/{place}"}
        for place in ("my-org", "other/app")
    ]
    monkeypatch.setattr("runscaler.cli.admin.admin_socket", lambda *_: tmp_path / "admin.sock")
    monkeypatch.setattr("runscaler.cli.admin.scale_sets", lambda _socket: twins)

    told = " ".join(runner("why", "linux").out.split())

    assert "linux https://github.com/my-org: nothing waits" in told
    assert "linux https://github.com/other/app: nothing waits" in told
