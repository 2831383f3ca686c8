"""What this host has that a configuration can use: engines that answer, tart, a token in the environment."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.docker.docker_context import all_engines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN_VARIABLES = ("RUNNER_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
"""Environment variables that are known to hold a token, the most likely first."""
ANSWER_SECONDS = 2.0
DEFAULT_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Discovery:
    """`engines` are the URLs of Docker engines that answer, best first; `token` a reference, "" for none."""

    engines: tuple[str, ...] = ()
    has_tart: bool = False
    token: str = ""


def discover(environ: Mapping[str, str]) -> Discovery:
    """Takes up to 2 s for each engine that hangs."""
    answering = [url for url in dict.fromkeys(engine_urls(environ)) if _answers(url)]
    variable = next((name for name in TOKEN_VARIABLES if environ.get(name)), "")
    return Discovery(
        engines=tuple(answering),
        has_tart=shutil.which("tart", path=environ.get("PATH")) is not None,
        token=f"env:{variable}" if variable else "",
    )


def engine_urls(environ: Mapping[str, str]) -> Iterator[str]:
    """Where a Docker engine of this host or user usually listens; may name one twice."""
    if environ.get("DOCKER_HOST", "").startswith("unix://"):
        yield environ["DOCKER_HOST"]
    yield f"unix://{DEFAULT_SOCKET}"
    runtime, home = environ.get("XDG_RUNTIME_DIR", ""), environ.get("HOME", "")
    if runtime:
        yield f"unix://{runtime}/docker.sock"
    if home:
        contexts = all_engines(Path(home) / ".docker")
        yield from (url for url in contexts if url.startswith("unix://"))
        yield f"unix://{home}/.docker/run/docker.sock"
        yield f"unix://{home}/.colima/default/docker.sock"
    if runtime:
        yield f"unix://{runtime}/podman/podman.sock"
    yield "unix:///run/podman/podman.sock"


def _answers(url: str) -> bool:
    """Does an engine answer a ping at this Unix socket?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(url.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.")
        except OSError:
            return False
