"""Faults of sessions (docs/protocol.md § 10.3). F35 needs none: kill the client and start it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.admin_actions import steal
from runscaler.simulator.faults import replies
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.faults.wire_rows import damage
from runscaler.simulator.records import SessionState

if TYPE_CHECKING:
    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import FaultContext, Outcome
    from runscaler.simulator.http_messages import Reply

ONE_SESSION = "/sessions/"
FIELDS = {"url": "messageQueueUrl", "token": "messageQueueAccessToken", "statistics": "statistics"}


def held_by_another(context: FaultContext) -> None:
    """Another client is a moment faster; its session is over when it has not polled for its time."""
    with context.lock as machine:
        steal(machine, replies.target_scale_set(context))


def expire(context: FaultContext) -> None:
    with context.lock as machine:
        machine.sessions.end(replies.target_session(context), SessionState.EXPIRED)


def deleted_or_stolen(context: FaultContext) -> None:
    """Ended by hand; if `stolen`, another client holds the set from then on."""
    with context.lock as machine:
        if context.params.truth("stolen", False):
            steal(machine, replies.target_scale_set(context))
        else:
            machine.sessions.end(replies.target_session(context), SessionState.DELETED)


def incomplete(context: FaultContext, reply: Reply) -> Outcome:
    """`field`: url or token (empty), or statistics (absent)."""
    field = FIELDS[context.params.text("field", "url")]

    def change(body: Json) -> Json:
        rest = {key: value for key, value in body.items() if key != field}
        return rest if field == "statistics" else {**rest, field: ""}

    return replies.altered(reply, change)


def end_fails(context: FaultContext) -> Outcome:
    """`status` (500), or no answer at all if `hang`."""
    if context.params.truth("hang", False):
        return damage(context, "silent")
    return replies.page(context.params.integer("status", 500))


ROWS: tuple[Row, ...] = (
    Row("F34", "a foreign session holds the set", Match("POST", "/sessions"), before=held_by_another),
    Row("F36", "the session expires", begin=expire),
    Row("F37", "the session is deleted by hand, or `stolen`", begin=deleted_or_stolen),
    Row("F38", "a session without its `field`", Match("POST", "/sessions"), after=incomplete),
    Row("F39", "refresh fails", Match("PATCH", ONE_SESSION), None, lambda _: replies.page(503)),
    Row("F40", "delete session fails, or hangs if `hang`", Match("DELETE", ONE_SESSION), None, end_fails),
)
