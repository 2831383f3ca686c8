"""How a parent reports the crash of a child: one log line, the full error at debug level, and an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler import events
from runscaler.metrics.own import ACTOR_RESTARTS

if TYPE_CHECKING:
    from loguru import Logger

    from runscaler.actors.context import ActorContext
    from runscaler.actors.messages import ChildCrashed
    from runscaler.actors.place import Place
    from runscaler.metrics.words import ActorKind


def report_crash(
    context: ActorContext,
    log: Logger,
    crash: ChildCrashed,
    *,
    name: str,
    place: Place,
    restart_in: float | None,
    gave_up: bool,
    kind: ActorKind,
) -> str:
    """Log the crash and emit `ActorRestarted` for the child `name`. Returns the reason as one line.

    `restart_in` is in seconds, None: it stays down. `gave_up`: it crashed too often for a quick restart.
    `place` is `SHARED` for an actor that all scale sets share.
    """
    then = "giving up" if restart_in is None else f"restarting in {restart_in:g} s"
    if gave_up and restart_in is not None:
        then = f"too many crashes: {then}"
    reason = f"{first_line(crash.error)} while handling {crash.handling}"
    log.error("{} crashed: {}; {}", crash.name, reason, then)
    log.debug("{} crashed: {}", crash.name, crash.error)
    context.metrics.count(ACTOR_RESTARTS, kind)
    context.emit(
        events.ActorRestarted(at=context.clock.wall(), **place, name=name, reason=reason, gave_up=gave_up)
    )
    return reason


def first_line(text: str) -> str:
    return text.split("\n", 1)[0]
