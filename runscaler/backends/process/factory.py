"""Makes process backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.process.backend import ProcessBackend
from runscaler.backends.process.survey import ProcessSurvey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runscaler.backends.base import BackendContext
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings


class ProcessBackendFactory:
    """All scale sets that use processes share one backend, as there is one host."""

    def location(self, settings: ScaleSetSettings) -> str:
        return "process"

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> ProcessBackend:
        return ProcessBackend(context)

    def survey(self, settings: ScaleSetSettings, state_dirs: Sequence[Path], clock: Clock) -> ProcessSurvey:
        return ProcessSurvey(state_dirs, clock)


factory = ProcessBackendFactory()
