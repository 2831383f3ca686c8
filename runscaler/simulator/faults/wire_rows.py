"""Faults on the wire (docs/protocol.md § 10.1).

F1 needs no row: use a config URL with the host `sim.invalid`. F20 is about TLS, which the simulator does not
support.
"""

from __future__ import annotations

import json
import threading
from email.utils import formatdate
from typing import TYPE_CHECKING

from runscaler.simulator.faults import replies
from runscaler.simulator.faults.broken_reply import BrokenReply
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.http_messages import Reply

if TYPE_CHECKING:
    from runscaler.simulator.faults.row import FaultContext, Outcome

QUEUE = "/_sim/queue/"
REST = "/api/v3/"
SERVER_ERRORS = (500, 502, 503, 504)
MIB = 1 << 20


def wait(context: FaultContext) -> None:
    """Delay the call by `seconds`."""
    assert context.request is not None
    context.lock.pause(context.params.number("seconds", 0.2), context.request.connection)


def stop_listening_for_a_while(context: FaultContext) -> None:
    """Refuse connections for `seconds` (5); with 0, until the fault is removed."""
    environment = context.lock.environment
    seconds = context.params.number("seconds", 5.0)
    if environment is None:
        return
    environment.stop_listening()
    if seconds:
        threading.Thread(target=resume_listening_later, args=(context, seconds), daemon=True).start()


def resume_listening_later(context: FaultContext, seconds: float) -> None:
    context.lock.wait(f"not-listening/{context.fault.id}", lambda: None, seconds)
    resume_listening(context)


def resume_listening(context: FaultContext) -> None:
    if context.lock.environment is not None and not context.lock.closed:
        context.lock.environment.resume_listening()


def broken(context: FaultContext, kind: str, reply: Reply | None = None) -> BrokenReply:
    seconds = context.params.number("seconds", 1.0)
    size = int(context.params.number("mib", 100) * MIB)
    return BrokenReply(kind, reply or Reply(200), seconds, size)


def wrong_shape(context: FaultContext, reply: Reply) -> Outcome:
    """`shape` is invalid, list (the object within a list) or string (each number as a string)."""
    shape = context.params.text("shape", "invalid")
    if shape == "invalid":
        return Reply(reply.status, reply.body[:-1] + b",", reply.content_type)
    value = reply.json()
    wrong: object = [value]
    if shape == "string" and isinstance(value, dict):
        wrong = {key: str(each) if isinstance(each, int) else each for key, each in value.items()}
    return Reply(reply.status, json.dumps(wrong).encode(), reply.content_type)


def reformatted(_: FaultContext, reply: Reply) -> Outcome:
    body = "\ufeff" + json.dumps(reformatted_value(reply.json()))
    return Reply(reply.status, body.encode(), reply.content_type, reply.headers)


def reformatted_value(value: object) -> object:
    """The same value with other key casing, unknown keys and nulls."""
    if isinstance(value, list):
        return [reformatted_value(each) for each in value]
    if not isinstance(value, dict):
        return value
    other = {str(key)[0].swapcase() + str(key)[1:]: reformatted_value(each) for key, each in value.items()}
    if isinstance(value.get("body"), str):
        other["Body"] = json.dumps(reformatted_value(json.loads(value["body"])))
    return {**other, "unknownKey": {"a": [1]}, "anotherAbsent": None}


def error_text(context: FaultContext) -> Outcome:
    """`status` (500) with `text` as text/plain; an empty `text` makes an empty body."""
    return replies.plain(
        context.params.integer("status", 500), context.params.text("text", "something broke")
    )


def server_error(context: FaultContext) -> Outcome:
    """`status`, by default 500, 502, 503 and 504 in turn."""
    default = SERVER_ERRORS[(context.fault.hits - 1) % len(SERVER_ERRORS)]
    return replies.page(context.params.integer("status", default))


def too_many(context: FaultContext) -> Outcome:
    """429 with a Retry-After of `retryAfter` (5) seconds, as a date if `date` is true."""
    seconds = context.params.integer("retryAfter", 5)
    when = formatdate(context.lock.machine.store.clock.wall() + seconds, usegmt=True)
    value = when if context.params.truth("date", False) else str(seconds)
    return replies.rest(429, "Too many requests", ("Retry-After", value))


