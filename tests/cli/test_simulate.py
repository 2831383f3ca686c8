"""`runner simulate` as a real process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import requests
from click import Context
from support.app_keys import private_key, public_key
from support.scale_set_client import ScaleSetClient
from support.terminal import OnTerminal

from runscaler.cli.simulate import apps, installations, own_address, simulate, usable_urls
from runscaler.simulator.apps import App, Installation
from runscaler.simulator.scenarios.catalogue import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_prints_its_urls_serves_and_exits_with_0_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port", "0", "--fast", "--groups", "gpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        config, control = (process.stdout.readline() for _ in range(2))
        found = re.search(r"(http://\S+)  \(header X-Sim-Control: (\S+)\)", control)
        assert found is not None
        state = requests.get(f"{found[1]}/state", headers={"X-Sim-Control": found[2]}, timeout=20)

        process.send_signal(number)

        assert process.wait(30) == 0
    assert config.split()[-1].endswith("/my-org")
    assert state.json()["jobs"] == []


def test_the_token_of_the_control_api_can_be_chosen() -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port", "0", "--control-token", "chosen"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        control = [process.stdout.readline() for _ in range(2)][1]
        process.terminate()

    assert control.endswith("(header X-Sim-Control: chosen)\n")


@pytest.mark.parametrize("token", ["two words", "wörter", "a\nb"])
def test_a_token_that_is_no_value_of_a_header_is_refused(runner, token):
    result = runner("simulate", "--control-token", token)

    assert result.code == 2
    assert "--control-token" in result.err
    assert "printable ASCII" in result.err


@dataclass(frozen=True)
class Elsewhere:
    """A simulated GitHub that runs as another process, for `ScaleSetClient`."""

    org: str

    @property
    def url(self) -> str:
        return self.org.rpartition("/")[0]

    def config_url(self, scope: str) -> str:
        return f"{self.url}/{scope}"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A file of a journal with two messages, one line that is none, and a name that is not to be trusted."""
    head = {"kind": "journal", "scale_set": "linux\x1b[31m"}
    entries = [head, *({"kind": "message", "id": number, "at": 1.0} for number in (1, 2))]
    path = tmp_path / "a.messages.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in entries) + "{\n")
    return path


def test_a_replay_waits_for_its_client_and_fails_without_one(recording: Path) -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port", "0", "--replay", str(recording)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        rest = process.stdout.read()

    waits = "2 messages, once a client listens for linux\\x1b[31m (1 lines cannot be read)\n"
    assert lines[0] == f"replay       {waits}"
    assert rest == "✗ linux\\x1b[31m: 0 of 2 recorded messages taken; 0 jobs started; no rule broken\n"
    assert process.returncode == 1


def test_a_replay_that_is_taken_ends_with_a_summary_and_exit_code_0(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text(
        '{"kind":"journal","scale_set":"my-runners"}\n{"kind":"message","id":1,"statistics":{"assigned":1}}\n'
    )
    command = [sys.executable, "-m", "runscaler", "simulate", "--port", "0", "--replay", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        _, config, _ = (process.stdout.readline() for _ in range(3))
        client = ScaleSetClient(Elsewhere(config.split()[-1])).ready()
        client.take()
        lines = [process.stdout.readline() for _ in range(2)]
        client.close_session()
        process.terminate()

    assert lines == [
        "my-runners is listening: the replay begins\n",
        "✓ my-runners: 1 of 1 recorded messages taken; 0 jobs started; no rule broken\n",
    ]
    assert process.returncode == 0


def test_a_file_that_is_no_recording_is_wrong_usage(runner, tmp_path):
    (tmp_path / "x").write_text("nothing\n")
    result = runner("simulate", "--replay", str(tmp_path / "x"))

    assert result.code == 2
    assert "x holds no recorded message" in result.err


def test_a_replay_and_a_scenario_exclude_each_other(runner, recording):
    result = runner("simulate", "--replay", str(recording), "--scenario", "lost-acks")

    assert (result.code, "--replay cannot be used with --scenario" in result.err) == (2, True)


def test_it_ends_when_its_terminal_closes() -> None:
    with OnTerminal(sys.executable, "-m", "runscaler", "simulate", "--port", "0") as simulator:
        simulator.wait_for("control url")
        simulator.close()

        assert simulator.ended() == 0


def test_a_taken_port_is_one_line_and_exit_code_1() -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port"]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        port = re.search(r":(\d+)/", first.stdout.readline())
        assert port is not None

        second = subprocess.run([*command, port[1]], capture_output=True, text=True, timeout=60, check=False)

        first.terminate()
    assert second.returncode == 1
    assert second.stderr.splitlines() == [
        f"error: the simulator cannot listen on 127.0.0.1:{port[1]}: address already in use",
        "  → choose another port; 0 takes a free one",
    ]


def test_an_address_of_another_host_is_an_error_with_a_fix(runner):
    result = runner("simulate", "--port", "0", "--host", "192.0.2.1")

    first, fix = result.err.splitlines()
    assert result.code == 1
    assert first.startswith("error: the simulator cannot listen on 192.0.2.1:0: ")
    assert first.count("192.0.2.1") == 1
    assert "address of this host" in fix


@pytest.mark.parametrize(
    "words",
    [
        ("--port", "70000"),
        ("--port", "-1"),
        ("--threads", "0"),
        ("--public-url", "sim:9001"),
        ("--public-url", "http://["),
        ("--agent-url", "ftp://sim/"),
    ],
)
def test_an_unusable_value_is_wrong_usage(runner, words: tuple[str, str]) -> None:
    result = runner("simulate", *words)

    assert result.code == 2
    assert words[0] in result.err


def test_the_scenarios_are_listed_with_one_line_each(runner):
    result = runner("simulate", "--list-scenarios")

    lines = result.out.splitlines()
    assert result.code == 0
    assert [line.strip() for line in lines] == [text for one in SCENARIOS for text in (one.name, one.about)]
    assert max(map(len, lines)) <= 80


def test_an_unknown_scenario_is_one_line_with_the_known_names(runner):
    result = runner("simulate", "--scenario", "monday")

    (line,) = [line for line in result.err.splitlines() if "monday" in line]
    assert result.code == 2
    assert all(one.name in line for one in SCENARIOS)


def test_the_most_similar_scenario_is_suggested(runner):
    assert "did you mean lost-acks?" in runner("simulate", "--scenario", "Lost-ack").err


@pytest.mark.parametrize("words", [("--jobs", "3"), ("--seed", "3")])
def test_jobs_and_seed_need_a_scenario(runner, words: tuple[str, str]) -> None:
    result = runner("simulate", *words)

    assert (result.code, "need --scenario" in result.err) == (2, True)


def test_a_scenario_without_a_client_is_reported_and_exits_with_1() -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port", "0", "--scenario", "mute-session"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        result = [process.stdout.readline() for _ in range(4)]

        process.send_signal(signal.SIGTERM)

        rest = process.stdout.read().splitlines()
        assert process.wait(30) == 1
    assert result[2] == "scenario     A session stays valid, but its polls are never answered again.\n"
    assert result[3].startswith("look for     ")
    assert rest == [
        "✗ mute-session: 0 jobs done, 0 failed, 0 waiting; no rule broken",
        "  not reached: the session goes mute",
    ]


@pytest.mark.parametrize(("listens", "local"), [("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")])
def test_on_all_interfaces_the_urls_are_ones_to_connect_to(listens: str, local: str) -> None:
    here, elsewhere = usable_urls(f"http://{listens}:9001")

    assert here == f"http://{local}:9001"
    assert elsewhere in ("", f"http://{own_address()}:9001")


def test_on_one_address_that_is_the_url() -> None:
    assert usable_urls("http://192.0.2.7:9001") == ("http://192.0.2.7:9001", "")


def test_listening_on_all_interfaces_prints_them() -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()

        process.send_signal(signal.SIGTERM)

        rest = process.stdout.read()
    assert re.fullmatch(r"config url   http://127\.0\.0\.1:\d+/my-org\n", first)
    assert "0.0.0.0" not in first + rest


def test_apps_are_read_from_their_keys_and_installed_where_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "app.pem").write_text(private_key())
    context = Context(simulate)
    found = apps(context, context.command.params[0], (f"Iv1.0a,123={tmp_path}/app.pem",))
    where = installations(context, context.command.params[0], ("7=my-org", "8=o/a", "8=o/b"))

    assert found == (App(("Iv1.0a", "123"), public_key()),)
    assert where == (Installation(7, "my-org"), Installation(8, "o", ("o/a", "o/b")))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--app", "Iv1"), "is not like Iv1.0a1b2c3d=app.pem"),
        (("--app", "Iv1=/nowhere.pem"), "No such file or directory"),
        (("--app", f"Iv1={__file__}"), "it holds no key in PEM form"),
        (("--installation", "my-org"), "is not like 7=my-org"),
        (("--installation", "0=my-org"), "is not like 7=my-org"),
        (("--installation", "7=a/b/c"), "is not like 7=my-org"),
        (("--token-lifetime", "-1"), "--token-lifetime"),
    ],
)
def test_an_app_or_installation_that_cannot_be_read_is_wrong_usage(
    runner, words: tuple[str, str], why: str
) -> None:
    result = runner("simulate", *words)

    assert result.code == 2
    assert why in result.err
