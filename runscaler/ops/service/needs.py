"""Reads from a configuration what its service needs."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from runscaler.config.load import load_config
from runscaler.errors import ConfigError
from runscaler.ops.service.health import health_address
from runscaler.ops.service.spec import Needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runscaler.config.model import Config
    from runscaler.config.sources import Locations

TOKEN_VARIABLE = "RUNNER_TOKEN"  # noqa: S105
PLACEHOLDER = "placeholder"
"""In place of the token that only the service will have."""
LOCAL_ENGINES = frozenset({"unix:///var/run/docker.sock", "unix:///run/docker.sock"})
"""Where docker.service listens."""

_REFERENCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def read_needs(path: Path, environ: Mapping[str, str], locations: Locations) -> Needs:
    """What a configuration needs of its service, whose environment is `environ`.

    A variable that is not set there is no error here: see `missing_variables`. Raises `ConfigError`.
    """
    named = tuple(dict.fromkeys(_referenced(path)))

    def load(known: Mapping[str, str]) -> Config:
        return load_config(path, environ=known, locations=locations, unset_is_error=False)

    try:
        config, variables = load(environ), named
    except ConfigError as error:
        if environ.get(TOKEN_VARIABLE) or not _misses_a_token(error):
            raise
        config = load({**environ, TOKEN_VARIABLE: PLACEHOLDER})
        variables = (*named, TOKEN_VARIABLE)
    return _needs(config, variables)


def missing_variables(needs: Needs, environ: Mapping[str, str]) -> list[str]:
    """The variables that the configuration reads and its service does not have."""
    return [name for name in needs.variables if not environ.get(name)]


def _needs(config: Config, variables: tuple[str, ...]) -> Needs:
    sets = config.scale_sets
    docker = [one.docker for one in sets if one.backend == "docker"]
    engines = tuple(dict.fromkeys(url for one in docker for url in one.hosts or (one.endpoint,)))
    return Needs(
        drain_timeout=config.drain_timeout,
        local_docker=not LOCAL_ENGINES.isdisjoint(engines),
        process=any(one.backend == "process" for one in sets),
        tart=any(one.backend == "tart" for one in sets),
        state_dir=config.state_dir,
        health=health_address(config.health_host, config.health_port) if config.health_port else "",
        engines=engines,
        variables=variables,
    )


def _misses_a_token(error: ConfigError) -> bool:
    return any(f"{TOKEN_VARIABLE} is not set" in finding.message for finding in error.findings)


def _referenced(path: Path) -> Iterator[str]:
    """Names of the variables in `env:NAME` values; none if it cannot be read: `load_config` says so."""
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return
    for text in _texts(document):
        if found := _REFERENCE.fullmatch(text):
            yield found[1]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
