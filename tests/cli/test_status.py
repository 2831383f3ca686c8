from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from support.wire_server import WireServer

from runscaler.cli.status import _ask
from runscaler.cli.status_page import HEADERS
from runscaler.errors import HostError
from runscaler.ops.service.health import health_address
from runscaler.status import (
    Counters,
    JobOrigin,
    ScaleSetStatus,
    SetState,
    SlotStatus,
    StartPhases,
    Status,
    Unmet,
    UnmetDemand,
)
from runscaler.testing.clock import FakeClock
from runscaler.web.app import WebApp
from runscaler.web.server import HealthServer, bind

URL = "https://github.com/my-org"


def one(name: str = "linux", **more: object) -> ScaleSetStatus:
    more.setdefault("state", SetState.OK)
    return ScaleSetStatus(name=name, url=URL, runner_group="default", backend="docker", **more)


@pytest.fixture
def daemon():
    """`daemon(sets…)` serves the health port of a daemon with these scale sets; returns the port."""
    closing = []

    def serve(*sets: ScaleSetStatus, app=None, **more: object) -> int:
        clock = FakeClock()
        status = Status("1.2.3", clock.wall(), sets, **more)
        clock.advance(3723)
        listener = bind("127.0.0.1", 0)
        server = HealthServer(listener, app or WebApp(lambda: status, lambda: True, clock))
        server.start()
        closing.append((server, listener))
        return int(listener.getsockname()[1])

    yield serve
    for server, listener in closing:
        server.stop()
        listener.close()


def test_the_first_line_is_version_and_uptime_then_a_table(runner, daemon):
    busy = one(
        idle=1, busy=2, starting=3, total=6, max=10, assigned_jobs=5, counters=Counters(jobs_completed=7)
    )
    port = daemon(busy, one("other"))

    ended = runner("status", "--health-port", str(port))

    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[0] == "runner 1.2.3 (uptime: 1h2m3s)"
    assert tuple(re.split(r"\s{2,}", lines[1].strip())) == HEADERS
    assert lines[2].split() == ["linux", "1", "2", "3", "6", "10", "5", "7", "ok"]
    assert lines[3].split()[0] == "other"


def test_scale_sets_of_one_name_are_told_apart_in_the_table_and_below_it(runner, daemon):
    elsewhere = "https://github.com/other/app"
    twins = (
        one(state=SetState.DEGRADED, reason="no engine"),
        replace(one(state=SetState.DEGRADED, reason="no token"), url=elsewhere),
        replace(one(counters=Counters(runners_lost=1)), url=elsewhere, runner_group="arm"),
        one("gpu", reason="preparing an-image"),
    )

    out = runner("status", "--health-port", str(daemon(*twins))).out

    assert f"⚠ [linux {URL}] no engine\n" in out
    assert f"⚠ [linux {elsewhere} default] no token\n" in out
    assert f"⚠ [linux {elsewhere} arm] runners since the start: 1 died" in out
    assert "· [gpu] ok" in out


def test_json_is_the_answer_of_the_endpoint(runner, daemon):
    value = runner("status", "--health-port", str(daemon(one())), "--json").json

    assert value["version"] == "1.2.3"
    assert value["scale_sets"][0]["name"] == "linux"


def test_problems_are_listed_below_the_table(runner, daemon):
    unmet = (UnmetDemand(Unmet.BACKEND_DOWN, 3, "engine away"),)
    port = daemon(one(state=SetState.DEGRADED, reason="no engine", unmet=unmet))

    out = runner("status", "--health-port", str(port)).out

    assert "⚠ [linux] no engine" in out
    assert "⚠ [linux] 3 not started, backend_down: engine away" in out


def test_a_reason_is_shown_with_since_when_and_the_time_of_the_next_try(runner, daemon):
    retry_at = FakeClock().wall() + 3723 + 8
    since = FakeClock().wall() + 3723 - 605
    degraded = one(
        state=SetState.DEGRADED, reason="GitHub does not answer", retry_at=retry_at, state_since=since
    )
    port = daemon(degraded)

    out = runner("status", "--health-port", str(port)).out

    assert "⚠ [linux] GitHub does not answer (for 10m5s); next try in 8 s\n" in out


