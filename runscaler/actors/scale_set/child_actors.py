"""The actors that a scale set owns: its listener, and one for each slot that was ever used.

Makes them, tells them, interrupts their calls, and restarts them when they crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.actors import messages as m
from runscaler.actors.crash_reports import first_line, report_crash
from runscaler.actors.listener import ListenerActor
from runscaler.actors.measuring import kind_of_actor
from runscaler.actors.place import place_of
from runscaler.actors.runner import RunnerActor
from runscaler.interrupt import Interrupt
from runscaler.names import SlotNumber

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.children import Children
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.backends.base import Backend
    from runscaler.github.base import ScaleSetService

LISTENER = "listener"
BLOCKED_SECONDS = 60.0
"""How long a child that crashes again and again stays out of use (docs/architecture.md § Supervision)."""


@dataclass(frozen=True, slots=True)
class Child:
    """Which child crashed or is back: the actor of `slot`, or the listener (None). `gave_up` says why a
    listener is out of use for a while; empty where it comes back by itself."""

    slot: SlotNumber | None
    gave_up: str = ""


class ChildActors:
    def __init__(
        self, context: ScaleSetContext, children: Children, service: ScaleSetService, backend: Backend
    ) -> None:
        self._context, self._children = context, children
        self.service, self._backend = service, backend

    # -- changed settings ---------------------------------------------------------------------------

    def update_listener(self) -> None:
        """It uses the settings in force and this service from now on."""
        self.interrupt_listener(m.UseSettings(self._context.settings, self.service))

    def update_runners(self) -> None:
        """The same for the actors of the slots, for their next calls."""
        order = m.UseSettings(self._context.runner_settings, self.service)
        for slot in self.slots():
            self._children.tell(_name(slot), order)

    # -- the listener ---------------------------------------------------------------------------------

    def start_listener(self, takes_jobs: Callable[[], bool], *, retired: bool) -> None:
        """`takes_jobs` is asked whenever one is made, also after a crash: does it open a session?"""
        interrupt = Interrupt()

        def make() -> m.Ref:
            return self._context.actors.launch(
                ListenerActor,
                f"listener {self._context.settings.name}",
                self._context.ref,
                self._context.actors,
                self._context.settings,
                self.service,
                interrupt,
                self._context.limits.max_runners,
                takes_jobs(),
                retired,
            )

        self._report(self._children.start(LISTENER, make, interrupt))

    def tell_listener(self, message: m.ListenerMessage) -> bool:
        """False while it is down."""
        return self._children.tell(LISTENER, message)

    def interrupt_listener(self, message: m.ListenerMessage) -> bool:
        """Break off its call in flight, and tell it why."""
        self._children.interrupt(LISTENER)
        return self.tell_listener(message)

    def has_listener(self) -> bool:
        return self._children.ref(LISTENER) is not None

    def runners_up(self) -> int:
        """Actors of slots that are up."""
        return self._children.up() - self.has_listener()

    def forget_listener(self) -> None:
        self._children.forget(LISTENER)

    # -- the slots' actors ----------------------------------------------------------------------------

    def tell_runner(self, slot: SlotNumber, message: m.RunnerMessage) -> bool:
        """Tell the slot's actor, made when the slot is first used; False while it is down."""
        self._ensure_runner(slot)
        return self._children.tell(_name(slot), message)

    def interrupt_runner(self, slot: SlotNumber, message: m.RunnerMessage) -> bool:
        """Break off its call in flight, and tell it why."""
        self._children.interrupt(_name(slot))
        return self.tell_runner(slot, message)

    def slots(self) -> tuple[SlotNumber, ...]:
        """The slots that have an actor, up or down."""
        return tuple(slot for name in self._children.names() if (slot := _slot_of(name)) is not None)

    def has_runners(self) -> bool:
        """Is any slot's actor left? Asked after every end of one, so it must not look at each."""
        return len(self._children) > self._children.has(LISTENER)

    def forget_runner(self, slot: SlotNumber) -> None:
        self._children.forget(_name(slot))

    def _ensure_runner(self, slot: SlotNumber) -> None:
        name = _name(slot)
        if self._children.has(name):
            return
        interrupt = Interrupt()

        def make() -> m.Ref:
            return self._context.actors.launch(
                RunnerActor,
                f"{name} {self._context.settings.name}",
                self._context.ref,
                self._context.actors,
                self._context.runner_settings,
                slot,
                self.service,
                self._backend,
                interrupt,
            )

        self._report(self._children.start(name, make, interrupt))

    # -- crashes --------------------------------------------------------------------------------------

    def _report(self, crash: m.ChildCrashed | None) -> None:
        """A child that could not be made counts as one that crashed."""
        if crash is not None:
            self._context.send(self._context.ref, crash)

    def crashed(self, crash: m.ChildCrashed) -> Child | None:
        """Restart it after its backoff; one without tries left comes back after a minute, with new ones.
        None for a report about a child that is not known (any more)."""
        verdict = self._children.record_crash(crash)
        if verdict is None:
            return None
        gave_up = verdict.delay is None
        delay = BLOCKED_SECONDS if verdict.delay is None else verdict.delay
        report_crash(
            self._context.actors,
            self._context.log,
            crash,
            name=crash.name,
            place=place_of(self._context.settings),
            restart_in=delay,
            gave_up=gave_up,
            kind=kind_of_actor(verdict.name),
        )
        if gave_up:
            self._children.forget_crashes(verdict.name)
        self._context.after(delay, m.RestartChild(verdict.name))
        reason = f"its listener crashes again and again: {first_line(crash.error)}" if gave_up else ""
        return Child(_slot_of(verdict.name), reason)

    def restart(self, name: str) -> Child | None:
        """None where it could not be made again."""
        self._report(self._children.restart(name))
        return None if self._children.ref(name) is None else Child(_slot_of(name))


def _name(slot: SlotNumber) -> str:
    return f"runner {slot}"


def _slot_of(name: str) -> SlotNumber | None:
    return None if name == LISTENER else SlotNumber(int(name.removeprefix("runner ")))
