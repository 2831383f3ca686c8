"""The message queue of a session (docs/protocol.md § 5): polling it and acknowledging messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from runscaler.errors import GitHubError, NotFound, Refused, SessionGone
from runscaler.github.batches import batch
from runscaler.github.endpoints import QUEUE_ACCEPT, message_url, poll_url
from runscaler.github.identity import Subsystem
from runscaler.github.wire import Reply, Request, bearer

if TYPE_CHECKING:
    from runscaler.github.actions_client import ActionsClient
    from runscaler.github.base import Session
    from runscaler.github.messages import Batch
    from runscaler.interrupt import Interrupt

NO_MESSAGE = 202
SESSION_OVER = (400, 404, 410)
"""Statuses that mean the session is probably gone (docs/protocol.md § 5.1)."""


class MessageQueue:
    """The queue of one scale set, in whatever session it is read."""

    def __init__(self, actions: ActionsClient) -> None:
        self._actions = actions
        self._warned_of_empty = False

    def poll(
        self, session: Session, last_message_id: int, capacity: int, interrupt: Interrupt
    ) -> Batch | None:
        """One long poll, never retried. Raises what went wrong."""
        request = Request(
            what="poll the message queue",
            method="GET",
            url=poll_url(session.queue_url, last_message_id),
            authorization=bearer(session.queue_token),
            headers={
                "Accept": QUEUE_ACCEPT,
                "User-Agent": self._actions.user_agent(Subsystem.LISTENER),
                "X-ScaleSetMaxCapacity": str(max(0, capacity)),
            },
            poll=True,
        )
        try:
            return self._actions.call_queue_once(request, self._read, interrupt)
        except (NotFound, Refused) as error:
            if error.status not in SESSION_OVER:
                raise
            raise _session_gone(error) from error

    def delete(
        self, session: Session, message_id: int, interrupt: Interrupt, retry_for: float | None
    ) -> None:
        """Acknowledge a message; no error if it has been deleted already."""
        request = Request(
            what=f"acknowledge message {message_id}",
            method="DELETE",
            url=message_url(session.queue_url, message_id),
            authorization=bearer(session.queue_token),
            headers={
                "Content-Type": "application/json",
                "User-Agent": self._actions.user_agent(Subsystem.LISTENER),
            },
        )
        try:
            self._actions.call_queue(request, _deleted, interrupt, retry_for)
        except NotFound:
            return
        except Refused as error:
            if error.status not in SESSION_OVER:
                raise
            raise _session_gone(error) from error

    def _read(self, reply: Reply) -> Batch | None:
        if reply.status == NO_MESSAGE:
            return None
        if not reply.body.strip():
            self._warn_of_empty(reply)
            return None
        return batch(reply.json())

    def _warn_of_empty(self, reply: Reply) -> None:
        """GitHub did this for months (fault F10). It counts as no message; the log says so once."""
        if not self._warned_of_empty:
            self._warned_of_empty = True
            logger.warning("GitHub answered a poll with an empty message (request {})", reply.request_id)


def _deleted(reply: Reply) -> None:
    """A deletion is answered without a body. A page instead comes from a proxy: nothing was deleted
    (fault F8)."""
    if reply.body.strip():
        raise ValueError("no body was expected")


def _session_gone(error: GitHubError) -> SessionGone:
    return SessionGone(str(error), status=error.status, request_id=error.request_id)
