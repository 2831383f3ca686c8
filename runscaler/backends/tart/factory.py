from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.tart.backend import TartBackend

if TYPE_CHECKING:
    from runscaler.backends.base import BackendContext
    from runscaler.config.model import ScaleSetSettings


class TartBackendFactory:
    """All scale sets that use Tart share one backend, as there is one host, whose VM slots they share."""

    def location(self, settings: ScaleSetSettings) -> str:
        return "tart"

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> TartBackend:
        backend = TartBackend(context)
        backend.add_home_of(settings)
        return backend
