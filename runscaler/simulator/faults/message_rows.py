"""Faults of messages (docs/protocol.md § 10.4)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from runscaler.simulator.faults import replies
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.faults.wire_rows import broken
from runscaler.simulator.records import JobSpec
from runscaler.simulator.scopes import default_repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import FaultContext, Outcome
    from runscaler.simulator.http_messages import Reply

POLL = Match("GET", "/_sim/queue/")
ACKNOWLEDGE = Match("DELETE", "/_sim/queue/")
ACQUIRE = Match("POST", "/acquirejobs")
UGLY = "two\nlines \x1b[31mred\x1b[0m <script>alert(1)</script> 🚀 " + "x" * 10_000
REQUEST_IDS = re.compile(rb"\d+")

WRONG_TYPES: Json = {
    **dict.fromkeys(("repositoryName", "ownerName", "jobWorkflowRef", "jobDisplayName"), 7),
    **dict.fromkeys(("queueTime", "scaleSetAssignTime", "runnerAssignTime", "finishTime"), 1767323045),
    "workflowRunId": "nine",
    "eventName": ["push"],
    "requestLabels": "linux",
    "acquireJobUrl": False,
    "runnerId": "many",
    "result": 3,
}
YEAR_1 = "0001-01-01T00:00:00Z"
ODD: dict[str, Json] = {
    "zero": {"runnerRequestId": 0},
    "empty": {"jobId": ""},
    "year-1": {"queueTime": YEAR_1, "scaleSetAssignTime": YEAR_1, "runnerAssignTime": YEAR_1},
    "unparsable": {"queueTime": "yesterday", "finishTime": "25:61"},
}


def changed(reply: Reply, change: Callable[[list[Json]], list[Json]]) -> Outcome:
    """The message with changed job messages in its body."""

    def whole(message: Json) -> Json:
        events: list[Json] = json.loads(str(message["body"] or "[]"))
        return {**message, "body": json.dumps(change(events))}

    return replies.altered(reply, whole)


def same_again(context: FaultContext, reply: Reply, *, new_id: bool) -> Outcome:
    """Deliver the message that was just deleted again, under its own id or a new one."""
    with context.lock as machine:
        machine.message_queue.repeat_deleted(replies.target_scale_set(context), new_id=new_id)
    return reply


def unknown_kind(context: FaultContext, reply: Reply) -> Outcome:
    """Add a job message of an unknown kind; if `outer`, the message itself has an unknown type."""
    if context.params.truth("outer", False):
        return replies.altered(reply, lambda body: {**body, "messageType": "SomethingNew"})
    return changed(reply, lambda events: [{**events[0], "messageType": "JobPondered"}, *events])


def wrong_runner(context: FaultContext, reply: Reply) -> Outcome:
    """Let JobStarted name the runner `name` (runner-ffffffff)."""
    name = context.params.text("name", "runner-ffffffff")
    started = "JobStarted"

    def change(events: list[Json]) -> list[Json]:
        return [{**one, "runnerName": name} if one["messageType"] == started else one for one in events]

    return changed(reply, change)


def odd_fields(context: FaultContext, reply: Reply) -> Outcome:
    """`kind` is missing, zero (request id), empty (job id), year-1 or unparsable (times)."""
    kind = context.params.text("kind", "missing")
    odd = ODD.get(kind, {})
    if kind == "missing":
        return changed(reply, lambda events: [bare(one) for one in events])
    return changed(reply, lambda events: [{**one, **odd} for one in events])


def bare(event: Json) -> Json:
    return {key: event[key] for key in ("messageType", "jobId") if key in event}


def ugly_names(_: FaultContext, reply: Reply) -> Outcome:
    names = dict.fromkeys(("jobDisplayName", "repositoryName", "ownerName", "jobWorkflowRef"), UGLY)
    return changed(reply, lambda events: [{**one, **names} for one in events])


def broken_body(context: FaultContext, reply: Reply) -> Outcome:
    """`kind` is element (one job message is broken) or text (the body is no JSON)."""
    if context.params.text("kind", "element") == "text":
        return replies.altered(reply, lambda body: {**body, "body": "not JSON"})
    return changed(reply, lambda events: [{"messageType": "JobStarted", "runnerName": 7}, *events])


def more_jobs(context: FaultContext) -> None:
    """Queue `jobs` (500 in fault F52, 10 in fault F57) more jobs for the scale set."""
    scale_set = replies.target_scale_set(context)
    with context.lock as machine:
        machine.jobs.queue(
            JobSpec(
                scale_set.scope,
                (scale_set.name,),
                count=context.params.integer("jobs", 500 if context.fault.row.name == "F52" else 10),
                repository=default_repository(scale_set.scope),
            )
        )


def wrong_types(context: FaultContext, reply: Reply) -> Outcome:
    """Let the informative `field` be of another type; all of them, if it is empty."""
    chosen = context.params.text("field", "")
    wrong = {key: value for key, value in WRONG_TYPES.items() if chosen in ("", key)}

    def change(event: Json) -> Json:
        return {key: wrong.get(key, value) for key, value in event.items()}

    return changed(reply, lambda events: [change(one) for one in events])


def restart_ids(context: FaultContext) -> None:
    """Give the next message the id `first` (1)."""
    with context.lock as machine:
        scale_set = replies.target_scale_set(context)
        machine.message_queue.restart_ids(scale_set, context.params.integer("first", 1))


def acquire_fails(context: FaultContext) -> Outcome | None:
    """`kind` is fewer or none (other scale sets acquire the jobs), 409, 500, or slow (`seconds`, 30)."""
    kind = context.params.text("kind", "fewer")
    assert context.request is not None
    if kind == "slow":
        context.lock.pause(context.params.number("seconds", 30.0), context.request.connection)
    elif kind in ("fewer", "none"):
        lose_offers(context, every=1 if kind == "none" else 2)
    elif kind == "409":
        return replies.service(409, "RunnerScaleSetConflictException", "The jobs were acquired by another.")
    else:
        return replies.page(500)
    return None


def lose_offers(context: FaultContext, every: int) -> None:
    """Let another scale set acquire every one, or every second one, of the requested jobs."""
    assert context.request is not None
    scale_set = replies.target_scale_set(context)
    with context.lock as machine:
        for number in [int(each) for each in REQUEST_IDS.findall(context.request.body)][::every]:
            if number in scale_set.offers:
                machine.dispatch.lose_offer(scale_set.offers[number])


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
        "unknown messageType of a job message, or of the message if `outer`",
        POLL,
        after=unknown_kind,
        fits=replies.is_message,
    ),
    Row(
        "F48",
        "JobStarted names the runner `name`",
        POLL,
        after=wrong_runner,
        fits=replies.message_with("JobStarted"),
    ),
    Row("F49", "odd fields: `kind`", POLL, after=odd_fields, fits=replies.is_message),
    Row("F50", "ugly names", POLL, after=ugly_names, fits=replies.is_message),
    Row("F51", "a broken body: `kind` element, text", POLL, after=broken_body, fits=replies.is_message),
    Row("F52", "a backlog of `jobs` (500)", begin=more_jobs),
    Row(
        "F53",
        "deleting a message fails with `status`",
        ACKNOWLEDGE,
        before=lambda s: replies.service(s.params.integer("status", 500), "QueueException", "Not now."),
    ),
    Row(
        "F54",
        "the DELETE hangs, so that the client can be killed there",
        ACKNOWLEDGE,
        before=lambda s: broken(s, "silent"),
    ),
    Row("F55", "message ids start again at `first`", begin=restart_ids),
    Row("F56", "acquirejobs: `kind` fewer, none, 409, 500, slow", ACQUIRE, before=acquire_fails),
    Row(
        "F90",
        "an informative `field`, or all of them, of another type",
        POLL,
        after=wrong_types,
        fits=replies.is_message,
    ),
    Row("F57", "`jobs` (10) more offers than the capacity", begin=more_jobs),
)
