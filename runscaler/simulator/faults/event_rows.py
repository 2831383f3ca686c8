"""Faults of job messages that come early, late or untruly (docs/protocol.md § 10.4, F43–F46)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.faults.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import Scene
    from runscaler.simulator.things import ScaleSet


def intercept(scene: Scene, change: Callable[[ScaleSet, Json], list[Json] | None]) -> None:
    """From now on events pass through `change`; None from it lets one pass and is no hit."""
    fault = scene.fault
    wanted = fault.match.scale_set.lower()

    def tapped(scale_set: ScaleSet, event: Json) -> list[Json]:
        if fault.spent or (wanted and scale_set.name.lower() != wanted):
            return [event]
        result = change(scale_set, event)
        if result is None:
            return [event]
        fault.hits += 1
        scene.gate.machine.world.note("fault", fault=fault.row.name, told=event["messageType"])
        return result

    with scene.gate as machine:
        machine.mailbox.taps[fault.id] = tapped


def release(scene: Scene) -> None:
    with scene.gate as machine:
        machine.mailbox.taps.pop(scene.fault.id, None)


def completed_first(scene: Scene) -> None:
    """JobStarted is held back until its JobCompleted has gone before it."""
    held: dict[object, Json] = {}

    def change(_: ScaleSet, event: Json) -> list[Json] | None:
        if event["messageType"] == "JobStarted":
            held[event["jobId"]] = event
            return []
        if event["messageType"] == "JobCompleted" and event["jobId"] in held:
            return [event, held.pop(event["jobId"])]
        return None

    intercept(scene, change)


def started_late(scene: Scene) -> None:
    """JobStarted comes `seconds` (3600) late."""
    world, mailbox = scene.gate.machine.world, scene.gate.machine.mailbox
    seconds = scene.params.number("seconds", 3600.0)

    def change(scale_set: ScaleSet, event: Json) -> list[Json] | None:
        if event["messageType"] != "JobStarted":
            return None
        world.deadlines.after(seconds, lambda: mailbox.post(scale_set, event))
        return []

    intercept(scene, change)


def completed_untruly(scene: Scene, result: str) -> None:
    """Beside JobStarted comes a JobCompleted, while the job in truth goes on."""

    def change(_: ScaleSet, event: Json) -> list[Json] | None:
        if event["messageType"] != "JobStarted":
            return None
        return [event, {**event, "messageType": "JobCompleted", "result": result}]

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
