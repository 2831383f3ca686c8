"""The engines and hosts to look at: those of the configuration, else those that are there."""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING

from runscaler.backends.leftovers import SurveyingFactory
from runscaler.backends.registry import factory_for
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.errors import BackendError
from runscaler.ops.discovery import ANSWER_SECONDS, engine_urls
from runscaler.ops.doctor.findings import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runscaler.backends.leftovers import Survey
    from runscaler.clock import Clock
    from runscaler.config.model import Config

UNIX = "unix://"


def surveys(
    config: Config | None, state_dirs: Sequence[Path], clock: Clock, environ: Mapping[str, str] = os.environ
) -> tuple[list[Survey], list[Problem]]:
    """One for each engine or host, and the backends that cannot be loaded. Processes are looked at in any
    case."""
    settings = [_process(), *(config.scale_sets if config is not None else _at_hand(environ))]
    found: dict[str, Survey] = {}
    problems: dict[str, Problem] = {}
    for one in settings:
        try:
            factory = factory_for(one.backend)
        except BackendError as error:
            problems[one.backend] = Problem(str(error), error.fixes)
            continue
        location = factory.location(one)
        if one.backend == "tart":  # each scale set may have a home of its own
            location = f"{location} {one.tart.home}"
        if location not in found and isinstance(factory, SurveyingFactory):
            found[location] = factory.survey(one, state_dirs, clock)
    return list(found.values()), list(problems.values())


def _at_hand(environ: Mapping[str, str]) -> list[ScaleSetSettings]:
    """Settings for what this host has. An engine that is not there is no error."""
    host = environ.get("DOCKER_HOST", "")
    remote = [host] if host and not host.startswith(UNIX) else []
    sockets = {os.path.realpath(url.removeprefix(UNIX)): None for url in engine_urls(environ)}
    urls = [*remote, *(f"{UNIX}{path}" for path in sockets if _may_answer(path))]
    tart = shutil.which("tart", path=environ.get("PATH")) is not None
    return [*map(_docker, urls), *([_settings("tart")] if tart else [])]


def _may_answer(path: str) -> bool:
    """Does a program listen there? One that does not answer, or not to us, is to be reported."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(path)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


def _process() -> ScaleSetSettings:
    return _settings("process")


def _docker(url: str) -> ScaleSetSettings:
    return ScaleSetSettings(url="", name="doctor", docker=DockerSettings(host=url))


def _settings(backend: str) -> ScaleSetSettings:
    return ScaleSetSettings(url="", name="doctor", backend=backend)
