"""Looks at and removes single containers, which may be gone, or go meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from runscaler.backends.docker import answers
from runscaler.backends.docker.errors import is_being_removed

if TYPE_CHECKING:
    from runscaler.backends.docker.api import EngineApi, Inspection


def is_gone(api: EngineApi, container: str) -> bool:
    try:
        api.inspect_container(container)
    except NotFound:
        return True
    return False


def state_of(api: EngineApi, container: str) -> Inspection | None:
    """What the engine says of its state; None if it is gone."""
    try:
        return answers.table(api.inspect_container(container)["State"], "the state of a container")
    except NotFound:
        return None


def discard(api: EngineApi, container: str) -> None:
    """Remove it by force, with its anonymous volumes. No error if it is gone, or somebody else is at it."""
    try:
        api.remove_container(container, v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        if not is_being_removed(error):
            raise