def secondary_limit(context: FaultContext) -> Outcome:
    """403, with a Retry-After if `retryAfter` is given."""
    headers = []
    if context.params.has("retryAfter"):
        headers.append(("Retry-After", str(context.params.integer("retryAfter"))))
    return replies.rest(403, "You have exceeded a secondary rate limit. Please wait.", *headers)


def primary_limit(context: FaultContext) -> Outcome:
    """403 with a reset `seconds` (600) from now."""
    reset = int(context.lock.machine.store.clock.wall() + context.params.number("seconds", 600.0))
    return replies.rest(
        403,
        "API rate limit exceeded.",
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", str(reset)),
    )


def strange_wait(context: FaultContext) -> Outcome:
    """429 with `value` ("86400") as its Retry-After."""
    return replies.rest(429, "Too many requests", ("Retry-After", context.params.text("value", "86400")))


def redirect(context: FaultContext) -> Outcome:
    """A redirect with `status` (307) to `url`."""
    where = context.params.text("url", "http://elsewhere.invalid/")
    return Reply(context.params.integer("status", 307), headers=(("Location", where),))


def sleep_through(context: FaultContext) -> None:
    """Advance GitHub's clock by `seconds` (3600)."""
    if context.lock.environment is not None:
        context.lock.environment.clock.advance(context.params.number("seconds", 3600.0))


def skew(context: FaultContext, sign: int) -> None:
    """Set GitHub's wall clock ahead by `seconds` (120; behind, if negative)."""
    if context.lock.environment is not None:
        context.lock.environment.clock.skew(sign * context.params.number("seconds", 120.0))


def has_body(reply: Reply) -> bool:
    return reply.status in (200, 201) and len(reply.body) > 1


def acted(reply: Reply) -> bool:
    return reply.status in (200, 201, 204)


ROWS: tuple[Row, ...] = (
    Row("delay", "the reply is `seconds` late", count=None, before=wait),
    Row(
        "F2", "connections are refused for `seconds`", begin=stop_listening_for_a_while, end=resume_listening
    ),
    Row("F3", "reset before any reply byte", before=lambda context: broken(context, "reset")),
    Row("F4", "reset in the middle of a body", after=lambda s, r: broken(s, "cut", r), fits=has_body),
    Row("F5", "shorter than announced", after=lambda s, r: broken(s, "short", r), fits=has_body),
    Row("F6", "the reply never comes", before=lambda context: broken(context, "silent")),
    Row("F7", "one byte every `seconds`", after=lambda s, r: broken(s, "drip", r), fits=has_body),
    Row("F8", "200 with a web page of a proxy", before=lambda _: replies.page(200)),
    Row("F9", "200 with JSON of the wrong `shape`", after=wrong_shape, fits=has_body),
    Row(
        "F10",
        "200 with an empty body on the poll",
        Match("GET", QUEUE),
        after=lambda _scene, _reply: Reply(200),
        fits=lambda reply: reply.status in (200, 202),
    ),
    Row("F11", "BOM, other key casing, unknown keys, null", count=None, after=reformatted, fits=has_body),
    Row("F12", "an error as plain `text`, or without a body", before=error_text),
    Row("F13", "500, 502, 503, 504, or `status`", count=4, before=server_error),
    Row("F14", "429 with `retryAfter`, as a `date`", before=too_many),
    Row("F15", "403: secondary limit, with `retryAfter` if given", before=secondary_limit),
    Row("F16", "403: primary limit for `seconds`", Match(path=REST), before=primary_limit),
    Row("F17", "429 with a strange Retry-After `value`", before=strange_wait),
    Row("F18", "a body of `mib` MiB", before=lambda context: broken(context, "flood")),
    Row("F19", "a redirect to `url`", before=redirect),
    Row(
        "F21",
        "the reply is lost after the call took effect",
        after=lambda s, r: broken(s, "reset", r),
        fits=acted,
    ),
    Row("F22", "the client's host slept for `seconds`", begin=sleep_through),
    Row(
        "F30",
        "GitHub's clock is `seconds` ahead",
        count=None,
        begin=lambda context: skew(context, 1),
        end=lambda context: skew(context, -1),
    ),
)
