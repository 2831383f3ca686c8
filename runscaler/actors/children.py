"""The child actors of one parent, started by name and restarted one by one.

See docs/architecture.md § Supervision. A plain object that the parent owns. A crash report names the dead
actor by its URN, so a second or outdated report matches no child and is dropped.
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
class RestartDecision:
    """What to do about a crash: restart the child after `delay` seconds, or give up (`delay` is None).

    `orphans` are the dead child's own children, which must have ended before the replacement starts.
    """

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
    """A child is *up* while it has a ref, and *down* between its crash and its restart.

    To be used on the parent's thread only.
    """

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
        """The name of each child that is up, by its URN."""

    def start(
        self, name: str, make: Callable[[], Ref], interrupt: Interrupt | None = None
    ) -> ChildCrashed | None:
        """Start the child called `name`: `make` starts an actor and returns its ref.

        `interrupt` is what cuts the child's blocking calls. If `make` raises, that counts as a crash of the
        child: the report is returned, for the parent to handle like any other.
        """
        child = self._children.setdefault(name, _Child(make, interrupt))
        child.make, child.interrupt = make, interrupt
        return self._launch(name, child)

    def restart(self, name: str) -> ChildCrashed | None:
        """Start a child that is down as a new actor. Does nothing if it is up or has been forgotten."""
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
        except BaseException as error:  # a child that cannot be made must not crash its parent
            self._names[name] = name  # there is no URN: the report carries the name in its place
            return ChildCrashed(name, name, "making it", f"{type(error).__name__}: {error}", ())
        self._names[child.ref.actor_urn] = name
        return None

    def record_crash(self, report: ChildCrashed) -> RestartDecision | None:
        """Note that the child is down and decide on its restart; None if the report matches no child."""
        name = self._names.pop(report.urn, None)
        if name is None or name not in self._children:
            return None
        child = self._children[name]
        child.ref = None
        child.crashes.append(self._clock.monotonic())
        child.crashes = list(self._intensity.recent(child.crashes))
        return RestartDecision(name, self._intensity.delay(child.crashes), report.orphans)

    def forget_crashes(self, name: str) -> None:
        """Allow the child its full number of restarts again."""
        self._children[name].crashes.clear()

    def forget(self, name: str) -> None:
        """Drop the child: it has ended in order, or is no longer wanted."""
        child = self._children.pop(name, None)
        if child is not None and child.ref is not None:
            self._names.pop(child.ref.actor_urn, None)

    def ref(self, name: str) -> Ref | None:
        """None while the child is down."""
        child = self._children.get(name)
        return None if child is None else child.ref

    def tell(self, name: str, message: object) -> bool:
        """Tell the child; False if it is down."""
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
        """Whether there is such a child, up or down."""
        return name in self._children

    def __len__(self) -> int:
        return len(self._children)

    def up(self) -> int:
        """How many are up."""
        return len(self._names)

    def names(self) -> tuple[str, ...]:
        return tuple(self._children)

    def restarts(self, name: str) -> int:
        child = self._children.get(name)
        return 0 if child is None else child.restarts

    def total_restarts(self) -> int:
        return sum(child.restarts for child in self._children.values())

    def abandon(self) -> tuple[Ref, ...]:
        """The parent ends: cut each child's call, tell it `Abandon` and forget it. Returns their refs."""
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
