"""The errors that unsuccessful and unreadable replies stand for (docs/protocol.md § 3.3, 4.4)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from runscaler.errors import (
    AccessDenied,
    GitHubError,
    JobStillRunning,
    MalformedReply,
    NotFound,
    Refused,
    RunnerExists,
    ScaleSetGone,
    ServerError,
    SessionConflict,
    SessionGone,
)
from runscaler.github.fields import Fields, escaped

if TYPE_CHECKING:
    from runscaler.github.wire import Reply, Request

_TITLE = re.compile(r"<title[^>]*>([^<]*)<", re.IGNORECASE)
TOO_MANY_REQUESTS = 429
"""Here only if the reply names no time to wait; otherwise `RateLimitedTransport` has raised `RateLimited`."""

EXCEPTIONS: tuple[tuple[str, type[GitHubError]], ...] = (
    ("AgentExistsException", RunnerExists),
    ("AgentNotFoundException", NotFound),
    ("JobStillRunningException", JobStillRunning),
    ("SessionConflictException", SessionConflict),
    ("SessionExpiredException", SessionGone),
    ("RunnerScaleSetNotFoundException", ScaleSetGone),
)
"""Part of the name of GitHub's exception → error. Its status differs between services."""


def error_from_reply(request: Request, reply: Reply) -> GitHubError:
    """The error for a reply of the actions service or the queue, other than a rate limit or a 401."""
    name, message = exception_in(reply)
    for part, kind in EXCEPTIONS:
        if part in name:
            return reply_error(kind, request, reply, message)
    return reply_error(_by_status(reply.status), request, reply, message)


def _by_status(status: int) -> type[GitHubError]:
    if status in (401, 403):
        return AccessDenied
    if status == 404:
        return NotFound
    if status == TOO_MANY_REQUESTS or (status >= 500 and status != 501):
        return ServerError
    return Refused


def reply_error(
    kind: type[GitHubError], request: Request, reply: Reply, why: str = "", fixes: tuple[str, ...] = ()
) -> GitHubError:
    """An error that names the call, the status, GitHub's reason and the request id."""
    said = why or _text_of(reply) or "no reason given"
    line = f"could not {request.what}: {reply.host} answered {reply.status}: {said}"
    line += reply.request_note
    return kind(line, status=reply.status, request_id=reply.request_id, fixes=fixes)


def exception_in(reply: Reply, limit: int = 200) -> tuple[str, str]:
    """(type name, message) of GitHub's exception in the body; ("", text) for any other (fault F12). The
    message is cut to `limit` characters."""
    try:
        fields = Fields(reply.json())
        name = fields.text("typeName") or fields.text("typeKey")
        message = fields.text("message")
    except ValueError:
        return "", _text_of(reply)
    return name, escaped(message, limit)


def _text_of(reply: Reply) -> str:
    """Of a body without an exception. Of a web page the title only: the rest would flood the log."""
    if not reply.text.lstrip().startswith("<"):
        return escaped(reply.text)
    title = _TITLE.search(reply.text)
    return f"a web page, {escaped(' '.join(title[1].split()))!r}" if title else "a web page"


def unreadable(request: Request, reply: Reply, error: ValueError) -> MalformedReply:
    """The error for a success whose body cannot be read (faults F8, F9)."""
    answered = f"{reply.host} answered {reply.status}"
    kind = escaped(reply.headers.get("Content-Type", "no content type"), 60)
    line = f"could not {request.what}: {answered} with unreadable content ({kind}): "
    line += escaped(str(error))
    if reply.text[:1] not in ("", "{", "["):  # even broken JSON may hold a secret
        line += f"; it begins {escaped(reply.text)!r}"
    line += reply.request_note
    return MalformedReply(line, status=reply.status, request_id=reply.request_id)


def server_time(reply: Reply) -> float | None:
    """Seconds since the epoch in the `Date` header; None if it has none that can be read."""
    try:
        return parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
