from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from support.missing import missing
from support.terminal import OnTerminal

from runscaler import __version__


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_completes_both_names(runner, shell):
    ended = runner("completion", shell)

    assert ended.code == 0
    assert "_RUNNER_COMPLETE" in ended.out
    assert "_RUNSCALER_COMPLETE" in ended.out


def test_an_unknown_shell_is_wrong_usage_that_names_the_known_ones(runner):
    ended = runner("completion", "tcsh")

    assert ended.code == 2
    assert "bash" in ended.err


CODE = "import sys; sys.argv[0] = 'runner'; from runscaler.cli import main; main()"


def completed(*words: str) -> str:
    """What the program offers for the last of `words`, asked as the bash script does."""
    env = {
        **os.environ,
        "_RUNNER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("runner", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return subprocess.run(
        [sys.executable, "-c", CODE], env=env, capture_output=True, text=True, timeout=60
    ).stdout


def test_the_program_completes_command_names():
    assert "plain,version" in completed("ver").splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "--backend", "d"), "plain,docker"),
        (("validate", "--backend", "pro"), "plain,process"),
        (("demo", "--backend", "ta"), "plain,tart"),
        (("simulate", "--scenario", "mute"), "plain,mute-session"),
    ],
)
def test_the_program_completes_values(words, expected):
    assert completed(*words).splitlines() == [expected]


@pytest.mark.parametrize("command", ["drain", "resume", "why"])
def test_scale_sets_complete_by_the_configuration_where_no_daemon_runs(tmp_path, command):
    file = tmp_path / "config.toml"
    file.write_text(
        '[[scaleset]]\nname = "linux"\n[[scaleset]]\nname = "linux, big"\n[[scaleset]]\nname = "mac"\n'
    )

    offered = completed(command, "--config", str(file), "li").splitlines()

    assert offered == ["plain,linux", "plain,linux, big"]


def test_scale_sets_complete_with_nothing_where_the_configuration_is_none(tmp_path):
    assert completed("drain", "--config", str(tmp_path / "none"), "").strip() == ""


def test_the_program_completes_flags():
    assert "plain,--short" in completed("version", "--sh").splitlines()


def need(shell: str) -> None:
    if shutil.which(shell) is None:
        missing(shell)


@pytest.fixture
def commands(tmp_path):
    """A folder with `runner`, which is not the one of another installation."""
    path = tmp_path / "bin/runner"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{CODE}" "$@"\n')
    path.chmod(0o755)
    return str(path.parent)


def test_zsh_completes_with_nothing_else_in_its_zshrc(tmp_path, commands):
    need("zsh")
    (tmp_path / ".zshrc").write_text("PS1='ready> '\nsource <(runner completion zsh)\n")
    env = {"HOME": str(tmp_path), "PATH": f"{commands}:/usr/bin:/bin", "TERM": "dumb", "COLUMNS": "80"}

    with OnTerminal("zsh", "-i", env=env) as zsh:
        zsh.wait_for("ready> ")
        zsh.type("runner vers\t--sh\t\r")
        zsh.wait_for(f"\n{__version__}\r\n")


def test_fish_keeps_what_follows_a_comma(tmp_path, commands):
    need("fish")
    (tmp_path / "config.toml").write_text('name = "a,b,c"\n')
    env = {"HOME": str(tmp_path), "PATH": f"{commands}:/usr/bin:/bin"}
    ask = "runner completion fish | source; complete --do-complete 'runner drain --config config.toml '"

    ended = subprocess.run(
        ["fish", "--no-config", "-c", ask], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert (ended.stdout.splitlines(), ended.stderr) == (["a,b,c"], "")


def test_fish_shows_descriptions_with_commas(tmp_path, commands):
    need("fish")
    env = {"HOME": str(tmp_path), "PATH": f"{commands}:/usr/bin:/bin"}
    ask = "runner completion fish | source; complete --do-complete 'runner run --lab'"

    ended = subprocess.run(
        ["fish", "--no-config", "-c", ask], env=env, capture_output=True, text=True, timeout=60
    )

    assert ended.stdout == "--labels\tLabels that jobs use in runs-on; separated by commas, and repeatable.\n"
