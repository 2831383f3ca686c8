"""Which value of a key is used: flags over the file, a scale set over the top level, DOCKER_HOST last.

See docs/behaviour.md § 4.2. Tokens have rules of their own, in `credentials`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.base import Scope
from runscaler.config.problems import ConfigValue, Origin, Problems, invalid
from runscaler.config.schema import global_keys, key_spec_of
from runscaler.config.values import AN_ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.layers import Layer

_SOCKET, _HOST, _HOSTS = (("docker", name) for name in ("socket", "host", "hosts"))
_OVERRIDES = {_SOCKET: (_HOST, _HOSTS), _HOST: (_HOSTS,), _HOSTS: (_HOST,)}
"""Keys that name the Docker engine: one in a higher layer also overrides these others in lower layers."""
_TLS_FILES = {"tls-ca": "ca.pem", "tls-cert": "cert.pem", "tls-key": "key.pem"}


def override(below: Layer, above: Layer) -> Layer:
    """All keys of `above`, and the keys of `below` that `above` does not have."""
    overridden = {other for path, others in _OVERRIDES.items() if path in above for other in others}
    return {path: value for path, value in below.items() if path not in overridden} | above


def inherit(top: Layer, own: Layer) -> Layer:
    """The keys of a scale set: its own, and those of the top level except the identity keys."""
    inherited = {path: value for path, value in scale_set_part(top).items() if not _is_identity(path)}
    return override(inherited, own)


def scale_set_part(top: Layer) -> Layer:
    """The keys of the top level that are about scale sets."""
    return {path: value for path, value in top.items() if path not in global_keys()}


def global_part(top: Layer) -> Layer:
    """The keys of the top level that are about the whole process."""
    return {path: value for path, value in top.items() if path in global_keys()}


def with_docker_host(layer: Layer, environ: Mapping[str, str], problems: Problems) -> Layer:
    """Add the engine in DOCKER_HOST if no key names one, and its certificates with DOCKER_TLS_VERIFY."""
    url = environ.get("DOCKER_HOST", "")
    if not url or any(path in layer for path in _OVERRIDES) or not _uses_docker(layer):
        return layer
    origin = Origin("DOCKER_HOST")
    if not url.startswith(("unix://", "tcp://", "ssh://")):
        problems.error(origin, invalid(url, AN_ENGINE))
        return layer
    return {("docker", "docker-host"): ConfigValue(url, origin), **_certificates(environ), **layer}


def _is_identity(path: tuple[str, ...]) -> bool:
    spec = key_spec_of(path)
    return spec is not None and spec.key.scope is Scope.IDENTITY


def _uses_docker(layer: Layer) -> bool:
    return ("backend",) not in layer or layer[("backend",)].value == "docker"


def _certificates(environ: Mapping[str, str]) -> Layer:
    if not environ.get("DOCKER_TLS_VERIFY"):
        return {}
    folder = Path(environ.get("DOCKER_CERT_PATH") or Path(environ.get("HOME", "~")).expanduser() / ".docker")
    origin = Origin("DOCKER_CERT_PATH")
    return {("docker", key): ConfigValue(str(folder / file), origin) for key, file in _TLS_FILES.items()}
