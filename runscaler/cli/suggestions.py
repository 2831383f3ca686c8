"""What a shell offers for the values of flags and arguments. Trouble of any kind offers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.errors import RunscalerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click


def suggest_backends(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return _beginning(begun, backends())


def suggest_scenarios(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from runscaler.simulator.scenarios.catalogue import SCENARIOS

    return _beginning(begun, (one.name for one in SCENARIOS))


def suggest_scale_sets(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Those of the daemon that runs, else those in the configuration."""
    config, state_dir = ctx.params.get("config"), ctx.params.get("state_dir")
    names = _of_daemon(ctx, config, state_dir) or _of_configuration(config)
    return _beginning(begun, names)


def backends() -> list[str]:
    """The backends that can be used: those of this version, then those of other packages."""
    from importlib.metadata import entry_points

    from runscaler.config.features import REFUSED_BACKENDS
    from runscaler.config.model import BACKENDS
    from runscaler.config.rules import ENTRY_POINTS

    own = [name for name in BACKENDS if name not in REFUSED_BACKENDS]
    return own + sorted({one.name for one in entry_points(group=ENTRY_POINTS)} - set(own))


def _of_daemon(ctx: click.Context, config: str | None, state_dir: str | None) -> list[str]:
    from runscaler.cli.admin import admin_socket, scale_sets

    try:
        return [str(one.get("name")) for one in scale_sets(admin_socket(ctx, config, state_dir))]
    except RunscalerError:
        return []


def _of_configuration(config: str | None) -> list[str]:
    import os
    from pathlib import Path

    from runscaler.config.problems import Problems
    from runscaler.config.schema import SETS
    from runscaler.config.sources import Locations, find_document, read_document

    where, found = Locations.of(os.environ), Problems()
    document = read_document(Path(config), where, found) if config else find_document(where, found)
    data = document.data if document is not None else {}
    sets = data.get(SETS)
    tables = [data, *(sets if isinstance(sets, list) else [])]
    return [str(one["name"]) for one in tables if isinstance(one, dict) and "name" in one]


def _beginning(begun: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(begun)]
