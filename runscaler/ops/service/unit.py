"""systemd units: written for this program, and read as the Go tool or an administrator wrote them
(systemd.syntax(7), systemd.service(5))."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.ops.service.spec import DESCRIPTION, ServiceSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEPT = (
    "Environment",
    "EnvironmentFile",
    "PassEnvironment",
    "UnsetEnvironment",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "SetCredential",
    "SetCredentialEncrypted",
    "User",
    "Group",
    "SupplementaryGroups",
)
"""Keys of an old unit's [Service] that go along."""
OURS = ("Type", "ExecStart", "ExecReload", "PIDFile", "KillMode", "NotifyAccess")
"""Keys that the new unit decides, also against a drop-in for the old one."""
WATCHDOG_SECONDS = 60
START_SECONDS = 180
"""Readiness is reported within 60 s, after the checks before the start."""

# Runners are children of a container engine or of `tart`, and see none of this. None of it hides /tmp,
# /var/tmp or the homes: VM slots are locked in /var/tmp, and the program may be installed in a home.
_HARDENING = (
    "NoNewPrivileges=yes",
    "ProtectSystem=full",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "LockPersonality=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures=native",
)
_USER_HARDENING = ("NoNewPrivileges=yes", "LockPersonality=yes", "RestrictRealtime=yes")
"""What a user's systemd can do without namespaces of its own."""


def render_unit(spec: ServiceSpec) -> str:
    """The text of the unit file."""
    docker = spec.needs.local_docker and not spec.is_user
    sections = {
        "Unit": [
            f"Description={DESCRIPTION}",
            "Wants=network-online.target",
            "After=network-online.target",
            *(["Requires=docker.service", "After=docker.service"] if docker else []),
        ],
        "Service": [*_service(spec), *spec.kept, *_hardening(spec)],
        "Install": [f"WantedBy={'default.target' if spec.is_user else 'multi-user.target'}"],
    }
    body = "\n\n".join("\n".join([f"[{name}]", *lines]) for name, lines in sections.items())
    edit = "systemctl --user edit runner" if spec.is_user else "systemctl edit runner"
    return f"# Written by runner. For changes use a drop-in: {edit}\n{body}\n"


def _service(spec: ServiceSpec) -> Iterator[str]:
    yield "Type=notify"
    yield f"ExecStart={' '.join(map(quoted, spec.command))}"
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield "Restart=on-failure"
    yield "RestartSec=10s"
    yield f"TimeoutStartSec={START_SECONDS}s"
    yield f"TimeoutStopSec={spec.needs.stop_seconds}s"
    yield f"WatchdogSec={WATCHDOG_SECONDS}s"
    yield "KillMode=process"
    # A user's systemd before 254 puts it below ~/.config, where no other command would look for it.
    if not spec.is_user:
        yield "StateDirectory=runscaler"
        yield "StateDirectoryMode=0700"


def _hardening(spec: ServiceSpec) -> Iterator[str]:
    """Nothing for the process backend: its jobs are children of the daemon, and may want sudo or mounts."""
    if spec.needs.process:
        return
    yield from _USER_HARDENING if spec.is_user else _HARDENING
    if spec.needs.state_dir is not None and not spec.is_user:
        yield f"ReadWritePaths={quoted('-' + str(spec.needs.state_dir))}"


def quoted(word: str) -> str:
    """A word for ExecStart=: quoted, without specifiers and variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + escaped.replace("$", "$$") + '"'


@dataclass(frozen=True, slots=True)
class Setting:
    key: str
    value: str

    @property
    def line(self) -> str:
        return f"{self.key}={self.value}"


def service_settings(text: str) -> list[Setting]:
    """The settings of [Service] in order, with continued lines joined."""
    found, section = [], ""
    for line in _joined(text):
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line:
            key, _, value = line.partition("=")
            found.append(Setting(key.strip(), value.strip()))
    return found


def effective(settings: Iterable[Setting], key: str) -> list[str]:
    """All values of a key that counts as a list; an empty value drops those before it."""
    values: list[str] = []
    for one in settings:
        if one.key == key:
            values = [*values, one.value] if one.value else []
    return values


def command_of(settings: Iterable[Setting]) -> list[str]:
    """The words of the last ExecStart=; empty if there is none."""
    commands = effective(list(settings), "ExecStart")
    return _words(commands[-1].lstrip("@-:+!")) if commands else []


def is_ours(settings: Iterable[Setting]) -> bool:
    """Whether the unit is one of this program: the Go tool's has Type=simple."""
    return effective(list(settings), "Type")[-1:] == ["notify"]


def without(text: str, keys: Iterable[str]) -> str:
    """The text of a drop-in without the lines of these keys."""
    pattern = re.compile(rf"\s*({'|'.join(keys)})\s*=")
    kept, skipping = [], False
    for line in text.splitlines(keepends=True):
        skip = skipping or bool(pattern.match(line))
        skipping = skip and line.rstrip("\n").endswith("\\")
        if not skip:
            kept.append(line)
    return "".join(kept)


def variables_of(settings: Iterable[Setting]) -> dict[str, str]:
    """The variables that Environment= sets."""
    words = [word for value in effective(list(settings), "Environment") for word in _words(value)]
    return dict(word.split("=", 1) for word in words if "=" in word)


def variables_in_file(text: str) -> dict[str, str]:
    """The variables of an EnvironmentFile=."""
    found = {}
    for line in _joined(text):
        name, sign, value = line.partition("=")
        if sign:
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    quote = value[:1]
    return value[1:-1] if len(value) > 1 and quote in {"'", '"'} and value.endswith(quote) else value


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return [word.replace("%%", "%").replace("$$", "$") for word in words]


def _joined(text: str) -> Iterator[str]:
    """Lines without comments, each with those that a backslash continues."""
    whole = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        whole += line.strip()
        if whole.endswith("\\"):
            whole = whole[:-1] + " "
            continue
        if whole:
            yield whole
        whole = ""
    if whole:
        yield whole