def test_what_a_serving_scale_set_waits_for_is_no_warning_and_no_contradiction(runner, daemon):
    out = runner("status", "--health-port", str(daemon(one(reason="preparing an-image")))).out

    assert "· [linux] ok, but starts no runner yet: preparing an-image\n" in out
    assert "⚠" not in out


def test_lost_and_failed_runners_are_shown_below_the_table(runner, daemon):
    counters = Counters(runners_failed=3, runners_lost=1)

    out = runner("status", "--health-port", str(daemon(one(counters=counters), one("b")))).out

    assert "⚠ [linux] runners since the start: 1 died in a job, 3 did not start or had no job\n" in out
    assert "[b]" not in out


def test_json_tells_each_slot_s_job_and_where_it_comes_from(runner, daemon):
    began = FakeClock().wall() + 3700
    origin = JobOrigin("my-org/app", "my-org/app/.github/workflows/ci.yml@refs/heads/main", 4711)
    slots = (SlotStatus(2, "busy", "runner-0000000a", "build", began, origin, StartPhases(wait=0.5, job=2)),)

    value = runner("status", "--health-port", str(daemon(one(slots=slots))), "--json").json

    assert value["scale_sets"][0]["slots"] == [
        {
            "slot": 2,
            "state": "busy",
            "seconds": 23.0,
            "runner": "runner-0000000a",
            "job": "build",
            "repository": "my-org/app",
            "workflow": "my-org/app/.github/workflows/ci.yml@refs/heads/main",
            "workflow_run_id": 4711,
            "start_seconds": {
                "wait": 0.5,
                "jit": None,
                "create": None,
                "boot": None,
                "start": None,
                "register": None,
                "job": 2,
            },
        }
    ]


def test_a_daemon_that_has_given_up_is_shown(runner, daemon):
    out = runner("status", "--health-port", str(daemon(one(), given_up="the host actor gave up"))).out

    assert "✗ the host actor gave up" in out


def test_sets_of_one_name_are_told_apart(runner, daemon):
    assert URL in runner("status", "--health-port", str(daemon(one(), one()))).out


def test_a_name_cannot_move_the_cursor_or_forge_a_line(runner, daemon):
    out = runner("status", "--health-port", str(daemon(one("a\x1b[2J\nb[red]")))).out

    assert "a\\x1b[2J\\nb[red]" in out


def test_no_answer_is_one_line_with_fixes(runner, daemon):
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()

    ended = runner("status", "--health-port", str(port))

    assert ended.code == 1
    assert ended.err.startswith(
        f"error: no runner daemon answers at http://127.0.0.1:{port}: connection refused\n"
    )
    assert "runner run" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"scale_sets": 3}', b"\xff"])
