"""Faults of scale sets and of their statistics (docs/protocol.md § 10.5, 10.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator import bodies
from runscaler.simulator.admin_actions import change_scale_set
from runscaler.simulator.faults import replies
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.http_messages import BadBody, Fields, json_reply
from runscaler.simulator.refusals import Refusal, scale_set_gone
from runscaler.simulator.scale_set_calls import read_scale_set_spec

if TYPE_CHECKING:
    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import FaultContext, Outcome
    from runscaler.simulator.http_messages import Reply

SETS = "/_apis/runtime/runnerscalesets"
HUGE = 10**12


def delete(context: FaultContext) -> None:
    with context.lock as machine:
        machine.scale_sets.end(replies.target_scale_set(context))


def change_by_hand(context: FaultContext) -> None:
    """`action` is rename, move or relabel, with its `value`."""
    with context.lock as machine:
        scale_set = replies.target_scale_set(context)
        action, value = (
            context.params.text("action", "relabel"),
            context.params.text("value", "changed-by-hand"),
        )
        change_scale_set(machine, scale_set, action, value)


def create_before(context: FaultContext) -> None:
    """Let another client create the same scale set first."""
    request = context.request
    assert request is not None
    with context.lock as machine:
        token = machine.store.tokens.find(request.header("authorization").partition(" ")[2])
        try:
            machine.scale_sets.create(
                token.subject if token else "", read_scale_set_spec(request.json()), repeated=True
            )
        except (BadBody, Refusal):
            return
        machine.store.lost_replies.add((request.method, request.path))


def drop_labels(context: FaultContext, reply: Reply) -> Outcome:
    """Drop all labels except the first, from the reply and from the scale set."""

    def change(body: Json) -> Json:
        number = Fields.of(body).integer("id")
        with context.lock as machine:
            scale_set = machine.store.scale_sets[number]
            scale_set.labels = scale_set.labels[:1]
        return {**body, "labels": Fields.of(body).items("labels")[:1]}

    return replies.altered(reply, change)


def twice(_: FaultContext, reply: Reply) -> Outcome:
    def change(body: Json) -> Json:
        found = Fields.of(body).items("value")
        return bodies.listing([*found, *({**Fields.of(one).values, "id": 9999} for one in found)])

    return replies.altered(reply, change)


def in_use(_: FaultContext) -> Outcome:
    return replies.service(400, "RunnerScaleSetInUseException", "The runner scale set has runners with jobs.")


def update_refused(context: FaultContext) -> Outcome:
    """`status` (403)."""
    status = context.params.integer("status", 403)
    if status >= 500:
        return replies.page(status)
    return replies.service(status, "AccessDeniedException", "The runner scale set cannot be changed.")


def not_found(context: FaultContext) -> Outcome:
    refusal = scale_set_gone(context.scale_set.id if context.scale_set else 0)
    return replies.service(refusal.status, refusal.kind, refusal.message)


def all_zero(_: FaultContext, reply: Reply) -> Outcome:
    return replies.altered(reply, lambda body: {**body, "statistics": dict.fromkeys(STATISTICS, 0)})


def stuck_high(context: FaultContext, reply: Reply) -> Outcome:
    """Set totalAssignedJobs to `assigned` (99)."""
    return counted(reply, {"totalAssignedJobs": context.params.integer("assigned", 99)})


def nonsense(context: FaultContext, reply: Reply) -> Outcome:
    """`kind` is negative, huge, missing or strings."""
    kind = context.params.text("kind", "negative")
    if kind == "missing":
        return replies.altered(reply, lambda body: {key: body[key] for key in body if key != "statistics"})
    value: object = {"negative": -1, "huge": HUGE, "strings": "three"}[kind]
    return counted(reply, dict.fromkeys(STATISTICS, value))


def jump(context: FaultContext, reply: Reply) -> Outcome:
    """Let totalAssignedJobs alternate between 0 and `assigned` (500) from message to message."""
    high = context.params.integer("assigned", 500)
    return counted(reply, {"totalAssignedJobs": 0 if context.fault.hits % 2 else high})


def inconsistent(_: FaultContext, reply: Reply) -> Outcome:
    odd: Json = {"totalRunningJobs": 7, "totalAssignedJobs": 3, "totalRegisteredRunners": 1}
    return counted(reply, {**odd, "totalBusyRunners": 9})


def counted(reply: Reply, odd: Json) -> Outcome:
    def change(body: Json) -> Json:
        counts = body["statistics"]
        return {**body, "statistics": {**(counts if isinstance(counts, dict) else {}), **odd}}

    return replies.altered(reply, change)


STATISTICS = (
    "totalAvailableJobs",
    "totalAcquiredJobs",
    "totalAssignedJobs",
    "totalRunningJobs",
    "totalRegisteredRunners",
    "totalBusyRunners",
    "totalIdleRunners",
)
COUNTED = replies.has_key("statistics")

ROWS: tuple[Row, ...] = (
    Row("F58", "the set is deleted", begin=delete),
    Row("F59", "the set is changed by hand: `action` rename, move, relabel; `value`", begin=change_by_hand),
    Row("F60", "another client has just created the set", Match("POST", f"{SETS}$"), before=create_before),
    Row(
        "F61",
        "all labels except the first are dropped",
        Match(path=SETS),
        None,
        after=drop_labels,
        fits=replies.has_key("labels"),
    ),
    Row(
        "F62",
        "there is no runner group",
        Match("GET", "/runnergroups"),
        None,
        lambda _: json_reply(bodies.listing([])),
    ),
    Row("F63", "find returns two sets", Match("GET", SETS), after=twice, fits=replies.has_key("value")),
    Row("F64", "deleting the set is refused", Match("DELETE", SETS), None, in_use),
    Row("F65", "404 for a set that exists", Match(path=f"{SETS}/"), None, not_found),
    Row(
        "F66", "all counts zero beside JobAssigned", after=all_zero, fits=replies.message_with("JobAssigned")
    ),
    Row("F67", "totalAssignedJobs stuck at `assigned`", count=None, after=stuck_high, fits=COUNTED),
    Row("F68", "statistics: `kind` negative, huge, missing, strings", after=nonsense, fits=COUNTED),
    Row("F69", "totalAssignedJobs jumps: 0, `assigned`, 0", count=3, after=jump, fits=replies.is_message),
    Row("F70", "statistics that contradict themselves", after=inconsistent, fits=COUNTED),
    Row(
        "F92",
        "changing the set is refused with `status`",
        Match("PATCH", f"{SETS}/#$"),
        None,
        update_refused,
    ),
    Row("F98", "the set is deleted beside idle runners", begin=delete),
)
