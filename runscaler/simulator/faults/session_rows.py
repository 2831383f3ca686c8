"""Faults of sessions (docs/protocol.md § 10.3). F35 needs none: kill the client and start it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.deeds import steal
from runscaler.simulator.faults import answers
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.faults.wire_rows import damage
from runscaler.simulator.things import SessionState

if TYPE_CHECKING:
    from runscaler.simulator.bodies import Json
    from runscaler.simulator.exchange import Reply
    from runscaler.simulator.faults.row import Outcome, Scene

ONE_SESSION = "/sessions/"
FIELDS = {"url": "messageQueueUrl", "token": "messageQueueAccessToken", "statistics": "statistics"}


def held_by_another(scene: Scene) -> None:
    """Another client is a moment faster; its session is over when it has not polled for its time."""
    with scene.gate as machine:
        steal(machine, answers.scale_set_of_scene(scene))


def expire(scene: Scene) -> None:
    with scene.gate as machine:
        machine.sessions.end(answers.live_session_of(scene), SessionState.EXPIRED)


def deleted_or_stolen(scene: Scene) -> None:
    """Ended by hand; if `stolen`, another client holds the set from then on."""
    with scene.gate as machine:
        if scene.params.truth("stolen", False):
            steal(machine, answers.scale_set_of_scene(scene))
        else:
            machine.sessions.end(answers.live_session_of(scene), SessionState.DELETED)


def incomplete(scene: Scene, reply: Reply) -> Outcome:
    """`field`: url or token (empty), or statistics (absent)."""
    field = FIELDS[scene.params.text("field", "url")]

    def change(body: Json) -> Json:
        rest = {key: value for key, value in body.items() if key != field}
        return rest if field == "statistics" else {**rest, field: ""}

    return answers.altered(reply, change)


def end_fails(scene: Scene) -> Outcome:
    """`status` (500), or no answer at all if `hang`."""
    if scene.params.truth("hang", False):
        return damage(scene, "silent")
    return answers.page(scene.params.integer("status", 500))


ROWS: tuple[Row, ...] = (
    Row("F34", "a foreign session holds the set", Match("POST", "/sessions"), before=held_by_another),
    Row("F36", "the session expires", begin=expire),
    Row("F37", "the session is deleted by hand, or `stolen`", begin=deleted_or_stolen),
    Row("F38", "a session without its `field`", Match("POST", "/sessions"), after=incomplete),
    Row("F39", "refresh fails", Match("PATCH", ONE_SESSION), None, lambda _: answers.page(503)),
    Row("F40", "delete session fails, or hangs if `hang`", Match("DELETE", ONE_SESSION), None, end_fails),
)
