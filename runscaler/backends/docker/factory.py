"""Makes Docker backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.backend import DockerBackend
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.survey import DockerSurvey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runscaler.backends.base import BackendContext
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings


class DockerBackendFactory:
    """Scale sets with the same engine and certificates share one backend."""

    def location(self, settings: ScaleSetSettings) -> str:
        address = EngineAddress.of(settings.docker)
        certificates = f" with {address.tls.cert or address.tls.ca}" if address.tls else ""
        return f"docker {address}{certificates}"

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> DockerBackend:
        return DockerBackend(Engine(EngineAddress.of(settings.docker)), context)

    def survey(self, settings: ScaleSetSettings, state_dirs: Sequence[Path], clock: Clock) -> DockerSurvey:
        return DockerSurvey(Engine(EngineAddress.of(settings.docker)), clock)


factory = DockerBackendFactory()
