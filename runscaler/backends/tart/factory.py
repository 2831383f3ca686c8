"""How the registry makes Tart backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.tart.backend import TartBackend

if TYPE_CHECKING:
    from runscaler.backends.base import BackendContext
    from runscaler.config.model import ScaleSetSettings


class TartBackendFactory:
    """All sets that use Tart share one backend: there is one host, whose places they share."""

    def location(self, settings: ScaleSetSettings) -> str:
        return "tart"

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> TartBackend:
        backend = TartBackend(context)
        backend.know(settings)
        return backend
