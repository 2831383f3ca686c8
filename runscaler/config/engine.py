"""DOCKER_HOST and its companions: read once, at load, and only where the file names no engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.problems import Given, Problems, Where, shown
from runscaler.config.values import AN_ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.layers import Layer

_NAMED_BY = (("docker", "socket"), ("docker", "host"), ("docker", "hosts"))
_TLS = ("tls-ca", "tls-cert", "tls-key")
_FILES = ("ca.pem", "cert.pem", "key.pem")


def with_docker_host(layer: Layer, environ: Mapping[str, str], problems: Problems) -> Layer:
    """The layer with the engine that DOCKER_HOST names, and with DOCKER_TLS_VERIFY its certificates."""
    url = environ.get("DOCKER_HOST", "")
    if not url or any(path in layer for path in _NAMED_BY) or not _uses_docker(layer):
        return layer
    where = Where("DOCKER_HOST")
    if not url.startswith(("unix://", "tcp://", "ssh://")):
        problems.error(where, f"{shown(url)} is not accepted, only {AN_ENGINE}")
        return layer
    return {("docker", "docker-host"): Given(url, where), **_certificates(environ), **layer}


def _uses_docker(layer: Layer) -> bool:
    return ("backend",) not in layer or layer[("backend",)].value == "docker"


def _certificates(environ: Mapping[str, str]) -> Layer:
    if not environ.get("DOCKER_TLS_VERIFY"):
        return {}
    folder = Path(environ.get("DOCKER_CERT_PATH") or Path(environ.get("HOME", "~")).expanduser() / ".docker")
    where = Where("DOCKER_CERT_PATH")
    return {("docker", key): Given(str(folder / file), where) for key, file in zip(_TLS, _FILES, strict=True)}
