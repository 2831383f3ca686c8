"""Finds the factory of a backend by the name in a configuration.

Built-in backends are in a table, because a frozen executable has no entry points. Others are found in the
entry point group `runscaler.backends`; they cannot take a built-in name.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

from runscaler.errors import BackendError

if TYPE_CHECKING:
    from runscaler.backends.base import BackendFactory

GROUP = "runscaler.backends"

BUILT_IN = {
    "docker": "runscaler.backends.docker:factory",
    "process": "runscaler.backends.process:factory",
    "tart": "runscaler.backends.tart:factory",
}
FOR_TESTS = {"memory": "runscaler.backends.memory:factory"}


def backend_names() -> list[str]:
    """The names that a configuration may use, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def factory_for(name: str) -> BackendFactory:
    """The factory of that name, which is imported now. Raises `BackendError` for an unknown name, or if the
    import fails."""
    target = BUILT_IN.get(name) or FOR_TESTS.get(name)
    if target is not None:
        return _load(EntryPoint(name, target, GROUP))
    for point in entry_points(group=GROUP, name=name):
        return _load(point)
    raise BackendError(
        f"there is no backend {name!r}",
        fixes=(f"use one of: {', '.join(backend_names())}",),
    )


def _load(point: EntryPoint) -> BackendFactory:
    try:
        return cast("BackendFactory", getattr(import_module(point.module), point.attr))
    except (ImportError, AttributeError) as error:
        raise BackendError(
            f"backend {point.name} cannot be loaded from {point.value}: {error}",
            fixes=("reinstall runscaler, or the package that brings this backend",),
        ) from error
