"""The children of one parent: started by name, restarted one for one, given up on (docs/architecture.md § Supervision).

A plain object that its parent owns. Who crashed is known by URN: a second or stale report finds
nothing and is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscaler.actors.messages import Abandon, ChildCrashed, Ref
from runscaler.policy.backoff import RestartIntensity

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a crash: start again after `delay` seconds, or give up (`delay` None).

    `orphans` must have ended before the replacement starts."""

    name: str
    delay: float | None
    orphans: tuple[Ref, ...]


@dataclass(slots=True)
class _Child:
    make: Callable[[], Ref]
    interrupt: Interrupt | None
    ref: Ref | None = None
    crashes: list[float] = field(default_factory=list)
    restarts: int = 0


class Children:
    """Used by the parent's own thread only."""

    def __init__(
        self,
        clock: Clock,
        send: Callable[[Ref, object], None],
        intensity: RestartIntensity | None = None,
    ) -> None:
        self._clock = clock
        self._send = send
        self._intensity = intensity or RestartIntensity()
        self._children: dict[str, _Child] = {}
        self._names: dict[str, str] = {}

    def start(
        self, name: str, make: Callable[[], Ref], interrupt: Interrupt | None = None
    ) -> ChildCrashed | None:
        """Start the child called `name`; `make` returns its ref. `interrupt` is what cuts its calls.

        A child that cannot even be made is a crash of the child: the report is returned, for the
        parent to handle like any other.
        """
        child = self._children.setdefault(name, _Child(make, interrupt))
        child.make, child.interrupt = make, interrupt
        return self._launch(name, child)

    def restart(self, name: str) -> ChildCrashed | None:
        """Start a crashed child again, as a new actor; nothing if it has been forgotten meanwhile."""
        child = self._children.get(name)
        if child is None or child.ref is not None:
            return None
        child.restarts += 1
        return self._launch(name, child)

    def _launch(self, name: str, child: _Child) -> ChildCrashed | None:
        if child.interrupt is not None:
            child.interrupt.reset()
        try:
            child.ref = child.make()
        except BaseException as error:  # whatever stops a child from being made is the child's crash
            self._names[name] = name
            return ChildCrashed(name, name, "making it", f"{type(error).__name__}: {error}", ())
        self._names[child.ref.actor_urn] = name
        return None

    def record_crash(self, report: ChildCrashed) -> Verdict | None:
        """Judge a report; None for one about nobody here."""
        name = self._names.pop(report.urn, None)
        if name is None or name not in self._children:
            return None
        child = self._children[name]
        child.ref = None
        child.crashes.append(self._clock.monotonic())
        child.crashes = list(self._intensity.recent(child.crashes))
        return Verdict(name, self._intensity.delay(child.crashes), report.orphans)

    def forget_crashes(self, name: str) -> None:
        """Forget its crashes: a new series of tries begins."""
        self._children[name].crashes.clear()

    def forget(self, name: str) -> None:
        """It ended in good order, or is not wanted any more."""
        child = self._children.pop(name, None)
        if child is not None and child.ref is not None:
            self._names.pop(child.ref.actor_urn, None)

    def ref(self, name: str) -> Ref | None:
        """None while it is down."""
        child = self._children.get(name)
        return None if child is None else child.ref

    def tell(self, name: str, message: object) -> bool:
        """Tell the child; False while it is down."""
        ref = self.ref(name)
        if ref is not None:
            self._send(ref, message)
        return ref is not None

    def interrupt(self, name: str) -> None:
        """Cut the child's call in flight."""
        child = self._children.get(name)
        if child is not None and child.interrupt is not None:
            child.interrupt.set()

    def has(self, name: str) -> bool:
        """Is there such a child, up or down?"""
        return name in self._children

    def __len__(self) -> int:
        return len(self._children)

    def names(self) -> tuple[str, ...]:
        return tuple(self._children)

    def restarts(self, name: str) -> int:
        child = self._children.get(name)
        return 0 if child is None else child.restarts

    def total_restarts(self) -> int:
        return sum(child.restarts for child in self._children.values())

    def abandon(self) -> tuple[Ref, ...]:
        """The parent dies: cut their calls, tell them to leave things as they are, and name them."""
        refs = []
        for child in self._children.values():
            if child.ref is None:
                continue
            if child.interrupt is not None:
                child.interrupt.set()
            self._send(child.ref, Abandon())
            refs.append(child.ref)
        self._children.clear()
        self._names.clear()
        return tuple(refs)
