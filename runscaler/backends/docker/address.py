"""Which engine a scale set means, and with which certificates."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult, urlsplit

from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.model import DockerSettings

TCP_PORT, TLS_PORT = 2375, 2376


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of an engine behind TLS; an empty `ca` trusts what the system trusts."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """An engine's URL (unix://, tcp://, ssh://), and its certificates where it speaks TLS."""

    url: str
    tls: Certificates | None = None

    @classmethod
    def of(cls, settings: DockerSettings, environment: Mapping[str, str] | None = None) -> Self:
        """The engine that `endpoint` names; certificates from the keys, else as the docker command has them.

        Docker's own variables (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH) count only together with DOCKER_HOST.
        """
        tls = _configured_tls(settings)
        if tls is None and not settings.host and settings.docker_host:
            tls = _environment_tls(os.environ if environment is None else environment)
        return cls(settings.endpoint, tls)

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def socket_path(self) -> str | None:
        """The engine's Unix socket on this host; None for a remote one."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Of a tcp:// URL, with Docker's customary ports; `BackendError` when it names no host."""
        try:
            host, port = self.parts.hostname, self.parts.port
        except ValueError as error:
            raise _unusable(self.url, str(error)) from error
        if not host:
            raise _unusable(self.url, "it names no host")
        return host, port or (TLS_PORT if self.tls else TCP_PORT)

    def __str__(self) -> str:
        return self.url


def _configured_tls(settings: DockerSettings) -> Certificates | None:
    if not (settings.tls_ca or settings.tls_cert or settings.tls_key):
        return None
    return Certificates(settings.tls_ca, settings.tls_cert, settings.tls_key)


def _environment_tls(environment: Mapping[str, str]) -> Certificates | None:
    """What the docker command makes of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."""
    if not environment.get("DOCKER_TLS_VERIFY"):
        return None
    folder = Path(environment.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    return Certificates(*(str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")))


def _unusable(url: str, why: str) -> BackendError:
    return BackendError(
        f"the engine's address {url} is unusable: {why}",
        fixes=("write it like unix:///var/run/docker.sock, tcp://host:2376 or ssh://user@host",),
    )
