"""All containers and volumes on an engine that daemons or the Go tool made, for `runner doctor`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.base import BackendContext
from runscaler.backends.docker import answers
from runscaler.backends.docker.backend import DockerBackend
from runscaler.backends.docker.container import SHARED_VOLUME
from runscaler.backends.docker.ownership import leftover_of, users_of
from runscaler.backends.docker.sidecar import without_companions
from runscaler.backends.leftovers import Kind, Leftover

if TYPE_CHECKING:
    from runscaler.backends.docker.engine import Engine
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

LEGACY_VOLUME = "runscaler-shared"
"""The Go tool's shared volume."""
SECONDS = 20.0


class DockerSurvey:
    """See `Survey`."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @property
    def name(self) -> str:
        return f"docker {self._engine.url}"

    def leftovers(self) -> list[Leftover]:
        with self._engine.call("list the containers of all daemons", seconds=SECONDS) as api:
            listed = answers.tables(api.containers(all=True, filters={}), "the list")
            volumes = []
            for name in (SHARED_VOLUME, LEGACY_VOLUME):
                with suppress(NotFound):
                    api.inspect_volume(name)
                    volumes.append(Leftover(Kind.VOLUME, name, name, users=users_of(name, listed)))
        alone = without_companions(listed)
        return [*filter(None, map(leftover_of, alone)), *volumes]

    def runs_a_job(self, leftover: Leftover, interrupt: Interrupt) -> bool | None:
        if leftover.kind is Kind.VOLUME:
            return False
        return self._backend_of(leftover).runs_a_job(leftover.resource(), interrupt)

    def remove(self, leftover: Leftover, interrupt: Interrupt) -> None:
        if leftover.kind is Kind.CONTAINER:
            self._backend_of(leftover).remove(leftover.resource(), force=True, interrupt=interrupt)
            return
        with self._engine.call(f"remove volume {leftover.name}", interrupt) as api, suppress(NotFound):
            api.remove_volume(leftover.name)

    def close(self) -> None:
        self._engine.disconnect()

    def _backend_of(self, leftover: Leftover) -> DockerBackend:
        return DockerBackend(self._engine, BackendContext(leftover.owner, None, self._clock))
