"""Calls about a message session, its queue and the jobs that may be acquired (docs/protocol.md § 4.5, 5)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.errors import GitHubError, NotFound, ScaleSetGone, SessionGone
from runscaler.github import decode
from runscaler.github.actions_client import ServiceCall, not_found_means_scale_set_gone
from runscaler.github.endpoints import scale_set_path
from runscaler.github.error_replies import server_time
from runscaler.github.jwt import refresh_after, seconds_left
from runscaler.github.retry_policy import RetryMode
from runscaler.github.wire import Lane, json_body, usable_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.clock import Clock
    from runscaler.github.actions_client import ActionsClient
    from runscaler.github.base import ScaleSetId, Session, SessionId
    from runscaler.github.messages import Batch, JobAvailable
    from runscaler.github.queue import MessageQueue
    from runscaler.github.wire import Reply
    from runscaler.interrupt import Interrupt


LONGEST_MARGIN = 300.0
"""A queue token is renewed at most this many seconds before it expires (docs/protocol.md § 5.1)."""
OPEN_SESSION_GRACE = 2.0
"""Only the reply names the new session: seconds that it is waited for after an interrupt, so that the
session can be closed."""


class SessionCalls:
    """The part of `ScaleSetService` that a listener uses."""

    _actions: ActionsClient
    _clock: Clock
    _queue: MessageQueue

    def open_session(
        self,
        scale_set_id: ScaleSetId,
        owner_name: str,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> Session:
        """A new session; one that comes without a queue is closed, and another is opened (fault F38)."""
        self._actions.scale_set_id = scale_set_id
        path, body = scale_set_path(scale_set_id, "sessions"), json_body({"ownerName": owner_name})
        call = ServiceCall(
            "open a message session",
            "POST",
            path,
            body=body,
            retry=RetryMode.NOT_IDEMPOTENT,
            grace=OPEN_SESSION_GRACE,
            lane=Lane.SETUP,
        )

        def read(reply: Reply) -> Session:
            session = self._session(reply, scale_set_id, None)
            try:
                return _with_queue(session, secure=self._actions.secure)
            except ValueError:
                self._try_to_close(session, interrupt)
                raise

        with not_found_means_scale_set_gone():
            return self._actions.call_for_reply(call, read, interrupt, retry_for)

    def _session(self, reply: Reply, scale_set_id: ScaleSetId, known: SessionId | None) -> Session:
        def refresh_at(token: str) -> float | None:
            left = seconds_left(token, self._clock, server_time(reply))
            if left is None:
                return None
            self._actions.session_token_expires(self._clock.wall() + left)
            return self._clock.monotonic() + refresh_after(left, LONGEST_MARGIN, self._clock)

        return decode.session(reply.json(), scale_set_id, known, refresh_at)

    def _try_to_close(self, session: Session, interrupt: Interrupt) -> None:
        if session.id:
            with suppress(GitHubError):
                self.close_session(session.scale_set_id, session.id, interrupt, 0.0)

    def refresh_session(
        self, session: Session, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> Session:
        path = scale_set_path(session.scale_set_id, "sessions", session.id)

        def read(reply: Reply) -> Session:
            fresh = self._session(reply, session.scale_set_id, session.id)
            return _with_queue(fresh, secure=self._actions.secure)

        try:
            call = ServiceCall("refresh the message session", "PATCH", path)
            return self._actions.call_for_reply(call, read, interrupt, retry_for)
        except NotFound as error:
            raise SessionGone(str(error), status=error.status, request_id=error.request_id) from error

    def close_session(
        self,
        scale_set_id: ScaleSetId,
        session_id: SessionId,
        interrupt: Interrupt,
        retry_for: float | None = 10.0,
    ) -> None:
        path = scale_set_path(scale_set_id, "sessions", session_id)
        with suppress(NotFound, SessionGone, ScaleSetGone):
            call = ServiceCall("close the message session", "DELETE", path, lane=Lane.END)
            self._actions.call(call, decode.nothing, interrupt, retry_for)

    def poll(
        self, session: Session, last_message_id: int, capacity: int, interrupt: Interrupt
    ) -> Batch | None:
        return self._queue.poll(session, last_message_id, capacity, interrupt)

    def acknowledge(
        self, session: Session, batch_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> None:
        self._queue.delete(session, batch_id, interrupt, retry_for)

    def acquirable_jobs(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> tuple[JobAvailable, ...]:
        call = ServiceCall(
            "list the jobs that may be acquired", "GET", scale_set_path(scale_set_id, "acquirablejobs")
        )
        with not_found_means_scale_set_gone():
            return self._actions.call(call, decode.available_jobs, interrupt, retry_for)

    def acquire_jobs(
        self,
        session: Session,
        request_ids: Sequence[int],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> tuple[int, ...]:
        if not request_ids:
            return ()
        path, body = scale_set_path(session.scale_set_id, "acquirejobs"), json_body(list(request_ids))
        call = ServiceCall(
            "acquire jobs", "POST", path, body=body, retry=RetryMode.NOT_IDEMPOTENT, session=session
        )
        with not_found_means_scale_set_gone():
            return self._actions.call(call, decode.acquired_jobs, interrupt, retry_for)


def _with_queue(session: Session, *, secure: bool) -> Session:
    """The session; `ValueError` if it has no queue that can be used."""
    usable_url(session.queue_url, "messageQueueUrl", secure=secure)
    if not session.queue_token:
        raise ValueError("messageQueueAccessToken is missing")
    return session
