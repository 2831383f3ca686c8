"""`runner report`: what it packs, masks and says."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from support import planted

from runscaler.github.messages import JobStarted, Statistics
from runscaler.names import RunnerName, ScaleSetKey
from runscaler.ops.state_dir import StateDir
from runscaler.testing.clock import FakeClock

TOKEN = "a-token-of-no-known-form"
KNOWN = planted.TOKEN
KEY = ScaleSetKey("https://github.com/my-org", "default", "linux")
CONFIG = f"""\
# a comment with {KNOWN}
url = "https://github.com/my-org"
name = "linux"
token = "{TOKEN}"
backend = "process"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, a state directory with a journal and a kept output, and a log."""
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "config.toml").chmod(0o600)
    with StateDir.open(tmp_path / "state", FakeClock()) as state:
        events = [JobStarted("job-1", runner_name="runner-1")]
        told = {"id": 5, "statistics": Statistics(assigned=1), "events": events}
        state.journal.append(KEY, "message", told)
        state.journal.append(KEY, "state", {"state": "degraded", "reason": f"refused {TOKEN}"})
        state.keep_output(KEY, RunnerName("runner-0a1b2c3d"), b"the output", None)
    lines = [f"line {number}" for number in range(600)]
    (tmp_path / "runner.log").write_text("\n".join([*lines, f"with {KNOWN} and {TOKEN}"]) + "\n")
    return tmp_path


def unpacked(path: Path) -> dict[str, str]:
    """The files of an archive, by their names in its folder."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert len({one.name.partition("/")[0] for one in members}) == 1
        files = {one.name.partition("/")[2]: archive.extractfile(one) for one in members}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def pack(runner, folder: Path, *words: str):
    """Run `runner report` there; `words` come last, so that they win."""
    places = {"-o": "r.tar.gz", "--log": "runner.log", "--config": "config.toml", "--state-dir": "state"}
    options = [word for option, name in places.items() for word in (option, str(folder / name))]
    return runner("report", *options, *words)


def test_it_packs_everything_that_a_bug_report_needs(runner, folder: Path) -> None:
    ended = pack(runner, folder)

    files = unpacked(folder / "r.tar.gz")
    versions, config = json.loads(files["versions.json"]), json.loads(files["config.json"])
    journals = [name for name in files if name.startswith("journal/")]
    assert (ended.code, ended.err) == (0, "")
    assert {"version", "commit", "python", "os", "arch", "system", "libraries"} <= set(versions)
    assert "pykka" in versions["libraries"]
    assert config["scaleset"][0]["name"] == "linux"
    assert "[linux] " in files["engines.txt"]
    assert [name.partition(".")[2] for name in journals] == ["decisions.jsonl", "messages.jsonl"]
    assert '"job_id":"job-1"' in files[journals[1]]
    assert files["kept-outputs.txt"] == "runner-0a1b2c3d\n"
    assert files["log.txt"].startswith("line 101\n")
    assert (folder / "r.tar.gz").stat().st_mode & 0o777 == 0o600


def test_secrets_and_comments_are_in_no_file_of_it(runner, folder: Path) -> None:
    pack(runner, folder)

    files = unpacked(folder / "r.tar.gz")
    assert [name for name, text in files.items() if TOKEN in text or KNOWN in text] == []
    assert files["log.txt"].endswith("with ******** and ********\n")
    assert "a comment" not in "".join(files.values())


def test_it_says_what_is_in_it_and_to_look_through_it(runner, folder: Path) -> None:
    ended = pack(runner, folder)

    assert ended.out.startswith(f"wrote {folder}/r.tar.gz (")
    for name in unpacked(folder / "r.tar.gz"):
        assert f"  {name}: " in ended.out
    assert "Look through it before you publish it:\n  tar -xzf " in ended.out


def test_json_lists_the_files(runner, folder: Path) -> None:
    told = pack(runner, folder, "--json").json

    contents = told["contents"]
    assert isinstance(contents, list)
    assert told["file"] == str(folder / "r.tar.gz")
    assert told["bytes"] == (folder / "r.tar.gz").stat().st_size
    assert {one["name"]: one["bytes"] for one in contents} == {
        name: len(text.encode()) for name, text in unpacked(folder / "r.tar.gz").items()
    }


def test_an_archive_that_is_there_is_not_replaced(runner, folder: Path) -> None:
    (folder / "r.tar.gz").write_text("mine")
    ended = pack(runner, folder)

    assert (ended.code, (folder / "r.tar.gz").read_text()) == (1, "mine")
    assert "r.tar.gz cannot be written: File exists" in ended.err
    assert "runner report -o FILE" in ended.err


@pytest.mark.parametrize("token", [TOKEN, "env:SECRET", "file:secret"])
def test_secrets_of_a_configuration_with_errors_are_masked_too(
    runner, folder: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("SECRET", TOKEN)
    (folder / "secret").write_text(f"{TOKEN}\n")
    (folder / "config.toml").write_text(CONFIG.replace(TOKEN, token) + "max-runners = 0.5\n")
    pack(runner, folder)

    files = unpacked(folder / "r.tar.gz")
    assert "config.txt" in files
    assert [name for name, text in files.items() if TOKEN in text] == []


def test_a_configuration_with_errors_does_not_prevent_a_report(runner, folder: Path) -> None:
    (folder / "config.toml").write_text(f'name = "linux"\ntoken = "{KNOWN}"\nmax-runners = "many"\n')
    ended = pack(runner, folder)

    files = unpacked(folder / "r.tar.gz")
    assert ended.code == 0
    assert "max-runners" in files["config.txt"]
    assert KNOWN not in files["config.txt"]
    assert "config.json" not in files


def test_a_log_that_cannot_be_read_is_an_error(runner, folder: Path) -> None:
    ended = pack(runner, folder, "--log", str(folder / "none.log"))

    assert (ended.code, (folder / "r.tar.gz").exists()) == (1, False)
    assert "none.log cannot be read: No such file or directory" in ended.err


def test_the_log_is_that_of_the_service_or_it_is_said_that_there_is_none(
    runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bin").mkdir()
    fake = folder / "bin" / "journalctl"
    answers = """*--user-unit=runner.service*) echo "a user's line";; *) echo "-- No entries --";;"""
    fake.write_text(f'#!/bin/sh\ncase "$*" in {answers} esac\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    words = ("--config", str(folder / "config.toml"), "--state-dir", str(folder / "state"))
    runner("report", "-o", str(folder / "with.tar.gz"), *words)
    fake.write_text("#!/bin/sh\nexit 1\n")
    runner("report", "-o", str(folder / "without.tar.gz"), *words)

    assert unpacked(folder / "with.tar.gz")["log.txt"] == "a user's line\n"
    assert "with --log FILE" in unpacked(folder / "without.tar.gz")["log.txt"]


def test_without_a_name_the_archive_has_the_time_in_its_name(
    runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    runner("report", "--log", "runner.log", "--config", "config.toml", "--state-dir", "state")

    (made,) = Path().glob("runscaler-report-*Z.tar.gz")
    with tarfile.open(made) as archive:
        assert archive.getnames()[0] == f"{made.name.removesuffix('.tar.gz')}/versions.json"
