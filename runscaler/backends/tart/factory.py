from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.tart.backend import SLOTS, SLOTS_VARIABLE, TartBackend
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.survey import TartSurvey
from runscaler.backends.tart.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.backends.base import BackendContext
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings


class TartBackendFactory:
    """All scale sets that use Tart share one backend, as there is one host, whose VM slots they share."""

    def location(self, settings: ScaleSetSettings) -> str:
        return "tart"

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> TartBackend:
        backend = TartBackend(context)
        backend.add_home_of(settings)
        return backend

    def survey(self, settings: ScaleSetSettings, state_dirs: Sequence[Path], clock: Clock) -> TartSurvey:
        homes = [TartHome.of(settings, os.environ)]
        slots = Path(os.environ.get(SLOTS_VARIABLE) or SLOTS)
        return TartSurvey(homes, state_dirs, clock, timings=Timings(), slots=slots)
