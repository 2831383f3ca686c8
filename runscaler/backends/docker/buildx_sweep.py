"""Removes what `docker buildx` left on an engine (docs/behaviour.md § 7.1).

A builder of buildx's driver docker-container is a container `buildx_buildkit_NAME0` of an image
moby/buildkit, whose cache is the volume of that name and `_state`. A client that builds keeps a process in it
for as long as it does: `buildctl dial-stdio`, by exec; the steps of the build are processes below buildkitd.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound
from loguru import logger

from runscaler.backends.base import Sweep, SweepResult, SweepTarget
from runscaler.backends.docker import answers
from runscaler.backends.docker.api import seconds_of
from runscaler.backends.docker.builder_processes import is_idle
from runscaler.backends.docker.containers import state_of
from runscaler.backends.docker.errors import status
from runscaler.backends.docker.volume_use import VolumeUse
from runscaler.errors import BackendDown, BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from runscaler.backends.base import BackendContext
    from runscaler.backends.docker.api import EngineApi, InspectedContainer, Inspection
    from runscaler.backends.docker.engine import Engine
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

PREFIX = "buildx_buildkit_"
STATE = "_state"
BUILDER_NAME = re.compile(rf"{PREFIX}[A-Za-z0-9_.-]+")
IMAGE = re.compile(r"(.*/)?buildkit([:@].*)?")
"""Of a builder: moby/buildkit, or the copy of it in another registry."""
SECONDS = 120.0
UNDO_SECONDS = 5.0
SHOWN = 5
REFUSED = (404, 409)
"""Gone already; in use."""


def time_of_engine(api: EngineApi) -> float:
    """The times of its containers and volumes are by its own clock."""
    if not (now := seconds_of(str(api.info().get("SystemTime", "")))):
        raise answers.Nonsense("the engine does not tell its time")
    return now


@dataclass(frozen=True, slots=True)
class Builder:
    """A builder that may go, and its volume, which is empty if it has none."""

    id: str
    name: str
    volume: str
    started: str
    """As the engine says it; another time later on means that it was started again."""
    is_running: bool


def sweeps_for(
    sets: Sequence[ScaleSetSettings], engine: Engine, context: BackendContext, interrupt: Interrupt
) -> list[Sweep]:
    """One, or none if a scale set wants the builders kept. Of the TTLs the longest counts."""
    if not sets or not all(one.docker.buildx_cleanup for one in sets):
        return []
    ttl = max(one.docker.buildx_cleanup_ttl for one in sets)
    images = tuple(dict.fromkeys(one.runner_image for one in sets))
    sweep = BuildxSweep(engine, context, ttl, images, interrupt)
    interval = min(one.docker.buildx_cleanup_interval for one in sets)
    return [Sweep("the sweep of buildx builders", interval, sweep.run, sweep.plan, "buildx")]


class BuildxSweep:
    """`ttl` in seconds. Containers of `images` look into volumes. `time_of` tells the time of an engine."""

    def __init__(
        self,
        engine: Engine,
        context: BackendContext,
        ttl: float,
        images: Sequence[str],
        interrupt: Interrupt,
        time_of: Callable[[EngineApi], float] = time_of_engine,
    ) -> None:
        self._engine = engine
        self._ttl = ttl
        self._time_of = time_of
        self._use = VolumeUse(engine, context, images)
        self._interrupt = interrupt

    def plan(self) -> list[SweepTarget]:
        builders, volumes = self.builders(), list(self._volumes())
        if not builders and not volumes:
            return []
        with self._call("ask for the size of buildx builders") as api:
            used = api.df()
        containers = _sizes(used.get("Containers"), "Id", ("SizeRw",))
        sizes = _sizes(used.get("Volumes"), "Name", ("UsageData", "Size"))
        states = [one.volume for one in builders if one.volume]
        return [
            *(SweepTarget("builder", one.name, containers.get(one.id)) for one in builders),
            *(SweepTarget("volume", one, sizes.get(one)) for one in (*states, *volumes)),
        ]

    def run(self) -> SweepResult:
        """One that the engine cannot remove keeps no other from going; it is raised at the end."""
        failed: list[BackendError] = []
        gone = [one for one in self.builders() if _done(partial(self.remove_builder, one), failed)]
        states = [one.volume for one in gone if one.volume]
        states = [one for one in states if _done(partial(self._remove_volume, one), failed)]
        volumes = [one for one in self._volumes() if _done(partial(self._remove_volume, one), failed)]
        volumes = [*states, *volumes]
        parts = (_named("builder", [one.name for one in gone]), _named("volume", volumes))
        words = f"removed {' and '.join(filter(None, parts))}" if any(parts) else ""
        if failed:
            raise BackendError("; ".join(filter(None, [str(failed[0]), words])), fixes=failed[0].fixes)
        return SweepResult(words, len(gone) + len(volumes))

    # -- builders -----------------------------------------------------------------------------------

    def builders(self) -> list[Builder]:
        """Those last started longer ago than the TTL that build nothing, as far as that can be proved."""
        found = []
        with self._call("look for buildx builders") as api:
            now = self._time_of(api)
            for listed in answers.tables(api.containers(all=True, filters={"name": PREFIX}), "the list"):
                with suppress(NotFound):
                    container = answers.identifier(listed.get("Id"), "the id of a container")
                    builder = self._builder(api, api.inspect_container(container), now)
                    found += [builder] if builder is not None else []
        return found

    def _builder(self, api: EngineApi, container: InspectedContainer, now: float) -> Builder | None:
        state = answers.table(container["State"], "the state of a container")
        name = str(container.get("Name", "")).lstrip("/")
        image = answers.table(container.get("Config"), "the configuration of a container").get("Image")
        if not BUILDER_NAME.fullmatch(name) or not IMAGE.fullmatch(str(image)):
            return None
        started = seconds_of(str(state.get("StartedAt", ""))) or seconds_of(str(container.get("Created", "")))
        if not started or now - started <= self._ttl or not is_idle(api, container):
            return None
        mounts = answers.tables(container.get("Mounts") or [], "the mounts of a container")
        has_volume = any(one.get("Name") == f"{name}{STATE}" for one in mounts)
        return Builder(
            id=container["Id"],
            name=name,
            volume=f"{name}{STATE}" if has_volume else "",
            started=str(state.get("StartedAt")),
            is_running=state.get("Running") is True,
        )

    def remove_builder(self, builder: Builder) -> bool:
        """Paused first, so that no build begins between the last look and the removal."""
        doing = f"remove builder {builder.name}"
        with (
            self._engine.call(doing, self._interrupt, seconds=SECONDS, grace=UNDO_SECONDS) as api,
            suppress(NotFound),
        ):
            state = state_of(api, builder.id)
            if state is None or str(state.get("StartedAt")) != builder.started:
                return False
            if not builder.is_running:
                # Without force: the engine refuses if it was started this very moment.
                return _accepted(lambda: api.remove_container(builder.id, v=True))
            with self._paused(api, builder) as paused:
                if not paused or not is_idle(api, api.inspect_container(builder.id)):
                    return False
                return _accepted(lambda: api.remove_container(builder.id, v=True, force=True))
        return False

    @contextmanager
    def _paused(self, api: EngineApi, builder: Builder) -> Iterator[bool]:
        """False if the engine refuses. It goes on afterwards if it is still there, also where a call was cut:
        a build on one that stays paused would wait for ever."""
        paused = True
        try:
            try:
                paused = _accepted(lambda: api.pause(builder.id))
            except APIError:
                paused = False
                raise
            yield paused
        finally:
            if paused:
                self._unpause(builder)

    def _unpause(self, builder: Builder) -> None:
        try:
            with self._engine.call(f"unpause builder {builder.name}", seconds=UNDO_SECONDS) as api:
                _accepted(lambda: api.unpause(builder.id))
        except BackendError as error:
            logger.warning("{}: builds on it wait until `docker unpause {}`", error, builder.name)

    # -- volumes ------------------------------------------------------------------------------------

    def _volumes(self) -> Iterator[str]:
        """Those that no container uses, and that none has written to for longer than the TTL: each as of the
        moment when it is asked for."""
        with self._call("look for buildx volumes") as api:
            now = self._time_of(api)
            answer = api.volumes(filters={"dangling": True, "name": PREFIX})
            listed = answers.tables(answer.get("Volumes") or [], "the list of volumes")
            old = [str(one.get("Name")) for one in listed if self._is_old(one, now)]
        for name in old:
            self._engine.starts.let_pass(self._interrupt)
            if now - self._use.last(name, self._interrupt) > self._ttl:
                yield name

    def _is_old(self, volume: Inspection, now: float) -> bool:
        created = seconds_of(str(volume.get("CreatedAt", "")))
        is_builders = BUILDER_NAME.fullmatch(str(volume.get("Name"))) and volume.get("Driver") == "local"
        return bool(is_builders) and 0 < created < now - self._ttl

    def _remove_volume(self, name: str) -> bool:
        with self._call(f"remove volume {name}") as api:
            return _accepted(lambda: api.remove_volume(name))

    def _call(self, doing: str) -> AbstractContextManager[EngineApi]:
        return self._engine.call(doing, self._interrupt, seconds=SECONDS)


def _done(call: Callable[[], bool], failed: list[BackendError]) -> bool:
    """A refusal of the engine is kept in `failed`. Raises `BackendDown` and `Interrupted`."""
    try:
        return call()
    except BackendDown:
        raise
    except BackendError as error:
        failed.append(error)
        return False


def _accepted(call: Callable[[], object]) -> bool:
    """False if the engine refuses it, as what it is about is gone or in use."""
    try:
        call()
    except APIError as error:
        if status(error) not in REFUSED:
            raise
        return False
    return True


def _sizes(entries: object, key: str, path: tuple[str, ...]) -> dict[str, int]:
    """From the engine's report on its disk usage: the sizes at `path` of what `key` names. What it does not
    know it leaves out, or says -1."""
    sizes = {}
    for entry in answers.tables(entries or [], "the disk usage"):
        value: object = entry
        for name in path:
            value = value.get(name) if answers.is_table(value) else None
        if isinstance(value, int) and value >= 0:
            sizes[str(entry.get(key))] = value
    return sizes


def _named(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what}{'s' * (len(names) > 1)} {', '.join(names[:SHOWN])}{more}"
