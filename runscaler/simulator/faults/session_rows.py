"""Faults of sessions (docs/protocol.md § 10.3). F35 needs no row: kill the client and start it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.admin_actions import steal
from runscaler.simulator.faults import replies
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.faults.wire_rows import broken
from runscaler.simulator.records import SessionState

if TYPE_CHECKING:
    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import FaultContext, Outcome
    from runscaler.simulator.http_messages import Reply

ONE_SESSION = "/sessions/"
FIELDS = {"url": "messageQueueUrl", "token": "messageQueueAccessToken", "statistics": "statistics"}


def held_by_another(context: FaultContext) -> None:
    """Let another client open a session first. It never polls, so its session expires."""
    with context.lock as machine:
        steal(machine, replies.target_scale_set(context))


def expire(context: FaultContext) -> None:
    with context.lock as machine:
        machine.sessions.end(replies.target_session(context), SessionState.EXPIRED)


def deleted_or_stolen(context: FaultContext) -> None:
    """Delete the session; if `stolen`, another client opens one."""
    with context.lock as machine:
        if context.params.truth("stolen", False):
            steal(machine, replies.target_scale_set(context))
        else:
            machine.sessions.end(replies.target_session(context), SessionState.DELETED)


def incomplete(context: FaultContext, reply: Reply) -> Outcome:
    """`field` is url or token (sent empty), or statistics (left out)."""
    field = FIELDS[context.params.text("field", "url")]

    def change(body: Json) -> Json:
        rest = {key: value for key, value in body.items() if key != field}
        return rest if field == "statistics" else {**rest, field: ""}

    return replies.altered(reply, change)


def end_fails(context: FaultContext) -> Outcome:
    """`status` (500), or no reply at all if `hang` is true."""
    if context.params.truth("hang", False):
        return broken(context, "silent")
    return replies.page(context.params.integer("status", 500))


ROWS: tuple[Row, ...] = (
    Row("F34", "another client holds the session", Match("POST", "/sessions"), before=held_by_another),
    Row("F36", "the session expires", begin=expire),
    Row("F37", "the session is deleted, or `stolen`", begin=deleted_or_stolen),
    Row("F38", "a session without its `field`", Match("POST", "/sessions"), after=incomplete),
    Row("F39", "refresh fails", Match("PATCH", ONE_SESSION), None, lambda _: replies.page(503)),
    Row("F40", "delete session fails, or hangs if `hang`", Match("DELETE", ONE_SESSION), None, end_fails),
)
