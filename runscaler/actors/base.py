"""The base class of all actors: however an actor dies, its parent gets one message.

See docs/architecture.md § Supervision. Pykka treats errors differently in told messages, asked messages,
start-up hooks and for exceptions outside `Exception`. `SupervisedActor` treats them all alike: whatever
escapes a handler ends the actor, abandons its children and sends `ChildCrashed` to its parent. The message
carries the error as text, because a traceback object would hold the values of local variables, which may be
secrets.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import pykka

from runscaler.actors.children import Children
from runscaler.actors.inbox import Inbox
from runscaler.actors.messages import Abandon, ChildCrashed, Heartbeat, HeartbeatAnswered, Ref
from runscaler.threads import error_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock

M = TypeVar("M")


class ActorCrashed(Exception):
    """Raised inside Pykka's loop after a crash was reported; a caller of `ask` gets it as the answer."""


class SupervisedActor(pykka.ThreadingActor, Generic[M]):
    """Subclasses implement `receive` and, as needed, `started`, `clean_up`, `abandoned` and `crashed`.

    `M` is the union of the messages that the actor receives. All hooks run on the actor's own thread.
    """

    use_daemon_thread = True

    def __init__(self, name: str, parent: Ref | None, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self._parent = parent
        self._dead = False
        self._final_report: object = None
        super().__init__()
        self.children = Children(clock, self.send)

    # -- for subclasses -----------------------------------------------------------------------------

    def started(self) -> None:
        """Runs before the first message."""

    def receive(self, message: M) -> object:
        """Handle one message; the result is the answer if somebody asked."""
        raise NotImplementedError(self.name)

    def clean_up(self) -> None:
        """Runs once, however the actor ends: close local resources. No network calls; the ref is dead."""

    def abandoned(self) -> None:
        """The parent has died: leave everything as it is, so that a new actor can take it over."""

    def crashed(self, crash: ChildCrashed) -> None:
        """Runs before `clean_up` when this actor crashes, for an actor that has no parent to report to."""

    def describe(self, message: M) -> str:
        """Name `message` in a crash report. Must not include its content, which may be secret."""
        return type(message).__name__

    def send(self, ref: Ref | None, message: object) -> None:
        """Tell `ref`; does nothing if it is None or its actor has ended."""
        if ref is None:
            return
        with suppress(pykka.ActorDeadError):
            ref.tell(message)

    def report(self, message: object) -> None:
        """Tell the parent."""
        self.send(self._parent, message)

    def end(self, final_report: object) -> None:
        """Stop after the messages queued so far; tell the parent `final_report` after `clean_up`."""
        self._final_report = final_report
        self.stop()

    def after(self, seconds: float, message: M) -> None:
        """Deliver `message` to this actor in `seconds`."""
        cast("Inbox", self.actor_inbox).after(seconds, message)

    def send_self(self, message: M) -> None:
        """Queue `message` behind those that are waiting already."""
        self.send(self.actor_ref, message)

    def has_waiting(self) -> bool:
        """Whether another message is waiting to be handled."""
        return not self.actor_inbox.empty()

    def _waiting(self) -> int:
        return cast("Inbox", self.actor_inbox).waiting()

    # -- Pykka's hooks ------------------------------------------------------------------------

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]  # Pykka's is static; ours needs the clock
        return Inbox(self.clock)

    def _start_actor_loop(self) -> None:
        try:
            super()._start_actor_loop()
        except BaseException:  # the thread cannot be started: an ask to a registered ref would never return
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
            return self.report(HeartbeatAnswered(message.name, self._waiting()))
        return self._guard(lambda: self.receive(message), message)

    def on_stop(self) -> None:
        self.children.abandon()
        self._guard(self.clean_up, "stop")
        if self._final_report is not None:
            self.report(self._final_report)

    def _handle_failure(self, *_: object) -> None:
        """Pykka would log here, perhaps to an embedder's standard error; our parent logs the crash."""

    # -- crashes ------------------------------------------------------------------------------------

    def _abandon(self) -> None:
        self.abandoned()
        self.children.abandon()
        self.stop()

    def _guard(self, call: Callable[[], object], handling: Any) -> object:
        """Run `call`; if it raises, this actor dies. `handling` is a message, or the name of a hook."""
        try:
            return call()
        except BaseException as error:  # Pykka would stop every actor of the process at a SystemExit
            self._die(error, handling if isinstance(handling, str) else self.describe(handling))
            raise ActorCrashed(self.name) from None

    def _die(self, error: BaseException, handling: str) -> None:
        if self._dead:
            return
        self._dead = True
        self.actor_stopped.set()  # ends the loop now rather than after the queued messages
        pykka.ActorRegistry.unregister(self.actor_ref)
        orphans = self.children.abandon()
        crash = ChildCrashed(self.actor_urn, self.name, handling, error_text(error), orphans)
        with suppress(BaseException):
            self.crashed(crash)
        with suppress(BaseException):
            self.clean_up()
        self.report(crash)
