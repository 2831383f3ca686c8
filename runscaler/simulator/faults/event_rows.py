"""Faults of job messages that come early, late or untruly (docs/protocol.md § 10.4, F43–F46)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from runscaler.github.messages import JobCompleted, JobStarted
from runscaler.simulator.faults.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.github.messages import JobEvent
    from runscaler.simulator.faults.row import Scene
    from runscaler.simulator.things import ScaleSet


def intercept(scene: Scene, change: Callable[[ScaleSet, JobEvent], list[JobEvent] | None]) -> None:
    """From now on events pass through `change`; None from it lets one pass and is no hit."""
    fault = scene.fault
    wanted = fault.match.scale_set.lower()

    def tapped(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent]:
        if fault.spent or (wanted and scale_set.name.lower() != wanted):
            return [event]
        result = change(scale_set, event)
        if result is None:
            return [event]
        fault.hits += 1
        scene.gate.machine.world.note("fault", fault=fault.row.name, told=type(event).__name__)
        return result

    with scene.gate as machine:
        machine.mailbox.taps[fault.id] = tapped


def release(scene: Scene) -> None:
    with scene.gate as machine:
        machine.mailbox.taps.pop(scene.fault.id, None)


def completed_first(scene: Scene) -> None:
    """JobStarted is held back until its JobCompleted has gone before it."""
    held: dict[str, JobEvent] = {}

    def change(_: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if isinstance(event, JobStarted):
            held[event.job_id] = event
            return []
        if isinstance(event, JobCompleted) and event.job_id in held:
            return [event, held.pop(event.job_id)]
        return None

    intercept(scene, change)


def started_late(scene: Scene) -> None:
    """JobStarted comes `seconds` (3600) late."""
    world, mailbox = scene.gate.machine.world, scene.gate.machine.mailbox
    seconds = scene.params.number("seconds", 3600.0)

    def change(scale_set: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if not isinstance(event, JobStarted):
            return None
        world.deadlines.after(seconds, lambda: mailbox.post(scale_set, event))
        return []

    intercept(scene, change)


def completed_untruly(scene: Scene, result: str) -> None:
    """Beside JobStarted comes a JobCompleted, while the job in truth goes on."""

    def change(_: ScaleSet, event: JobEvent) -> list[JobEvent] | None:
        if not isinstance(event, JobStarted):
            return None
        return [event, JobCompleted(**asdict(event), result=result)]

    intercept(scene, change)


ROWS: tuple[Row, ...] = (
    Row(
        "F43",
        "JobCompleted before JobStarted",
        count=2,
        begin=completed_first,
        end=release,
        strikes_later=True,
    ),
    Row("F44", "JobStarted comes `seconds` late", begin=started_late, end=release, strikes_later=True),
    Row(
        "F45",
        "JobStarted and JobCompleted canceled at once, the runner lives on",
        begin=lambda scene: completed_untruly(scene, "canceled"),
        end=release,
        strikes_later=True,
    ),
    Row(
        "F46",
        "JobCompleted while the job truly runs",
        begin=lambda scene: completed_untruly(scene, "succeeded"),
        end=release,
        strikes_later=True,
    ),
)
