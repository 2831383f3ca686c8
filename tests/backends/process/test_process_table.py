"""Finding out whose process it is by the mark in its environment."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from runscaler.backends.process.process_table import MARK, mark_of


@dataclass
class Loading:
    """A process whose program is loaded by the third read of its environment."""

    environment: dict[str, str]
    vms: int = 4096
    looks: list[str] = field(default_factory=list)

    def environ(self) -> dict[str, str]:
        self.looks.append("environ")
        return self.environment if len(self.looks) > 2 else {}

    def cmdline(self) -> list[str]:
        return ["sleep", "60"] if len(self.looks) > 2 else []

    def memory_info(self) -> SimpleNamespace:
        return SimpleNamespace(vms=self.vms)


def as_process(stand_in: object) -> psutil.Process:
    return cast("psutil.Process", stand_in)


def test_a_program_that_is_being_loaded_is_read_until_it_shows_its_mark() -> None:
    assert mark_of(as_process(Loading({MARK: "owner/runner"}))) == "owner/runner"


class LoadedMeanwhile(Loading):
    """Its program is loaded right after the first read of its environment."""

    def cmdline(self) -> list[str]:
        self.looks += ["loaded", "loaded"]
        return super().cmdline()


def test_a_program_that_is_loaded_right_after_a_read_is_read_again() -> None:
    assert mark_of(as_process(LoadedMeanwhile({MARK: "owner/runner"}))) == "owner/runner"


@pytest.mark.parametrize(("stand_in", "looks"), [(Loading({}), 4), (Loading({MARK: "x"}, vms=0), 1)])
def test_a_process_without_variables_is_read_only_while_it_loads(stand_in: Loading, looks: int) -> None:
    assert mark_of(as_process(stand_in)) == ""
    assert len(stand_in.looks) == looks


def test_the_mark_is_found_as_soon_as_a_program_was_started() -> None:
    command, variables = [sys.executable, "-I", "-S", "-c", "input()"], {MARK: "owner/runner"}
    for _ in range(20):
        with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE) as child:
            assert mark_of(psutil.Process(child.pid)) == "owner/runner"
