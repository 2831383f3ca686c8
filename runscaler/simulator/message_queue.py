"""Message queues of the scale sets: messages are formed from events and delivered until they are deleted
(docs/protocol.md § 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.events import job_event
from runscaler.simulator.options import Flavour
from runscaler.simulator.records import Message
from runscaler.simulator.refusals import ServiceRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.github.messages import JobEvent, Statistics
    from runscaler.simulator.records import Event, Job, ScaleSet
    from runscaler.simulator.store import Store

EVENTS_PER_MESSAGE = 50


class MessageQueue:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.interceptors: dict[int, Callable[[ScaleSet, JobEvent], list[JobEvent]]] = {}
        """Faults that replace an event by others before it is queued, by the fault's id."""

    def add_event(self, scale_set: ScaleSet, kind: Callable[..., JobEvent], job: Job, **more: object) -> None:
        """Queue an event about the job as it is now, and wake the listener's poll."""
        numbered = self._store.options.flavour is Flavour.ACQUIRE
        events = [job_event(kind, job, numbered=numbered, **more)]
        for interceptor in self.interceptors.values():
            events = [replaced for event in events for replaced in interceptor(scale_set, event)]
        self.post(scale_set, *events)

    def post(self, scale_set: ScaleSet, *events: Event) -> None:
        """Queue events as they are, past all interceptors."""
        scale_set.events.extend(events)
        self._store.wake_session(scale_set)

    def next(self, scale_set: ScaleSet, after: int) -> Message | None:
        """The oldest undeleted message with an id above `after`, else a new one of the waiting events.

        None if there are none. The message counts as delivered.
        """
        for message in scale_set.undeleted.values():
            if message.id > after or message.again:
                return self._deliver(message)
        return self._deliver(self._form(scale_set)) if scale_set.events else None

    def delete(self, scale_set: ScaleSet, number: int) -> None:
        message = scale_set.undeleted.get(number)
        if message is not None and message.deliveries:
            scale_set.last_deleted = scale_set.undeleted.pop(number)
            self._store.note("message-deleted", scaleSet=scale_set.id, message=number)
        elif message is not None or number not in scale_set.formed:
            refusal = ServiceRefusal(404, "MessageNotFoundException", f"Message {number} was not found.")
            self._store.violations.refuse(8, refusal)

    def repeat_deleted(self, scale_set: ScaleSet, *, new_id: bool) -> None:
        """Deliver the last deleted message again: its events under a new id, or the message as it was,
        whatever lastMessageId says."""
        message = scale_set.last_deleted
        if message is None:
            return
        if new_id:
            self.post(scale_set, *message.events)
        else:
            message.again = True
            scale_set.undeleted[message.id] = message
            self._store.wake_session(scale_set)

    def restart_ids(self, scale_set: ScaleSet, first: int) -> None:
        """Let the ids of new messages start at `first` (fault F55)."""
        scale_set.last_message = first - 1

    def _form(self, scale_set: ScaleSet) -> Message:
        count = min(EVENTS_PER_MESSAGE, len(scale_set.events))
        return self._new(scale_set, tuple(scale_set.events.popleft() for _ in range(count)))

    def replay(self, scale_set: ScaleSet, events: tuple[JobEvent, ...], statistics: Statistics | None) -> int:
        """Queue a recorded message, which may have no events; returns its id. Its statistics become the
        scale set's; None: it tells those before it."""
        scale_set.replayed = statistics or scale_set.replayed
        message = self._new(scale_set, events)
        message.statistics = scale_set.replayed
        self._store.wake_session(scale_set)
        return message.id

    def _new(self, scale_set: ScaleSet, events: tuple[Event, ...]) -> Message:
        scale_set.last_message = scale_set.last_message + 1
        message = Message(scale_set.last_message, events)
        scale_set.undeleted[message.id] = message
        scale_set.formed.add(message.id)
        return message

    def _deliver(self, message: Message) -> Message:
        message.deliveries += 1
        message.again = False
        return message
