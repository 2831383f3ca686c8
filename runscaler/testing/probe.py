"""Running actors without threads: a test delivers their messages on its own thread.

An actor that is created but not started has an inbox and a reference, but no thread; `tell` only queues.
`ActorHarness.launch` replaces starting an actor, `ActorHarness.deliver_all` delivers messages until all
inboxes are empty, and a `FakeClock` makes deadlines due. Nothing waits, so tests are deterministic.
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
    """Stands in for a parent or a peer and records the messages that it receives."""

    def __init__(self, clock: Clock, name: str = "probe") -> None:
        super().__init__(name, None, clock)
        self.received: list[object] = []

    def receive(self, message: object) -> None:
        self.received.append(message)

    def of(self, kind: type[T]) -> list[T]:
        """The messages of that kind, oldest first."""
        return [message for message in self.received if isinstance(message, kind)]


class InlineWorkerPool:
    """Runs calls on the caller's thread, within `submit`."""

    def __init__(self, name: str, width: int, tell: Callable[[object], None]) -> None:
        self._inner = WorkerPool(name, width, tell)

    def submit(
        self,
        call: Callable[[], T],
        done: Callable[[T], object],
        failed: Callable[[RunscalerError], object],
    ) -> None:
        self._inner.run(call, done, failed)

    def close(self) -> None:
        self._inner.close()


class ActorHarness:
    """All actors of one test, in the order in which they were created."""

    def __init__(self) -> None:
        self.actors: list[SupervisedActor[Any]] = []

    def add(self, actor: A) -> A:
        self.actors.append(actor)
        return actor

    def launch(self, kind: Callable[..., SupervisedActor[Any]], *args: object) -> pykka.ActorRef[Any]:
        """Replaces `kind.start(*args)`: `House.launch`."""
        actor = self.add(kind(*args))
        with suppress(ActorCrashed):
            actor.on_start()
        return actor.actor_ref

    def alive(self, kind: type[A]) -> list[A]:
        return [one for one in self.actors if isinstance(one, kind) and not one.actor_stopped.is_set()]

    def deliver_all(self) -> None:
        """Deliver messages until every inbox is empty or its actor has stopped."""
        for _ in range(MOST_MESSAGES):
            waiting = [one for one in self.actors if is_due(one)]
            if not waiting:
                return
            for actor in waiting:
                deliver_one(actor)
        raise AssertionError(f"the actors were still busy after {MOST_MESSAGES} messages")


def is_due(actor: SupervisedActor[Any]) -> bool:
    """Whether the actor is alive and has a message to handle."""
    return not actor.actor_stopped.is_set() and not actor.actor_inbox.empty()


def deliver_one(actor: SupervisedActor[Any]) -> None:
    """Let the actor handle one message as its own loop would."""
    if not is_due(actor):
        return
    envelope = actor.actor_inbox.get()
    with suppress(ActorCrashed):
        actor._handle_receive(envelope.message)
