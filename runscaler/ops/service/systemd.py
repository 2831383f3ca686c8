"""systemd as the service manager, of the host or of a user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.errors import HostError
from runscaler.ops.service import unit
from runscaler.ops.service.commands import NOT_FOUND, Commands, checked, run_command
from runscaler.ops.service.manager import Definition, ServiceState
from runscaler.ops.service.spec import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runscaler.ops.service.layout import Layout
    from runscaler.ops.service.spec import ServiceSpec

UNIT = f"{NAME}.service"
LEGACY_UNIT = "runscaler.service"
PROPERTIES = ("ActiveState", "SubState", "MainPID", "UnitFileState", "StatusText", "Result", "ExecMainStatus")


class SystemdManager:
    name = "systemd"
    id = UNIT

    def __init__(self, layout: Layout, commands: Commands = run_command) -> None:
        self.layout = layout
        self._commands = commands

    def check(self) -> None:
        if not (self.layout.root / "run/systemd/system").is_dir():
            raise HostError(
                "this host does not run systemd",
                fixes=("start the daemon by what it has instead: runner run --config PATH",),
            )
        answer = self._commands(self._systemctl("show-environment"))
        if answer.code == NOT_FOUND:
            raise HostError("systemctl is not on the PATH", fixes=("install systemd's tools",))
        if answer.code and self.layout.is_user:
            fixes = (
                f"sudo loginctl enable-linger {self.layout.account}, then log in anew (not by su or sudo)",
                f"export XDG_RUNTIME_DIR=/run/user/{self.layout.uid}",
            )
            raise HostError(f"systemd of the user does not answer: {answer.reason}", fixes=fixes)
        if answer.code:
            raise HostError(f"systemd does not answer: {answer.reason}")

    def file_of(self, service: str) -> Path:
        return self.layout.units / service

    def definition(self, service: str) -> Definition | None:
        file = self.file_of(service)
        try:
            text = file.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(f"cannot read {file}: {error.strerror}") from error
        own, drop_ins = unit.service_settings(text), self._drop_ins(service)
        together = own + [one for added in drop_ins.values() for one in unit.service_settings(added)]
        return Definition(
            id=service,
            file=file,
            is_ours=unit.is_ours(own),
            command=tuple(unit.command_of(together)),
            kept=tuple(one.line for one in own if one.key in unit.KEPT),
            variables={**unit.variables_of(together), **_variables_in_files(together)},
            drop_ins=drop_ins,
        )

    def old_services(self) -> Sequence[str]:
        return (UNIT, LEGACY_UNIT)

    def files(self, spec: ServiceSpec, old: Definition | None = None) -> Mapping[Path, bytes]:
        folder = self._drop_in_folder(UNIT)
        drop_ins = old.drop_ins if old else {}
        return {
            self.file_of(UNIT): unit.render_unit(spec).encode(),
            **{folder / name: unit.without(text, unit.OURS).encode() for name, text in drop_ins.items()},
        }

    def reload(self) -> None:
        checked(self._commands, self._systemctl("daemon-reload"))

    def enable(self, service: str) -> None:
        checked(self._commands, self._systemctl("enable", service))

    def disable(self, service: str) -> None:
        checked(self._commands, self._systemctl("disable", service))

    def start(self, service: str) -> None:
        self._run("start", service)

    def stop(self, service: str) -> None:
        checked(self._commands, self._systemctl("stop", service))

    def restart(self, service: str) -> None:
        self._run("restart", service)

    def state(self, service: str) -> ServiceState:
        wanted = f"--property={','.join(PROPERTIES)}"
        answer = checked(self._commands, self._systemctl("show", service, wanted))
        found = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
        active, result = found.get("ActiveState", ""), found.get("Result", "success")
        failure = "" if result in {"success", ""} else f"{result}, status {found.get('ExecMainStatus', '?')}"
        pid = int(found.get("MainPID") or 0)
        return ServiceState(
            state=f"{active} ({found.get('SubState', '')})",
            is_running=pid != 0 and active in {"active", "reloading", "activating"},
            is_enabled=found.get("UnitFileState", "").startswith("enabled"),
            pid=pid,
            detail=failure or found.get("StatusText", ""),
            has_failed=pid == 0 and (bool(failure) or active == "failed"),
        )

    def log_command(self, *, follow: bool, lines: int) -> list[str]:
        level = ["--user", f"--user-unit={UNIT}"] if self.layout.is_user else [f"--unit={UNIT}"]
        return ["journalctl", *level, f"--lines={lines}", *(["--follow"] if follow else ["--no-pager"])]

    def lingers(self) -> bool:
        """Whether a user's services run without a login; True also if that cannot be told."""
        answer = self._commands(["loginctl", "show-user", self.layout.account, "--property=Linger"])
        return "Linger=no" not in answer.out

    def _run(self, verb: str, service: str) -> None:
        """Start or restart, also after failures so frequent that systemd has given up."""
        self._commands(self._systemctl("reset-failed", service))
        level = " --user" if self.layout.is_user else ""
        fixes = (f"see why: runner service logs{level}", "check the configuration: runner validate")
        checked(self._commands, self._systemctl(verb, service), fixes=fixes)

    def _systemctl(self, *words: str) -> list[str]:
        return ["systemctl", *(["--user"] if self.layout.is_user else []), *words]

    def _drop_in_folder(self, service: str) -> Path:
        return self.layout.units / f"{service}.d"

    def _drop_ins(self, service: str) -> dict[str, str]:
        """Texts of the drop-ins by file name, in the order that systemd reads them."""
        try:
            return {
                path.name: path.read_text(errors="replace")
                for path in sorted(self._drop_in_folder(service).glob("*.conf"))
            }
        except OSError as error:
            raise HostError(f"cannot read {error.filename}: {error.strerror}") from error


def _variables_in_files(settings: Iterable[unit.Setting]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in _environment_files(settings):
        try:
            found |= unit.variables_in_file(path.read_text(errors="replace"))
        except OSError:
            continue  # optional, or systemd will refuse the start
    return found


def _environment_files(settings: Iterable[unit.Setting]) -> Iterator[Path]:
    for value in unit.effective(list(settings), "EnvironmentFile"):
        yield Path(value.removeprefix("-").strip("\"'"))
