"""The address of an engine, and the certificates for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult, urlsplit

from runscaler.config.problems import mask_password
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.model import DockerSettings

TCP_PORT, TLS_PORT = 2375, 2376


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files for an engine behind TLS. An empty `ca` means the CAs of the system."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """The URL of an engine (unix://, tcp://, ssh://), with certificates if it uses TLS."""

    url: str
    tls: Certificates | None = None

    @classmethod
    def of(cls, settings: DockerSettings, environment: Mapping[str, str] | None = None) -> Self:
        """The engine of these settings. Certificates are those of the settings; if the engine comes from
        DOCKER_HOST, also those of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."""
        tls = _configured_tls(settings)
        if tls is None and not settings.host and settings.docker_host:
            tls = _environment_tls(os.environ if environment is None else environment)
        return cls(settings.endpoint, tls)

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def socket_path(self) -> str | None:
        """The path of the engine's Unix socket; None for an engine that is reached otherwise."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Of a tcp:// URL. The default port is 2375, with TLS 2376. Raises `BackendError` without a host."""
        try:
            host, port = self.parts.hostname, self.parts.port
        except ValueError as error:
            why = "its port is not a number" if "Port" in str(error) else "it is not a URL"
            raise _unusable(str(self), why) from error
        if not host:
            raise _unusable(str(self), "it names no host")
        return host, port or (TLS_PORT if self.tls else TCP_PORT)

    def __str__(self) -> str:
        """For messages: without the password, if there is one."""
        return mask_password(self.url)


def _configured_tls(settings: DockerSettings) -> Certificates | None:
    if not (settings.tls_ca or settings.tls_cert or settings.tls_key):
        return None
    return Certificates(settings.tls_ca, settings.tls_cert, settings.tls_key)


def _environment_tls(environment: Mapping[str, str]) -> Certificates | None:
    """What DOCKER_TLS_VERIFY and DOCKER_CERT_PATH mean to the docker command."""
    if not environment.get("DOCKER_TLS_VERIFY"):
        return None
    folder = Path(environment.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    return Certificates(*(str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")))


def _unusable(url: str, why: str) -> BackendError:
    return BackendError(
        f"the engine's address {url} is unusable: {why}",
        fixes=("write it like unix:///var/run/docker.sock, tcp://host:2376 or ssh://user@host",),
    )
