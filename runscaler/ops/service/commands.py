"""Runs the tools of the service managers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runscaler.config.secret_variables import child_environment
from runscaler.errors import HostError

SECONDS = 900.0
"""The longest time for one command: a stop waits for busy runners."""
NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str = ""
    err: str = ""

    @property
    def reason(self) -> str:
        """What the tool said, in one line."""
        said = " ".join((self.err or self.out).split())
        return said or f"exit code {self.code}"


Commands = Callable[[Sequence[str]], Answer]


def run_command(words: Sequence[str]) -> Answer:
    """Run a command to its end. A tool that is missing or takes too long is an answer too."""
    try:
        done = subprocess.run(
            list(words),
            env=child_environment(os.environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return Answer(NOT_FOUND, err=f"{words[0]}: not found")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(NOT_FOUND - 1, err=str(error))
    return Answer(done.returncode, done.stdout, done.stderr)


def checked(commands: Commands, words: Sequence[str], *, fixes: Sequence[str] = ()) -> Answer:
    """Run a command. Raises `HostError` if it fails."""
    answer = commands(words)
    if answer.code:
        raise HostError(f"`{' '.join(words)}` failed: {answer.reason}", fixes=fixes)
    return answer
