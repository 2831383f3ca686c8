from __future__ import annotations

import os
import subprocess
import sys

import pytest


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


def completed(*words: str) -> str:
    """What the program offers for the last of `words`, asked as the bash script does."""
    env = {
        **os.environ,
        "_RUNNER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("runner", *words)),
        "COMP_CWORD": str(len(words)),
    }
    code = "import sys; sys.argv[0] = 'runner'; from runscaler.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
    ).stdout


def test_the_program_completes_command_names():
    assert "plain,version" in completed("ver").splitlines()


def test_the_program_completes_flags():
    assert "plain,--short" in completed("version", "--sh").splitlines()