def test_another_program_on_the_port_is_reported(runner, daemon, body):
    def other_program(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    ended = runner("status", "--health-port", str(daemon(app=other_program)))

    assert ended.code == 1
    assert "is not a runner daemon" in ended.err


def test_missing_values_in_the_answer_of_the_go_tool_are_dashes(runner, daemon):
    body = json.dumps(
        {
            "status": "ok",
            "version": "v0.9",
            "uptime": "5s",
            "scale_sets": [{"name": "old", "idle": 1, "busy": 0, "metrics": {"assigned_jobs": 2}}],
        }
    ).encode()

    def go_tool(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    lines = runner("status", "--health-port", str(daemon(app=go_tool))).out.splitlines()

    assert lines[0] == "runner v0.9 (uptime: 5s)"
    assert lines[2].split() == ["old", "1", "0", "-", "-", "-", "2", "-", "-"]


def test_the_port_is_read_even_from_an_invalid_configuration(runner, daemon, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(f'name = "x"\ntoken = "env:NOT_SET"\nhealth-port = {daemon(one())}\n')

    assert runner("status", "--config", str(path)).code == 0
    assert runner("--config", str(path), "status").code == 0


def test_an_address_is_accepted_with_and_without_scheme_and_path(runner, daemon):
    port = daemon(one())

    for url in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/healthz"):
        assert runner("status", "--url", url).code == 0


@pytest.mark.parametrize(
    ("host", "address"),
    [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.0.0.1", "10.0.0.1"), ("box", "box")],
)
def test_a_daemon_on_all_addresses_is_reached_over_loopback(host, address):
    assert health_address(host, 1) == f"http://{address}:1"


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "ftp://box", "http://[", "http://a b", "box:99999"]
)
def test_an_invalid_address_is_wrong_usage(runner, url):
    ended = runner("status", "--url", url)

    assert ended.code == 2
    assert "is not an address such as http://build-1:8080" in ended.err


def test_a_given_configuration_that_cannot_be_read_is_reported_before_the_default_port_is_tried(
    runner, tmp_path
):
    missing = tmp_path / "none.toml"

    first = runner("status", "--config", str(missing)).err.splitlines()[0]

    assert first == f"⚠ {missing}: there is no such file; trying port 8080"


def test_a_configuration_without_health_server_is_an_error_with_a_fix(runner, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("health-port = 0\n")

    ended = runner("status", "--config", str(path))

    assert ended.code == 1
    assert f"{path} has health-port = 0" in ended.err
    assert "--health-port PORT" in ended.err


def on_terminal(words: list[str], env: dict[str, str]) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runscaler", *words]
    subprocess.run(command, stdout=theirs, stderr=theirs, stdin=theirs, env=env, timeout=60, check=False)
    os.close(theirs)
    output = b""
    try:
        while part := os.read(ours, 65536):
            output += part
    except OSError:  # Linux reports EIO where others report end of file
        pass
    os.close(ours)
    return output.decode()


def test_on_a_narrow_terminal_nothing_is_cut_off(daemon):
    words = ["status", "--health-port", str(daemon(one(state=SetState.STANDBY)))]

    shown = on_terminal(words, {**os.environ, "TERM": "dumb", "COLUMNS": "40", "NO_COLOR": "1"})

    assert {"STATE", "standby"} <= set(shown.split())


def test_at_eighty_columns_numbers_and_headers_are_whole_and_names_are_wrapped(daemon):
    long = one("a-scale-set-with-a-long-name-of-its-own", busy=12, total=120, max=1000, assigned_jobs=1234)
    words = ["status", "--health-port", str(daemon(long, one("b", state=SetState.DEGRADED)))]

    shown = on_terminal(words, {**os.environ, "TERM": "dumb", "COLUMNS": "80", "NO_COLOR": "1"})

    lines = shown.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert {"IDLE", "STARTING", "ASSIGNED", "STATE"} <= set(" ".join(lines[1:3]).split())
    assert {"12", "120", "1000", "1234"} <= set(shown.split())
    assert "degraded" in shown.split()


def test_colour_only_on_a_terminal_without_no_color(daemon):
    words = ["status", "--health-port", str(daemon(one()))]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    env.pop("NO_COLOR", None)

    assert "\x1b[" in on_terminal(words, env)
    assert "\x1b[3" not in on_terminal(words, {**env, "NO_COLOR": "1"})


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"scale_sets": [{"idle": ' + b"9" * 5000 + b"}]}",
        b'{"scale_sets": ' * 50_000,
    ],
    ids=["nested", "digits", "objects"],
)
def test_an_answer_that_is_absurd_is_no_daemon(runner, daemon, body):
    def app(environ, start):
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    ended = runner("status", "--health-port", str(daemon(app=app)))

    assert ended.code == 1
    assert "is not a runner daemon" in ended.err
    assert "Traceback" not in ended.err


def test_a_number_of_seconds_that_no_clock_has_is_left_out(runner, daemon):
    """Another program's answer; found by fuzzing."""
    answer = {"scale_sets": [{"name": "linux", "state": "degraded", "reason": "x", "retry_seconds": 10**400}]}

    def app(environ, start):
        start("200 OK", [])
        return [json.dumps(answer).encode()]

    ended = runner("status", "--health-port", str(daemon(app=app)))

    assert "⚠ [linux] x\n" in ended.out


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["silent", "dripping"])
def test_one_deadline_holds_for_all_of_an_answer(sent, monkeypatch):
    monkeypatch.setattr("runscaler.cli.status.TIMEOUT", 0.3)

    def answer_slowly(conversation):
        while not conversation.ended.wait(0.02):
            conversation.send(sent or b"")
            conversation.send(b"x" if sent else b"")

    with WireServer() as server:
        server.on("GET", "/healthz", answer_slowly)

        with pytest.raises(HostError, match=r"no runner daemon answers at .*"):
            _ask(server.url)
