"""What every event about a runner says."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings


class RunnerFacts(TypedDict):
    at: float
    scale_set: str
    slot: int
    runner: str


def runner_facts(clock: Clock, settings: ScaleSetSettings, slot: int, runner: str) -> RunnerFacts:
    return {"at": clock.wall(), "scale_set": settings.name, "slot": slot, "runner": runner}
