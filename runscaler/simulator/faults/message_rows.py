"""Faults of messages (docs/protocol.md § 10.4), made where a message leaves or an event arises."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from runscaler.simulator.faults import answers
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.faults.wire_rows import damage
from runscaler.simulator.scopes import default_repository
from runscaler.simulator.things import JobOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.simulator.bodies import Json
    from runscaler.simulator.exchange import Reply
    from runscaler.simulator.faults.row import Outcome, Scene

POLL = Match("GET", "/_sim/queue/")
ACKNOWLEDGE = Match("DELETE", "/_sim/queue/")
ACQUIRE = Match("POST", "/acquirejobs")
UGLY = "two\nlines \x1b[31mred\x1b[0m <script>alert(1)</script> 🚀 " + "x" * 10_000
REQUEST_IDS = re.compile(rb"\d+")

YEAR_1 = "0001-01-01T00:00:00Z"
ODD: dict[str, Json] = {
    "zero": {"runnerRequestId": 0},
    "empty": {"jobId": ""},
    "year-1": {"queueTime": YEAR_1, "scaleSetAssignTime": YEAR_1, "runnerAssignTime": YEAR_1},
    "unparsable": {"queueTime": "yesterday", "finishTime": "25:61"},
}


def changed(reply: Reply, change: Callable[[list[Json]], list[Json]]) -> Outcome:
    """The message with other job messages in its body."""

    def whole(message: Json) -> Json:
        events: list[Json] = json.loads(str(message["body"] or "[]"))
        return {**message, "body": json.dumps(change(events))}

    return answers.altered(reply, whole)


def same_again(scene: Scene, reply: Reply, *, new_id: bool) -> Outcome:
    """What was just deleted comes again, under its own id or a new one."""
    with scene.gate as machine:
        machine.mailbox.repeat_deleted(answers.scale_set_of_scene(scene), new_id=new_id)
    return reply


def unknown_kind(scene: Scene, reply: Reply) -> Outcome:
    """One more job message of a kind nobody knows; if `outer`, the message itself is of such a kind."""
    if scene.params.truth("outer", False):
        return answers.altered(reply, lambda body: {**body, "messageType": "SomethingNew"})
    return changed(reply, lambda events: [{**events[0], "messageType": "JobPondered"}, *events])


def wrong_runner(scene: Scene, reply: Reply) -> Outcome:
    """JobStarted names the runner `name` (runner-ffffffff)."""
    name = scene.params.text("name", "runner-ffffffff")
    started = "JobStarted"

    def change(events: list[Json]) -> list[Json]:
        return [{**one, "runnerName": name} if one["messageType"] == started else one for one in events]

    return changed(reply, change)


def odd_fields(scene: Scene, reply: Reply) -> Outcome:
    """`kind`: missing, zero (request id), empty (job id), year-1 or unparsable (times)."""
    kind = scene.params.text("kind", "missing")
    odd = ODD.get(kind, {})
    if kind == "missing":
        return changed(reply, lambda events: [bare(one) for one in events])
    return changed(reply, lambda events: [{**one, **odd} for one in events])


def bare(event: Json) -> Json:
    return {key: event[key] for key in ("messageType", "jobId") if key in event}


def ugly_names(_: Scene, reply: Reply) -> Outcome:
    names = dict.fromkeys(("jobDisplayName", "repositoryName", "ownerName", "jobWorkflowRef"), UGLY)
    return changed(reply, lambda events: [{**one, **names} for one in events])


def broken_body(scene: Scene, reply: Reply) -> Outcome:
    """`kind`: element (one of them is broken) or text (no JSON at all)."""
    if scene.params.text("kind", "element") == "text":
        return answers.altered(reply, lambda body: {**body, "body": "not JSON"})
    return changed(reply, lambda events: [{"messageType": "JobStarted", "runnerId": "x"}, *events])


def more_jobs(scene: Scene) -> None:
    """`jobs` more jobs are queued for the set."""
    scale_set = answers.scale_set_of_scene(scene)
    with scene.gate as machine:
        machine.jobs.queue(
            JobOrder(
                scale_set.scope,
                (scale_set.name,),
                count=scene.params.integer("jobs", 500 if scene.fault.row.name == "F52" else 10),
                repository=default_repository(scale_set.scope),
            )
        )


def restart_ids(scene: Scene) -> None:
    """The next message has the id `first` (1)."""
    with scene.gate as machine:
        scale_set = answers.scale_set_of_scene(scene)
        machine.mailbox.restart_ids(scale_set, scene.params.integer("first", 1))


def acquire_fails(scene: Scene) -> Outcome | None:
    """`kind`: fewer, none (others were faster), 409, 500, or slow (`seconds`, 30)."""
    kind = scene.params.text("kind", "fewer")
    assert scene.request is not None
    if kind == "slow":
        scene.gate.pause(scene.params.number("seconds", 30.0), scene.request.connection)
    elif kind in ("fewer", "none"):
        lose_offers(scene, every=1 if kind == "none" else 2)
    elif kind == "409":
        return answers.service(409, "RunnerScaleSetConflictException", "The jobs were acquired by another.")
    else:
        return answers.page(500)
    return None


def lose_offers(scene: Scene, every: int) -> None:
    """Another scale set was faster with each, or each second one, of the jobs asked for."""
    assert scene.request is not None
    scale_set = answers.scale_set_of_scene(scene)
    with scene.gate as machine:
        for number in [int(each) for each in REQUEST_IDS.findall(scene.request.body)][::every]:
            if number in scale_set.offers:
                machine.dispatch.snatch(scale_set.offers[number])


ROWS: tuple[Row, ...] = (
    Row(
        "F41",
        "the same message id twice",
        ACKNOWLEDGE,
        after=lambda s, r: same_again(s, r, new_id=False),
        fits=lambda reply: reply.status == 204,
    ),
    Row(
        "F42",
        "the same job messages under a new id",
        ACKNOWLEDGE,
        after=lambda s, r: same_again(s, r, new_id=True),
        fits=lambda reply: reply.status == 204,
    ),
    Row(
        "F47",
        "unknown messageType, of the `outer` message",
        POLL,
        after=unknown_kind,
        fits=answers.is_message,
    ),
    Row("F48", "JobStarted names `name`", POLL, after=wrong_runner, fits=answers.message_with("JobStarted")),
    Row("F49", "odd fields: `kind`", POLL, after=odd_fields, fits=answers.is_message),
    Row("F50", "ugly names", POLL, after=ugly_names, fits=answers.is_message),
    Row("F51", "a broken body: `kind` element, text", POLL, after=broken_body, fits=answers.is_message),
    Row("F52", "a backlog of 500, or `jobs`", begin=more_jobs),
    Row(
        "F53",
        "deleting a message fails with `status`",
        ACKNOWLEDGE,
        before=lambda s: answers.service(s.params.integer("status", 500), "QueueException", "Not now."),
    ),
    Row("F54", "the DELETE hangs: kill the client there", ACKNOWLEDGE, before=lambda s: damage(s, "silent")),
    Row("F55", "message ids start again at `first`", begin=restart_ids),
    Row("F56", "acquirejobs: `kind` fewer, none, 409, 500, slow", ACQUIRE, before=acquire_fails),
    Row("F57", "10, or `jobs`, more offers than there is room", begin=more_jobs),
)
