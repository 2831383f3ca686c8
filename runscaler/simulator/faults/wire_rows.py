"""Faults on the wire (docs/protocol.md § 10.1). F1 needs none: use a config URL with host `sim.invalid`;
F20 is about TLS, which the simulator does not speak."""

from __future__ import annotations

import json
import threading
from email.utils import formatdate
from typing import TYPE_CHECKING

from runscaler.simulator.exchange import Reply
from runscaler.simulator.faults import answers
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.faults.wire import Damage

if TYPE_CHECKING:
    from runscaler.simulator.faults.row import Outcome, Scene

QUEUE = "/_sim/queue/"
REST = "/api/v3/"
TROUBLES = (500, 502, 503, 504)
MIB = 1 << 20


def wait(scene: Scene) -> None:
    """`seconds` pass before the call is looked at."""
    assert scene.request is not None
    scene.gate.pause(scene.params.number("seconds", 0.2), scene.request.connection)


def leave_for_a_while(scene: Scene) -> None:
    """`seconds` (5) without a listener; 0 until the fault is removed."""
    around = scene.gate.surroundings
    seconds = scene.params.number("seconds", 5.0)
    if around is None:
        return
    around.leave()
    if seconds:
        threading.Thread(target=come_back_later, args=(scene, seconds), daemon=True).start()


def come_back_later(scene: Scene, seconds: float) -> None:
    scene.gate.wait(f"away/{scene.fault.id}", lambda: None, seconds)
    come_back(scene)


def come_back(scene: Scene) -> None:
    if scene.gate.surroundings is not None and not scene.gate.closed:
        scene.gate.surroundings.come_back()


def damage(scene: Scene, kind: str, reply: Reply | None = None) -> Damage:
    seconds = scene.params.number("seconds", 1.0)
    size = int(scene.params.number("mib", 100) * MIB)
    return Damage(kind, reply or Reply(200), seconds, size)


def wrong_shape(scene: Scene, reply: Reply) -> Outcome:
    """`shape`: invalid, list (around the object) or string (for each number)."""
    shape = scene.params.text("shape", "invalid")
    if shape == "invalid":
        return Reply(reply.status, reply.body[:-1] + b",", reply.content_type)
    value = reply.json()
    wrong: object = [value]
    if shape == "string" and isinstance(value, dict):
        wrong = {key: str(each) if isinstance(each, int) else each for key, each in value.items()}
    return Reply(reply.status, json.dumps(wrong).encode(), reply.content_type)


def in_other_dress(_: Scene, reply: Reply) -> Outcome:
    body = "\ufeff" + json.dumps(dressed(reply.json()))
    return Reply(reply.status, body.encode(), reply.content_type, reply.headers)


def dressed(value: object) -> object:
    """The same value with other key casing, unknown keys, and null where something is absent."""
    if isinstance(value, list):
        return [dressed(each) for each in value]
    if not isinstance(value, dict):
        return value
    other = {str(key)[0].swapcase() + str(key)[1:]: dressed(each) for key, each in value.items()}
    if isinstance(value.get("body"), str):
        other["Body"] = json.dumps(dressed(json.loads(value["body"])))
    return {**other, "unknownKey": {"a": [1]}, "anotherAbsent": None}


def error_text(scene: Scene) -> Outcome:
    """`status` (500) with `text` as text/plain; an empty text is an empty body."""
    return answers.plain(scene.params.integer("status", 500), scene.params.text("text", "something broke"))


def trouble(scene: Scene) -> Outcome:
    """`status`, else 500, 502, 503 and 504 in turn."""
    turn = TROUBLES[(scene.fault.hits - 1) % len(TROUBLES)]
    return answers.page(scene.params.integer("status", turn))


def too_many(scene: Scene) -> Outcome:
    """429 with `retryAfter` (5) seconds, as a date if `date` is true."""
    seconds = scene.params.integer("retryAfter", 5)
    when = formatdate(scene.gate.machine.world.clock.wall() + seconds, usegmt=True)
    value = when if scene.params.truth("date", False) else str(seconds)
    return answers.rest(429, "Too many requests", ("Retry-After", value))


