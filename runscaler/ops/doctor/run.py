"""Opens what the doctor needs, and closes it again."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from runscaler.github.client import connect
from runscaler.github.identity import Identity
from runscaler.github.pool import TransportPool
from runscaler.interrupt import Interrupt
from runscaler.ops.doctor.doctor import Doctor
from runscaler.ops.doctor.go_daemon import go_daemon_lives
from runscaler.ops.doctor.owners import Owners
from runscaler.ops.doctor.registrations import GitHub
from runscaler.ops.doctor.surveys import surveys
from runscaler.ops.state_path import candidates, state_directories

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from runscaler.clock import Clock
    from runscaler.config.model import Config, ScaleSetSettings
    from runscaler.github.base import ScaleSetService, Trouble
    from runscaler.ops.doctor.doctor import Request
    from runscaler.ops.doctor.findings import Diagnosis

DEFAULT_PORT = 8080


def diagnose(
    request: Request, config: Config | None, ports: Collection[int], clock: Clock, version: str
) -> Diagnosis:
    """What is there, and with `Request.fix` what became of it. `ports` are more health ports on which a
    daemon of the Go tool may answer. Raises `Interrupted`."""
    scale_sets = config.scale_sets if config is not None else ()
    all_ports = {*ports, DEFAULT_PORT, *([config.health_port] if config and config.health_port else [])}
    request = replace(
        request,
        go_lives=any(go_daemon_lives(port) for port in sorted(all_ports)),
        configured=tuple(one.key for one in scale_sets),
    )
    state_dirs = _state_dirs(config)
    opened, problems = surveys(config, state_dirs, clock)
    pool, interrupt = TransportPool(clock), Interrupt()

    def connected(settings: ScaleSetSettings) -> ScaleSetService:
        return connect(settings, clock=clock, report=_ignore, pool=pool, identity=Identity(version))

    with ExitStack() as closed:
        closed.callback(pool.close)
        for one in opened:
            closed.enter_context(closing(one))
        owners = closed.enter_context(Owners(state_dirs, hold=request.fix))
        github = GitHub(scale_sets, connected, interrupt)
        return Doctor(request, opened, owners, github, interrupt, clock, problems).diagnose()


def _state_dirs(config: Config | None) -> list[Path]:
    configured = candidates(config) if config is not None else []
    return list(dict.fromkeys([*configured, *state_directories()]))


def _ignore(_trouble: Trouble | None) -> None:
    """The error in the end is reported, not the retries before it."""
