"""Actors without threads: a test delivers their messages by hand, on its own thread.

An actor that was made and not started has an inbox and a ref, no thread and no registration; `tell`
just queues. `Stage.launch` stands in for starting, `Stage.play` delivers until all is quiet, and a
`FakeClock` makes deadlines due. Nothing here waits, so nothing depends on luck.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from runscaler.actors.base import ActorCrashed, SupervisedActor
from runscaler.actors.workers import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from runscaler.clock import Clock
    from runscaler.errors import RunscalerError

A = TypeVar("A", bound=SupervisedActor[Any])
T = TypeVar("T")
MOST_MESSAGES = 100_000


class Probe(SupervisedActor[object]):
    """Stands for a parent or a peer: keeps what it is told."""

    def __init__(self, clock: Clock, name: str = "probe") -> None:
        super().__init__(name, None, clock)
        self.received: list[object] = []

    def receive(self, message: object) -> None:
        self.received.append(message)

    def of(self, kind: type[T]) -> list[T]:
        """The messages of that kind, oldest first."""
        return [message for message in self.received if isinstance(message, kind)]


class InlineWorkerPool(WorkerPool):
    """Work is done at `submit`, on the caller's thread."""

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], object],
        failed: Callable[[RunscalerError], object],
    ) -> None:
        self.run(call, done, failed)


class Stage:
    """All actors of one test, in the order in which they were made."""

    def __init__(self) -> None:
        self.actors: list[SupervisedActor[Any]] = []

    def add(self, actor: A) -> A:
        self.actors.append(actor)
        return actor

    def launch(self, kind: Callable[..., SupervisedActor[Any]], *args: object) -> pykka.ActorRef[Any]:
        """In place of `kind.start(*args)`: `ActorContext.launch`."""
        actor = self.add(kind(*args))
        with suppress(ActorCrashed):
            actor.on_start()
        return actor.actor_ref

    def living(self, kind: type[A]) -> list[A]:
        return [one for one in self.actors if isinstance(one, kind) and not one.actor_stopped.is_set()]

    def play(self) -> None:
        """Deliver what is due until every inbox is quiet or its actor has ended."""
        for _ in range(MOST_MESSAGES):
            waiting = [one for one in self.actors if is_due(one)]
            if not waiting:
                return
            for actor in waiting:
                deliver_one(actor)
        raise AssertionError(f"the actors were still busy after {MOST_MESSAGES} messages")


def is_due(actor: SupervisedActor[Any]) -> bool:
    """Does it live, with something to handle now?"""
    return not actor.actor_stopped.is_set() and not actor.actor_inbox.empty()


def deliver_one(actor: SupervisedActor[Any]) -> None:
    """Let the actor handle one message, as its loop would."""
    if not is_due(actor):
        return
    envelope = actor.actor_inbox.get()
    with suppress(ActorCrashed):
        actor._handle_receive(envelope.message)
