"""From the name in a configuration to what makes such backends.

The built-in ones stand in a table, because a frozen executable finds no entry points; others come
through the entry point group `runscaler.backends`, and a built-in name cannot be taken by one.
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
    """The names that `factory_for` knows and a configuration may use, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def factory_for(name: str) -> BackendFactory:
    """The kind of that name, imported when first asked for; `BackendError` names those there are."""
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
