"""The one base of all actors: any death becomes one message to the parent (docs/architecture.md § Supervision).

What Pykka does with errors differs between told and asked messages, start-up and base exceptions;
the guard makes them alike. Whatever escapes a handler ends the actor, cuts its children off and
tells its parent `ChildCrashed`. The error travels as text: frames hold secrets.
"""

from __future__ import annotations

import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import pykka

from runscaler.actors.children import Children
from runscaler.actors.inbox import Inbox
from runscaler.actors.messages import Abandon, ChildCrashed, Heartbeat, HeartbeatAnswered, Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock

M = TypeVar("M")


class ActorCrashed(Exception):
    """Raised inside Pykka's loop after a guarded crash; whoever asked gets it as the answer."""


class SupervisedActor(pykka.ThreadingActor, Generic[M]):
    """Subclasses implement `receive`, and where they need it `started`, `released`, `abandoned`.

    `M` is the union of the messages that it receives. All hooks run on the actor's own thread.
    """

    use_daemon_thread = True

    def __init__(self, name: str, parent: Ref | None, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self._parent = parent
        self._dead = False
        self._last_words: object = None
        super().__init__()
        self.children = Children(clock, self.send)

    # -- for subclasses ---------------------------------------------------------------------

    def started(self) -> None:
        """Runs before the first message."""

    def receive(self, message: M) -> object:
        """Handle one message; the result answers an ask."""
        raise NotImplementedError(self.name)

    def released(self) -> None:
        """Runs at every end: close what is held on this machine. No network, the ref is dead."""

    def abandoned(self) -> None:
        """The parent died: leave everything as it is for the one who comes after."""

    def crashed(self, crash: ChildCrashed) -> None:
        """Runs before `released` when it ends by a crash; for who has no parent to tell."""

    def describe(self, message: M) -> str:
        """What was being handled, for a crash report: never content, which may hold secrets."""
        return type(message).__name__

    def send(self, ref: Ref | None, message: object) -> None:
        """Tell; the dead, and who is not there (None), do not mind."""
        if ref is None:
            return
        with suppress(pykka.ActorDeadError):
            ref.tell(message)

    def report(self, message: object) -> None:
        """Tell the parent."""
        self.send(self._parent, message)

    def end(self, last_words: object) -> None:
        """End in good order, after what is queued already; the parent hears `last_words` when it is done."""
        self._last_words = last_words
        self.stop()

    def after(self, seconds: float, message: M) -> None:
        """Have `message` delivered to this actor after `seconds`."""
        cast("Inbox", self.actor_inbox).after(seconds, message)

    def again(self, message: M) -> None:
        """Queue `message` behind what waits already."""
        self.send(self.actor_ref, message)

    def has_waiting(self) -> bool:
        """Is another message waiting to be handled?"""
        return not self.actor_inbox.empty()

    # -- Pykka's hooks ------------------------------------------------------------------------

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]  # Pykka's is static; ours needs the clock
        return Inbox(self.clock)

    def _start_actor_loop(self) -> None:
        try:
            super()._start_actor_loop()
        except BaseException:  # no thread to be had: a registered ref without one would hang every ask
            pykka.ActorRegistry.unregister(self.actor_ref)
            raise

    def _actor_loop(self) -> None:
        threading.current_thread().name = self.name
        super()._actor_loop()

    def on_start(self) -> None:
        self._guard(self.started, "start")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Abandon):
            return self._guard(self._abandon, "Abandon")
        if isinstance(message, Heartbeat):
            return self.report(HeartbeatAnswered(message.name))
        return self._guard(lambda: self.receive(message), message)

    def on_stop(self) -> None:
        self.children.abandon()
        self._guard(self.released, "stop")
        if self._last_words is not None:
            self.report(self._last_words)

    # -- the guard ----------------------------------------------------------------------------

    def _abandon(self) -> None:
        self.abandoned()
        self.children.abandon()
        self.stop()

    def _guard(self, call: Callable[[], object], handling: Any) -> object:
        try:
            return call()
        except BaseException as error:  # let out, a SystemExit would stop every actor of the process
            self._die(error, handling if isinstance(handling, str) else self.describe(handling))
            raise ActorCrashed(self.name) from None

    def _die(self, error: BaseException, handling: str) -> None:
        if self._dead:
            return
        self._dead = True
        self.actor_stopped.set()  # ends the loop now, not behind the backlog
        pykka.ActorRegistry.unregister(self.actor_ref)
        orphans = self.children.abandon()
        crash = ChildCrashed(self.actor_urn, self.name, handling, rendered(error), orphans)
        with suppress(BaseException):
            self.crashed(crash)
        with suppress(BaseException):
            self.released()
        self.report(crash)

    def _handle_failure(self, *_: object) -> None:
        """Pykka would log here, on an embedder's standard error; the parent has been told."""


def rendered(error: BaseException) -> str:
    """The error and where it was raised, as text without any variable's value."""
    frames = traceback.extract_tb(error.__traceback__)
    where = "".join(f"\n  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{type(error).__name__}: {_words(error)}{where}"


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a stranger's __str__
        return "(it cannot be shown)"
