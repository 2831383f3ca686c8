"""launchd as the service manager: daemons of the host, agents of a user (launchctl(1))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.errors import HostError
from runscaler.interrupt import Interrupt
from runscaler.ops.service import plist
from runscaler.ops.service.commands import NOT_FOUND, Commands, checked, run_command
from runscaler.ops.service.manager import Definition, ServiceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runscaler.clock import Clock
    from runscaler.ops.service.layout import Layout
    from runscaler.ops.service.spec import ServiceSpec

POLL_SECONDS = 0.2
STOP_SECONDS = 900.0
GONE = (3, 113)
"""Codes of `bootout` and `print` for a service that is not loaded."""
IN_PROGRESS = 36
"""`bootout` gives this code if the process needs time to end."""

_PID = re.compile(r"^\s*pid = (\d+)$", re.MULTILINE)
_STATE = re.compile(r"^\s*state = (.+)$", re.MULTILINE)
_EXIT = re.compile(r"^\s*last exit code = (.+)$", re.MULTILINE)


class LaunchdManager:
    name = "launchd"
    id = plist.LABEL

    def __init__(self, layout: Layout, commands: Commands = run_command, clock: Clock | None = None) -> None:
        self.layout = layout
        self._commands = commands
        self._clock = clock or SystemClock()

    @property
    def _domain(self) -> str:
        return f"gui/{self.layout.uid}" if self.layout.is_user else "system"

    def check(self) -> None:
        answer = self._commands(["launchctl", "print", self._domain])
        if answer.code == NOT_FOUND:
            raise HostError("this host does not run launchd: launchctl is not on the PATH")
        if answer.code and self.layout.is_user:
            raise HostError(
                f"launchd has no session of {self.layout.account}: {answer.reason}",
                fixes=("log in as that user at the screen (automatic login keeps it so after a restart)",),
            )
        if answer.code:
            raise HostError(f"launchd does not answer: {answer.reason}")

    def file_of(self, service: str) -> Path:
        return self.layout.plists / f"{service}.plist"

    def definition(self, service: str) -> Definition | None:
        file = self.file_of(service)
        try:
            found = plist.read_plist(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise HostError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
        return Definition(
            id=service,
            file=file,
            is_ours=plist.is_ours(found),
            command=tuple(plist.command_of(found)),
            variables=plist.variables_of(found),
        )

    def old_services(self) -> Sequence[str]:
        return (plist.LABEL, plist.LEGACY_LABEL)

    def files(self, spec: ServiceSpec, old: Definition | None = None) -> Mapping[Path, bytes]:
        return {self.file_of(plist.LABEL): plist.render_plist(spec)}

    def reload(self) -> None:
        """launchd reads a definition when it is loaded."""

    def enable(self, service: str) -> None:
        checked(self._commands, ["launchctl", "enable", self._target(service)])

    def disable(self, service: str) -> None:
        """Nothing to do: launchd loads what has a file."""

    def start(self, service: str) -> None:
        if self._is_loaded(service):
            checked(self._commands, ["launchctl", "kickstart", self._target(service)])
            return
        words = ["launchctl", "bootstrap", self._domain, str(self.file_of(service))]
        checked(self._commands, words, fixes=("see why: runner service logs",))

    def stop(self, service: str) -> None:
        answer = self._commands(["launchctl", "bootout", self._target(service)])
        if answer.code and answer.code not in (*GONE, IN_PROGRESS):
            raise HostError(f"launchd could not stop {service}: {answer.reason}")
        deadline = self._clock.monotonic() + STOP_SECONDS
        while self._is_loaded(service):
            if self._clock.monotonic() > deadline:
                raise HostError(f"{service} has not ended within {STOP_SECONDS:g} s")
            self._clock.pause(POLL_SECONDS, Interrupt())

    def restart(self, service: str) -> None:
        self.stop(service)
        self.start(service)

    def state(self, service: str) -> ServiceState:
        answer = self._commands(["launchctl", "print", self._target(service)])
        if answer.code in GONE:
            return ServiceState("not loaded", is_running=False, is_enabled=self._is_enabled(service))
        if answer.code:
            raise HostError(f"launchd does not tell of {service}: {answer.reason}")
        pid, last_exit = int(_first(_PID, answer.out) or 0), _first(_EXIT, answer.out)
        failed = bool(last_exit) and not last_exit.startswith(("0", "(never"))
        return ServiceState(
            state=_first(_STATE, answer.out) or "loaded",
            is_running=pid != 0,
            is_enabled=self._is_enabled(service),
            pid=pid,
            detail=f"last exit code {last_exit}" if failed else "",
            has_failed=failed and pid == 0,
        )

    def log_command(self, *, follow: bool, lines: int) -> list[str]:
        log = self.layout.launchd_log
        if not log.exists():
            raise HostError(f"there is no log yet: {log}", fixes=("start the service: runner service start",))
        return ["tail", "-n", str(lines), *(["-F"] if follow else []), str(log)]

    def _target(self, service: str) -> str:
        return f"{self._domain}/{service}"

    def _is_loaded(self, service: str) -> bool:
        return self._commands(["launchctl", "print", self._target(service)]).code == 0

    def _is_enabled(self, service: str) -> bool:
        answer = self._commands(["launchctl", "print-disabled", self._domain])
        disabled = re.search(rf'"{re.escape(service)}" => (disabled|true)', answer.out)
        return self.file_of(service).exists() and disabled is None


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1].strip() if found else ""
