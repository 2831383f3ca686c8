"""All that a run consists of, for those who act in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import RunnerState

if TYPE_CHECKING:
    from chaos_plan.daemon import Daemon
    from chaos_plan.door import Door
    from chaos_plan.ground import Ground
    from chaos_plan.plan import Setting
    from chaos_plan.private_engine import PrivateEngine
    from chaos_plan.timeline import Timeline
    from runscaler.clock import Clock
    from runscaler.testing.simulator import SimulatedGitHub

LIVING = (RunnerState.REGISTERED, RunnerState.IDLE, RunnerState.BUSY, RunnerState.OFFLINE)
"""States of registrations that GitHub keeps."""


@dataclass(frozen=True, slots=True)
class Scene:
    """`door` is there where runners are containers, `engine` where they have one to themselves."""

    clock: Clock
    setting: Setting
    github: SimulatedGitHub
    daemon: Daemon
    ground: Ground
    timeline: Timeline
    door: Door | None = None
    engine: PrivateEngine | None = None

    def homeless(self) -> frozenset[str]:
        """Registrations at GitHub whose runners are not there."""
        registered = {runner.name for runner in self.github.state().runners_in(*LIVING)}
        return frozenset(registered - self.ground.runners())

    def pause(self, seconds: float) -> None:
        self.clock.pause(seconds, Interrupt())
