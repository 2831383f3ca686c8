"""Looks at and removes single containers, which may be gone, or go meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from runscaler.backends.docker import answers
from runscaler.backends.docker.errors import is_being_removed
from runscaler.backends.docker.labels import HELPER, labels_of
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from runscaler.backends.docker.api import EngineApi, InspectedContainer, Inspection


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


def helper_called(api: EngineApi, name: str) -> InspectedContainer | None:
    """The helper container of that name, whichever daemon made it; None if there is none. Raises
    `BackendError` if the name belongs to what is no helper: that stays, and one with the name cannot be made.
    """
    try:
        found = api.inspect_container(name)
    except NotFound:
        return None
    if HELPER not in labels_of(answers.table(found.get("Config"), "the configuration of a container")):
        raise BackendError(
            f"a container called {name} is there that is not of this program",
            fixes=(f"give it another name: `docker rename {name} NAME`",),
        )
    return found


def discard(api: EngineApi, container: str) -> None:
    """Remove it by force, with its anonymous volumes. No error if it is gone, or somebody else is at it."""
    try:
        api.remove_container(container, v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        if not is_being_removed(error):
            raise
