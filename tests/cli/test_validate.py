from __future__ import annotations

from pathlib import Path

import pytest

TOKEN = "ghp_" + "a" * 36


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "config.toml"
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    return write


@pytest.fixture
def good(file) -> str:
    return file(f'url = "https://github.com/my-org"\nname = "linux"\ntoken = "{TOKEN}"\n')


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    for name in ("RUNNER_TOKEN", "RUNSCALER_TOKEN", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_a_valid_configuration_is_its_file_and_one_line_per_scale_set(runner, good):
    ended = runner("validate", "--offline", "--config", good)

    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"✓ configuration {good}",
        "✓ [linux] https://github.com/my-org: 0 to 10 runners on docker, runs-on: linux",
    ]


def test_the_windows_of_a_schedule_are_shown(runner, good):
    window = '{ cron = "0 8 * * *", duration = "10h", max-runners = 3 }'
    with Path(good).open("a") as config:
        config.write(f"schedule = [{window}]\n")

    ended = runner("validate", "--offline", "--config", good)

    assert ended.code == 0
    assert ended.out.splitlines()[2].startswith("✓ [linux] schedule, entry 1: 0 to 3 runners ")


@pytest.mark.parametrize("name", ["config", "multi", "schedule", "tart"])
def test_the_examples_can_be_checked_where_their_variables_are_not_set(runner, name):
    path = Path(__file__).parents[2] / f"conf/{name}.example.toml"

    lenient = runner("validate", "--offline", "--config", str(path))
    strict = runner("validate", "--offline", "--strict", "--config", str(path))

    assert (lenient.code, strict.code) == (0, 1)
    for ended in (lenient, strict):
        assert "the variable " in ended.out
        assert " is not set" in ended.out


def test_flags_alone_are_named_as_such(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNNER_TOKEN", TOKEN)

    ended = runner("validate", "--offline", "--url", "https://github.com/my-org", "--name", "linux")

    assert ended.out.startswith("✓ configuration: flags alone, no file\n")


def test_a_level_in_capitals_is_taken(runner, good):
    assert runner("validate", "--offline", "--log-level", "INFO", "--config", good).code == 0


@pytest.mark.parametrize("order", ["before", "behind"])
def test_config_is_accepted_before_and_after_the_command(runner, good, order):
    words = ["--config", good, "validate"] if order == "before" else ["validate", "--config", good]

    assert runner(*words, "--offline").code == 0


def test_json_has_the_result_the_findings_and_the_effective_settings(runner, good):
    value = runner("validate", "--offline", "--json", "--config", good).json

    assert value["ok"] is True
    assert set(value) == {"ok", "findings", "scale_sets"}
    assert all(set(one) == {"level", "scale_set", "message", "fixes"} for one in value["findings"])
    assert value["scale_sets"][0]["max-runners"] == 10
    assert value["scale_sets"][0]["docker"]["dind"] is True


def test_secrets_are_masked(runner, good):
    ended = runner("validate", "--offline", "--json", "--config", good)

    assert TOKEN not in ended.out + ended.err
    assert ended.json["scale_sets"][0]["token"] == "********"


def test_all_problems_are_shown_in_one_run_with_their_fixes(runner, file):
    path = file('url = "https://github.com/my-org"\nnaem = "linux"\nmax-runners = "lots"\n')

    ended = runner("validate", "--offline", "--config", path)

    assert ended.code == 1
    assert ended.out.count("✗") >= 3
    assert "name" in ended.out
    assert "  → " in ended.out
    assert "Traceback" not in ended.err


def test_problems_of_an_invalid_file_are_json_too(runner, file):
    ended = runner("validate", "--offline", "--json", "--config", file("name = ["))

    assert ended.code == 1
    assert ended.json["ok"] is False
    assert ended.json["scale_sets"] == []
    assert ended.json["findings"]


def test_a_feature_that_this_version_lacks_is_an_error(runner, file):
    text = f'url = "https://github.com/o"\nname = "mac"\ntoken = "{TOKEN}"\nbackend = "orchard"\n'
    path = file(text + 'runner-image = "x"\n[orchard]\nurl = "https://orchard.example"\ntoken = "t"\n')

    ended = runner("validate", "--offline", "--config", path)

    assert ended.code == 1
    assert "not available in this version" in ended.out


def test_run_rejects_missing_features_before_anything_starts(runner, file):
    text = f'url = "https://github.com/o"\nname = "n"\ntoken = "{TOKEN}"\n[docker]\npool-size = 3\n'

    ended = runner("run", "--config", file(text))

    assert ended.code == 1
    assert "pool-size" in ended.err
    assert ended.out == ""


def test_an_unreachable_engine_is_a_finding_with_a_fix(runner, good, tmp_path):
    words = ("validate", "--config", good, "--docker-socket", str(tmp_path / "none.sock"))

    ended = runner(*words)

    assert ended.code == 1
    assert "none.sock" in ended.out


def test_a_dry_run_runs_the_same_checks_and_starts_nothing(runner, good, tmp_path):
    ended = runner("run", "--dry-run", "--config", good, "--docker-socket", str(tmp_path / "none.sock"))

    assert ended.code == 1
    assert "none.sock" in ended.out


def test_flags_without_a_command_mean_run_and_are_deprecated(runner, good, tmp_path):
    ended = runner("--config", good, "--dry-run", "--docker-socket", str(tmp_path / "none.sock"))

    assert ended.err.startswith("warning: flags without a command are deprecated")
    assert "none.sock" in ended.out


def test_a_configuration_without_a_command_means_run_too(runner, file):
    ended = runner("--config", file("name = ["))

    assert "deprecated" in ended.err
    assert ended.code == 1


def test_without_configuration_the_error_says_how_to_begin(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    ended = runner("run")

    assert ended.code == 1
    assert "write url, name and token into ./config.toml" in ended.err


def test_the_flags_of_tart_are_accepted_and_too_large_numbers_are_warned_about(runner, good):
    sizes = ("--tart-cpu", "4", "--tart-memory", "8192", "--tart-pool-size", "3")
    others = ("--backend", "tart", "--runner-image", "vm", "--tart-runner-dir", "/opt/runner")

    value = runner("validate", "--offline", "--json", "--config", good, *sizes, *others).json

    wanted = {"cpu": 4, "memory": 8192, "runner-dir": "/opt/runner", "pool-size": 3}
    assert wanted.items() <= value["scale_sets"][0]["tart"].items()
    warnings = [one["message"] for one in value["findings"] if one["level"] == "warning"]
    assert value["ok"] is True
    assert [message.partition(" is above")[0] for message in warnings] == [
        f"{good}: max-runners (10)",
        "--tart-pool-size: [tart] pool-size (3)",
    ]
