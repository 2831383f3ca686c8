"""A rig for the process backend, and checks for what it must not leave behind."""

from __future__ import annotations

import shlex
import shutil
from contextlib import suppress

import psutil

from runscaler.backends.base import BackendContext
from runscaler.backends.process import ProcessBackend
from runscaler.backends.process.process_table import mark_of
from runscaler.backends.process.process_tree import ProcessTree
from runscaler.clock import SystemClock
from runscaler.config.model import ProcessSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.interrupt import Interrupt


def process_settings(run_command="", runner_dir="", **others):
    return ScaleSetSettings(
        url="https://github.com/my-org",
        name="Größe \"1\" = 'a'",
        token=Secret("t"),
        backend="process",
        process=ProcessSettings(run_command=run_command, runner_dir=str(runner_dir)),
        **others,
    )


def in_shell(script: str) -> str:
    """A run-command that runs a shell script."""
    return shlex.join(["sh", "-c", script])


class ProcessRig:
    """This host, with the backends' files in a directory of the test."""

    def __init__(self, state_dir, **options) -> None:
        self.state_dir = state_dir
        self._options = options
        self._owners = set()

    def open(self, owner):
        self._owners.add(owner)
        return ProcessBackend(BackendContext(owner, self.state_dir, SystemClock()), **self._options)

    def settings(self, script):
        return process_settings(in_shell(script.shell))

    def unusable_settings(self):
        return process_settings("/no/such/program")

    def destroy(self, resource):
        ProcessTree(f"{resource.owner}/{resource.runner}").kill(SystemClock(), Interrupt())
        path = self.home(resource)
        while path.exists():
            shutil.rmtree(path, ignore_errors=True)

    def home(self, resource):
        return self.state_dir / "process" / resource.owner / resource.id

    def processes(self):
        """Living processes of our owners' runners."""
        return [process for process in psutil.process_iter() if self._is_of_ours(process)]

    def leftovers(self):
        homes = self.state_dir.glob("process/*/*")
        return [str(home) for home in homes] + [str(process) for process in self.processes()]

    def _is_of_ours(self, process):
        with suppress(psutil.Error):
            mark = mark_of(process).partition("/")[0]
            return mark in self._owners and process.status() != psutil.STATUS_ZOMBIE
        return False


def zombies():
    """Ended children of this process that were not reaped."""
    return [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
