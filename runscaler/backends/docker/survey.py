"""All containers and volumes on an engine that daemons or the Go tool made, for `runner doctor`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import NotFound

from runscaler.backends.base import BackendContext
from runscaler.backends.docker import answers
from runscaler.backends.docker.backend import DockerBackend
from runscaler.backends.docker.container import SHARED_VOLUME
from runscaler.backends.docker.labels import MANAGED_BY, OWNER, PREFIX, RUNNER
from runscaler.backends.docker.sidecar import without_companions
from runscaler.backends.leftovers import LEGACY_CLEANUP, LEGACY_RUNNER, Kind, Leftover, state_dir_text
from runscaler.names import OWNER_ID, OwnerId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runscaler.backends.docker.api import Inspection
    from runscaler.backends.docker.engine import Engine
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

LEGACY_MANAGERS = ("runner", "runscaler")
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


def leftover_of(listed: Inspection) -> Leftover | None:
    """From an entry of the engine's list; None for a container that neither we nor the Go tool made."""
    labels, container, names = listed.get("Labels"), listed.get("Id"), listed.get("Names")
    if not isinstance(labels, dict) or not isinstance(container, str) or not container.isalnum():
        return None
    name = str(names[0]).lstrip("/") if isinstance(names, list) and names else ""
    owner = labels.get(OWNER)
    if owner is None:
        return Leftover(Kind.CONTAINER, container, name) if _is_legacy(name, labels) else None
    if labels.get(MANAGED_BY) != RUNNER or not isinstance(owner, str) or not OWNER_ID.match(owner):
        return None
    state_dir = state_dir_text(labels.get(f"{PREFIX}.state-dir"))
    return Leftover(Kind.CONTAINER, container, name, OwnerId(owner), state_dir)


def _is_legacy(name: str, labels: Mapping[str, object]) -> bool:
    named = LEGACY_RUNNER.match(name) or LEGACY_CLEANUP.match(name)
    return bool(named) and labels.get(MANAGED_BY) in LEGACY_MANAGERS


def users_of(volume: str, listed: Iterable[Inspection]) -> tuple[str, ...]:
    """The ids of the listed containers that mount the volume."""
    return tuple(
        str(container.get("Id"))
        for container in listed
        if any(
            isinstance(mount, dict) and mount.get("Type") == "volume" and mount.get("Name") == volume
            for mount in _list(container.get("Mounts"))
        )
    )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
