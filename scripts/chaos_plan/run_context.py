"""Everything that a run has started, for those who act on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import RunnerState

if TYPE_CHECKING:
    from chaos_plan.daemon import Daemon
    from chaos_plan.engine_proxy import EngineProxy
    from chaos_plan.plan import RunSettings
    from chaos_plan.private_engine import PrivateEngine
    from chaos_plan.target import Target
    from chaos_plan.timeline import Timeline
    from runscaler.clock import Clock
    from runscaler.testing.simulator import SimulatedGitHub

REGISTERED = (RunnerState.REGISTERED, RunnerState.IDLE, RunnerState.BUSY, RunnerState.OFFLINE)
"""The states in which GitHub keeps a runner's registration."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """`proxy` exists where runners are containers, `engine` where the run has an engine of its own."""

    clock: Clock
    settings: RunSettings
    github: SimulatedGitHub
    daemon: Daemon
    target: Target
    timeline: Timeline
    proxy: EngineProxy | None = None
    engine: PrivateEngine | None = None

    def orphaned_registrations(self) -> frozenset[str]:
        """Names of runners that are registered at GitHub but have no resource."""
        registered = {runner.name for runner in self.github.state().runners_in(*REGISTERED)}
        return frozenset(registered - self.target.runners())

    def unregistered_runners(self) -> frozenset[str]:
        """Names of runners that have a resource but no registration at GitHub: they get no job any more."""
        there = self.target.runners()
        return there - {runner.name for runner in self.github.state().runners_in(*REGISTERED)}

    def pause(self, seconds: float) -> None:
        self.clock.pause(seconds, Interrupt())
