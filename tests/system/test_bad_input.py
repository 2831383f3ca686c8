"""Input that `run` cannot use: one clear line for each mistake, exit code 1, nothing is left."""

from __future__ import annotations

import os
import socket

import pytest
from support.daemon import Daemon, all_ok, run, without_root_privileges

GOOD = 'url = "http://127.0.0.1:1/my-org"\nname = "linux"\ntoken = "t"\nbackend = "process"\n'
MISTAKES = """max-runners = "many"
min-runners = -1
bakend = "docker"
idle-timeout = "soon"
drain-timeout = true
"""


@pytest.fixture
def bad(tmp_path):
    """`bad(text)` runs `run` on this file, checks that nothing is left, and returns the result."""

    def make(text):
        path = tmp_path / "config.toml"
        path.write_text(f'state-dir = "{tmp_path / "state"}"\n{text}')
        path.chmod(0o600)
        ended = run("run", "--config", str(path))
        assert not (tmp_path / "state").exists()
        return ended

    return make


def lines_of(ended):
    assert ended.code == 1
    assert ended.out == ""
    assert "Traceback" not in ended.err
    return ended.err.splitlines()


def test_a_syntax_error_is_reported_with_line_and_column(bad):
    (line,) = lines_of(bad("garb = = age\n"))

    assert line.endswith("config.toml:2:8: this is not TOML: invalid value")


def test_five_mistakes_are_reported_as_five(bad):
    lines = lines_of(bad(GOOD + MISTAKES))

    assert len(lines) == 5
    assert [line.split("config.toml:")[1].split(":")[0] for line in lines] == ["6", "7", "8", "9", "10"]
    assert 'max-runners: "many" is not valid: expected a whole number of at least 1' in lines[0]
    assert "min-runners: -1 is not valid" in lines[1]
    assert "unknown key bakend; did you mean backend?" in lines[2]
    assert 'idle-timeout: "soon" is not valid' in lines[3]
    assert "drain-timeout: true is not valid" in lines[4]


def test_a_token_from_a_variable_that_is_not_set_names_it(bad):
    line, *fixes = lines_of(bad(GOOD.replace('"t"', '"env:NOT_SET_ANYWHERE"')))

    assert "the variable NOT_SET_ANYWHERE is not set" in line
    assert fixes == ["  → export it; sudo and service managers do not pass it on", "  → use file:PATH"]


def test_no_configuration_at_all_says_what_is_missing(bad):
    lines = lines_of(bad(""))

    assert [word for word in ("url", "name", "token") if not any(word in line for line in lines)] == []


@pytest.mark.parametrize("kind", ["directory", "dangling link", "binary", "absent"])
def test_a_path_that_is_no_readable_file_is_one_line_with_a_fix(tmp_path, kind):
    path = tmp_path / "config.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "binary":
        path.write_bytes(os.urandom(64) + b"\xff\x00")

    lines = lines_of(run("run", "--config", str(path)))

    assert len([line for line in lines if not line.startswith("  → ")]) == 1
    assert str(path) in lines[0]


def test_a_file_that_its_user_may_not_read_is_one_line(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(GOOD)
    path.chmod(0)

    lines = lines_of(run("run", "--config", str(path), before=without_root_privileges()))

    assert lines[0].startswith(f"✗ {path}: ")
    assert len([line for line in lines if not line.startswith("  → ")]) == 1


def test_a_port_in_use_is_one_line_and_the_state_dir_is_not_locked(github, daemon, scale_set):
    program = daemon(scale_set("linux", backend="process", min_runners=1))

    with socket.create_server(("127.0.0.1", program.port)):
        ended = program.command("run")
    assert ended.code == 1
    assert ended.err.startswith(f"error: health port {program.port} on 127.0.0.1 is in use by ")
    assert "Traceback" not in ended.err
    assert github.state().scale_sets == ()
    assert program.leftovers() == []

    program.start()
    program.wait_for(all_ok)
    assert program.stop() == 0


def test_a_second_daemon_on_a_state_dir_names_the_first_and_leaves_it_alone(github, daemon, scale_set):
    program = daemon(scale_set("linux", backend="process"))
    program.start()
    program.wait_for(all_ok)
    other = Daemon(program.folder / "other", {})
    other.configure({**scale_set("linux", backend="process"), "state-dir": str(program.state_dir)})

    ended = other.command("run")

    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert f"pid {program.process.pid}" in ended.err
    assert "Traceback" not in ended.err
    assert len(github.state().sessions) == 1
    assert all_ok(program.health() or {})
    assert program.stop() == 0
    assert github.final_violations() == ()
