"""What goes from an engine when the process ends (docs/behaviour.md § 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound
from loguru import logger

from runscaler.backends.docker import answers
from runscaler.backends.docker.container import SHARED_VOLUME
from runscaler.backends.docker.containers import discard
from runscaler.backends.docker.errors import CONFLICT, status
from runscaler.backends.docker.labels import helper_filter
from runscaler.backends.docker.ownership import is_unstarted_helper, leftover_of, may_run
from runscaler.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.backends.base import BackendContext
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.leftovers import Leftover
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt
    from runscaler.names import OwnerId

NO_SUCH_CALL = (404, 405, 501)


def tidy_up(
    engine: Engine, context: BackendContext, sets: Sequence[ScaleSetSettings], interrupt: Interrupt
) -> str:
    """Remove our helper containers; if all sets want that and nobody else needs them, also the shared volume,
    dangling images and the build cache. Returns one line about that."""
    with engine.call("remove the helper containers", interrupt) as api:
        _discard_helpers(api, context.owner)
        if not sets or not all(one.docker.prune_on_exit for one in sets):
            return ""
        others, unstarted = _others(api)
    left = [one for one in others if one.id in unstarted and context.is_dead(one.owner, one.state_dir)]
    if living := [one for one in others if one not in left]:
        return _refusal(living, context.owner)
    said = [_remove_left(engine, left, interrupt), _remove_shared_volume(engine, sets, interrupt)]
    images = _pruned(engine, "dangling images", lambda api: api.prune_images({"dangling": True}), interrupt)
    cache = _pruned(engine, "the build cache", lambda api: api.prune_builds(), interrupt)
    return ", ".join(filter(None, [*said, images, cache]))


def _refusal(living: Sequence[Leftover], own: OwnerId) -> str:
    more = f" and {len(living) - 1} more" if len(living) > 1 else ""
    whose = "this daemon" if living[0].owner == own else "another daemon"
    who = f"{living[0].name}{more} of {whose}"
    return f"nothing is pruned, as {who} may need it (if it is dead: runner doctor)"


def _discard_helpers(api: EngineApi, owner: OwnerId) -> None:
    """Also those that earlier processes left, which were killed."""
    filters = {"label": helper_filter(owner)}
    for listed in answers.tables(api.containers(all=True, filters=filters), "the list"):
        discard(api, answers.identifier(listed.get("Id"), "the id of a container"))


def _others(api: EngineApi) -> tuple[list[Leftover], set[str]]:
    """The containers of all daemons that run or may be started, by name. Ours are gone by now, or should be;
    a daemon without a runner has the one that holds the shared volume. With them the ids of those that are
    helpers and never ran."""
    listed = answers.tables(api.containers(all=True, filters={}), "the list")
    found = filter(None, (leftover_of(one) for one in listed if may_run(one)))
    unstarted = {str(one.get("Id")) for one in listed if is_unstarted_helper(one)}
    return sorted(found, key=lambda one: one.name), unstarted


def _remove_left(engine: Engine, left: Sequence[Leftover], interrupt: Interrupt) -> str:
    """By their ids: a daemon that was started meanwhile has made itself new ones, and keeps the volume."""
    if not left:
        return ""
    names = ", ".join(one.name for one in left)
    with engine.call(f"remove {names} of a dead daemon", interrupt) as api:
        for one in left:
            discard(api, one.id)
    return f"removed {names} of a dead daemon"


def _remove_shared_volume(engine: Engine, sets: Sequence[ScaleSetSettings], interrupt: Interrupt) -> str:
    """The engine refuses it while a container has the volume, whoever made it and whether or not it runs."""
    if not any(one.docker.shared_volume for one in sets):
        return ""
    with engine.call(f"remove volume {SHARED_VOLUME}", interrupt) as api:
        try:
            api.remove_volume(SHARED_VOLUME)
        except NotFound:
            return ""
        except APIError as error:
            if status(error) != CONFLICT:
                raise
            return f"volume {SHARED_VOLUME} stays, as a container uses it"
    return f"removed volume {SHARED_VOLUME}"


def _pruned(engine: Engine, what: str, prune: Callable[[EngineApi], Inspection], interrupt: Interrupt) -> str:
    with engine.call(f"prune {what}", interrupt) as api:
        try:
            answer = answers.table(prune(api), "what was pruned")
        except APIError as error:
            if status(error) not in NO_SUCH_CALL:
                raise
            logger.debug("the engine {} does not prune {}", engine.url, what)
            return ""
    freed, gone = answer.get("SpaceReclaimed"), answer.get("ImagesDeleted") or answer.get("CachesDeleted")
    size = format_bytes(freed) if isinstance(freed, int) else "of unknown size"
    return f"pruned {what} ({size})" if gone else ""
