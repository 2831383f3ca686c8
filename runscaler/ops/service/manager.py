"""The interface of service managers, and what they tell of a service."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runscaler.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runscaler.ops.service.layout import Layout
    from runscaler.ops.service.spec import ServiceSpec


@dataclass(frozen=True, slots=True)
class ServiceState:
    """`pid` is the main process's, 0 without one. `detail` is the daemon's own status line, or how the last
    run failed; then `has_failed`, also while the manager waits to start it again."""

    state: str
    is_running: bool
    is_enabled: bool
    pid: int = 0
    detail: str = ""
    has_failed: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """A service that is defined on this host. `id` is the unit's name or the launchd label.

    `kept` and `drop_ins` (by file name) are what goes along in a migration from a unit, `variables` that of
    a plist or of a unit's Environment= and EnvironmentFile= (for a check of the configuration).
    """

    id: str
    file: Path
    is_ours: bool
    command: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    drop_ins: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path | None:
        """The configuration that its command names."""
        found = flag_value(self.command, "--config")
        return Path(found) if found else None

    @property
    def arguments(self) -> tuple[str, ...]:
        """The flags of its command besides --config."""
        words = iter(self.command[1:])
        found: list[str] = []
        for word in words:
            if word == "--config":
                next(words, None)
            elif not word.startswith("--config=") and (found or word.startswith("-")):
                found.append(word)
        return tuple(found)


def flag_value(words: Sequence[str], flag: str) -> str:
    """The value of the last `--flag VALUE` or `--flag=VALUE`; empty if there is none."""
    value = ""
    for position, word in enumerate(words):
        if word == flag:
            value = next(iter(words[position + 1 :]), "")
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


class ServiceManager(Protocol):
    """systemd or launchd, for one `Layout`. Every method that changes something raises `HostError`."""

    name: str
    id: str
    """Of our service."""
    layout: Layout

    def check(self) -> None:
        """Raises `HostError` if this host or this user has no such manager."""

    def file_of(self, service: str) -> Path:
        """The definition file of a service."""

    def definition(self, service: str) -> Definition | None:
        """The definition of a service; None if there is none."""

    def old_services(self) -> Sequence[str]:
        """Ids that the Go tool used, its newest first."""

    def files(self, spec: ServiceSpec, old: Definition | None = None) -> Mapping[Path, bytes]:
        """The files that define our service, in place of `old`."""

    def reload(self) -> None:
        """Read changed definition files."""

    def enable(self, service: str) -> None: ...
    def disable(self, service: str) -> None: ...
    def start(self, service: str) -> None:
        """Harmless if it runs. Returns when it runs; what it needs to be ready may come later."""

    def stop(self, service: str) -> None:
        """Harmless if it does not run. Returns when its process has ended."""

    def restart(self, service: str) -> None: ...
    def state(self, service: str) -> ServiceState: ...
    def log_command(self, *, follow: bool, lines: int) -> list[str]:
        """The command that shows the log of our service. Raises `HostError` if there is none."""


def require_rights(layout: Layout, command: str) -> None:
    """Raises `HostError` if this user may not change services of this level. `command` is for the advice."""
    invoker = os.environ.get("SUDO_USER", "")
    if layout.is_user and layout.uid == 0 and invoker not in {"", "root"}:
        raise HostError(
            f"under sudo, --user means the services of root, not those of {invoker}",
            fixes=(f"run it without sudo: runner {command} --user",),
        )
    if layout.is_whole_host and layout.uid != 0:
        raise HostError(
            "only root may change the services of the whole host",
            fixes=(f"sudo runner {command}", f"for your own user: runner {command} --user"),
        )
