"""What a service definition is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "runner"
DESCRIPTION = "GitHub Actions runners on demand"
STOP_MARGIN = 60.0
"""Seconds beyond drain-timeout before the service manager kills: runners are removed in that time."""
BACKUP_SUFFIX = ".before-migrate"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a configuration asks of its service. `health` is the URL of its health server, empty if off;
    `engines` are the URLs of its Docker engines, `variables` the environment variables that it reads."""

    drain_timeout: float = 30.0
    local_docker: bool = False
    process: bool = False
    tart: bool = False
    state_dir: Path | None = None
    health: str = ""
    engines: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    @property
    def stop_seconds(self) -> int:
        return int(self.drain_timeout + STOP_MARGIN)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """`program` is the executable with the arguments before `run`. `kept` are lines of an earlier unit's
    [Service], `variables` those of an earlier plist, `arguments` flags of an earlier command."""

    program: tuple[str, ...]
    config: Path
    needs: Needs = Needs()
    arguments: tuple[str, ...] = ()
    is_user: bool = False
    log: Path | None = None
    kept: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.program, "run", "--config", str(self.config), *self.arguments)

    @property
    def file_mode(self) -> int:
        """Variables may be tokens, so a file that has some is for its owner alone."""
        return 0o600 if self.kept or self.variables else 0o644
