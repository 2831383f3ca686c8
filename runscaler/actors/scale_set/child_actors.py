"""The actors that a scale set owns: its listener, and one for each slot that was ever used.

Makes them, tells and cuts them, restarts them when they crash. A part of the scale set actor, used
on its thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.crash_reports import first_line, report_crash
from runscaler.actors.listener import ListenerActor
from runscaler.actors.runner import RunnerActor
from runscaler.interrupt import Interrupt
from runscaler.names import SlotNumber

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.children import Children
    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Backend
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService

LISTENER = "listener"
BLOCKED_SECONDS = 60.0
"""Who crashes again and again is out of use this long (docs/architecture.md § Supervision)."""


class Office(Protocol):
    """What the crew needs of the actor it is a part of."""

    @property
    def actor_ref(self) -> m.Ref: ...
    @property
    def children(self) -> Children: ...
    def after(self, seconds: float, message: m.ScaleSetMessage, /) -> None: ...
    def runner_down(self, slot: SlotNumber, /) -> None: ...
    def runner_back(self, slot: SlotNumber, /) -> None: ...
    def listener_failed(self, reason: str, /) -> None: ...


class Crew:
    def __init__(
        self,
        office: Office,
        context: ActorContext,
        settings: ScaleSetSettings,
        service: ScaleSetService,
        backend: Backend,
    ) -> None:
        self._office, self._context, self._settings = office, context, settings
        self._service, self._backend = service, backend
        self._log = logger.bind(scale_set=settings.name)

    # -- the listener ---------------------------------------------------------------------------------

    def start_listener(self, capacity: Callable[[], int]) -> None:
        interrupt = Interrupt()

        def make() -> m.Ref:
            return self._context.launch(
                ListenerActor,
                f"listener {self._settings.name}",
                self._office.actor_ref,
                self._context,
                self._settings,
                self._service,
                interrupt,
                capacity(),
            )

        self._judge(self._office.children.start(LISTENER, make, interrupt))

    def tell_listener(self, message: m.ListenerMessage) -> bool:
        """False while it is down."""
        return self._office.children.tell(LISTENER, message)

    def cut_listener(self, message: m.ListenerMessage) -> bool:
        """Break off its call in flight, with the message that goes with that."""
        self._office.children.interrupt(LISTENER)
        return self.tell_listener(message)

    def has_listener(self) -> bool:
        """Is it up?"""
        return self._office.children.ref(LISTENER) is not None

    def forget_listener(self) -> None:
        self._office.children.forget(LISTENER)

    # -- the slots' actors ----------------------------------------------------------------------------

    def tell_runner(self, slot: SlotNumber, message: m.RunnerMessage) -> bool:
        """Tell the slot's actor, made when the slot is first used; False while it is down."""
        self._ensure(slot)
        return self._office.children.tell(_name(slot), message)

    def cut_runner(self, slot: SlotNumber, message: m.RunnerMessage) -> bool:
        self._office.children.interrupt(_name(slot))
        return self.tell_runner(slot, message)

    def slots(self) -> tuple[SlotNumber, ...]:
        """Those that have an actor, up or down."""
        names = self._office.children.names()
        return tuple(slot for name in names if (slot := _slot_of(name)) is not None)

    def has_runners(self) -> bool:
        """Is any slot's actor left? Asked after every end of one, so it must not look at each."""
        children = self._office.children
        return len(children) > children.has(LISTENER)

    def forget_runner(self, slot: SlotNumber) -> None:
        self._office.children.forget(_name(slot))

    def _ensure(self, slot: SlotNumber) -> None:
        name = _name(slot)
        if self._office.children.has(name):
            return
        interrupt = Interrupt()

        def make() -> m.Ref:
            return self._context.launch(
                RunnerActor,
                f"{name} {self._settings.name}",
                self._office.actor_ref,
                self._context,
                self._settings,
                slot,
                self._service,
                self._backend,
                interrupt,
            )

        self._judge(self._office.children.start(name, make, interrupt))

    # -- crashes --------------------------------------------------------------------------------------

    def _judge(self, crash: m.ChildCrashed | None) -> None:
        if crash is not None:
            self.crashed(crash)

    def crashed(self, crash: m.ChildCrashed) -> None:
        """Restart after the backoff; who has no tries left comes back after a minute, with new ones."""
        children = self._office.children
        verdict = children.record_crash(crash)
        if verdict is None:
            return
        delay = verdict.delay
        self._say(crash, delay)
        if delay is None:
            children.forget_crashes(verdict.name)
            delay = BLOCKED_SECONDS
        self._office.after(delay, m.RestartChild(verdict.name))
        if (slot := _slot_of(verdict.name)) is not None:
            self._office.runner_down(slot)
        elif verdict.delay is None:
            self._office.listener_failed(f"its listener crashes again and again: {first_line(crash.error)}")

    def restart(self, name: str) -> None:
        children = self._office.children
        self._judge(children.restart(name))
        if children.ref(name) is None:
            return
        if (slot := _slot_of(name)) is not None:
            self._office.runner_back(slot)
        else:
            self._office.listener_failed("")

    def _say(self, crash: m.ChildCrashed, delay: float | None) -> None:
        report_crash(
            self._context,
            self._log,
            crash,
            name=crash.name,
            scale_set=self._settings.name,
            then=f"given up for {BLOCKED_SECONDS:g} s" if delay is None else f"back in {delay:g} s",
            gave_up=delay is None,
        )


def _name(slot: SlotNumber) -> str:
    return f"runner {slot}"


def _slot_of(name: str) -> SlotNumber | None:
    return None if name == LISTENER else SlotNumber(int(name.removeprefix("runner ")))