def secondary_limit(scene: Scene) -> Outcome:
    """403; with `retryAfter` seconds if given."""
    headers = []
    if scene.params.has("retryAfter"):
        headers.append(("Retry-After", str(scene.params.integer("retryAfter"))))
    return answers.rest(403, "You have exceeded a secondary rate limit. Please wait.", *headers)


def primary_limit(scene: Scene) -> Outcome:
    """403 until `seconds` (600) from now."""
    reset = int(scene.gate.machine.world.clock.wall() + scene.params.number("seconds", 600.0))
    return answers.rest(
        403,
        "API rate limit exceeded.",
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", str(reset)),
    )


def strange_wait(scene: Scene) -> Outcome:
    """429 whose Retry-After is `value` ("86400")."""
    return answers.rest(429, "Too many requests", ("Retry-After", scene.params.text("value", "86400")))


def redirect(scene: Scene) -> Outcome:
    """`status` (307) to `url`."""
    where = scene.params.text("url", "http://elsewhere.invalid/")
    return Reply(scene.params.integer("status", 307), headers=(("Location", where),))


def sleep_through(scene: Scene) -> None:
    """`seconds` (3600) pass for GitHub at once."""
    if scene.gate.surroundings is not None:
        scene.gate.surroundings.clock.pass_by(scene.params.number("seconds", 3600.0))


def skew(scene: Scene, sign: int) -> None:
    """GitHub's time of day is `seconds` (120) ahead; negative: behind."""
    if scene.gate.surroundings is not None:
        scene.gate.surroundings.clock.skew(sign * scene.params.number("seconds", 120.0))


def has_body(reply: Reply) -> bool:
    return reply.status in (200, 201) and len(reply.body) > 1


def acted(reply: Reply) -> bool:
    return reply.status in (200, 201, 204)


ROWS: tuple[Row, ...] = (
    Row("delay", "the answer takes `seconds` longer", count=None, before=wait),
    Row("F2", "connections are refused for `seconds`", begin=leave_for_a_while, end=come_back),
    Row("F3", "reset before any reply byte", before=lambda scene: damage(scene, "reset")),
    Row("F4", "reset in the middle of a body", after=lambda s, r: damage(s, "cut", r), fits=has_body),
    Row("F5", "shorter than announced", after=lambda s, r: damage(s, "short", r), fits=has_body),
    Row("F6", "the reply hangs for ever", before=lambda scene: damage(scene, "silent")),
    Row("F7", "a byte each `seconds`", after=lambda s, r: damage(s, "drip", r), fits=has_body),
    Row("F8", "200 with a proxy's page", before=lambda _: answers.page(200)),
    Row("F9", "200 with JSON of a wrong `shape`", after=wrong_shape, fits=has_body),
    Row(
        "F10",
        "200 with an empty body on the poll",
        Match("GET", QUEUE),
        after=lambda _scene, _reply: Reply(200),
        fits=lambda reply: reply.status in (200, 202),
    ),
    Row("F11", "BOM, other key casing, unknown keys, null", count=None, after=in_other_dress, fits=has_body),
    Row("F12", "an error as `text`, or without a body", before=error_text),
    Row("F13", "500, 502, 503, 504, or `status`", count=4, before=trouble),
    Row("F14", "429 with `retryAfter`, as a `date`", before=too_many),
    Row("F15", "403: secondary limit, perhaps with `retryAfter`", before=secondary_limit),
    Row("F16", "403: primary limit for `seconds`", Match(path=REST), before=primary_limit),
    Row("F17", "429 with a strange Retry-After `value`", before=strange_wait),
    Row("F18", "a body of `mib` MiB", before=lambda scene: damage(scene, "flood")),
    Row("F19", "a redirect to `url`", before=redirect),
    Row("F21", "the reply is lost after acting", after=lambda s, r: damage(s, "reset", r), fits=acted),
    Row("F22", "the client's host slept for `seconds`", begin=sleep_through),
    Row(
        "F30",
        "GitHub's clock is `seconds` ahead",
        count=None,
        begin=lambda scene: skew(scene, 1),
        end=lambda scene: skew(scene, -1),
    ),
)
