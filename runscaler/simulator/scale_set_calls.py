"""Calls about scale sets and runner groups (docs/protocol.md § 4.2, 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator import bodies
from runscaler.simulator.checks import check_no_body
from runscaler.simulator.http_messages import NO_CONTENT, BadBody, Fields, json_reply
from runscaler.simulator.routes import Route, route
from runscaler.simulator.scale_sets import ScaleSetSpec

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Reply
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.records import ScaleSet
    from runscaler.simulator.routes import Call

SETS = "runtime/runnerscalesets"


class ScaleSetCalls:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._store = machine.store

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", f"{SETS}/?", self._find),
            route("POST", f"{SETS}/?", self._create),
            route("GET", rf"{SETS}/(\d+)", self._get),
            route("PATCH", rf"{SETS}/(\d+)", self._update),
            route("DELETE", rf"{SETS}/(\d+)", self._delete),
            route("GET", "runtime/runnergroups/?", self._groups),
        )

    def _find(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        group = call.request.query.get("runnerGroupId")
        found = self._machine.scale_sets.find(
            call.scope, call.request.query.get("name"), int(group) if group and group.isdigit() else None
        )
        return json_reply(bodies.listing([self._body(call, one) for one in found]))

    def _create(self, call: Call) -> Reply:
        body = call.request.json()
        if not body.text("name"):
            raise BadBody("name is empty")
        if body.integer("runnerGroupId") < 1:
            raise BadBody("runnerGroupId is not a group's id")
        repeated = (call.request.method, call.request.path) in self._store.lost_replies
        made = self._machine.scale_sets.create(call.scope, read_scale_set_spec(body), repeated=repeated)
        return json_reply(self._body(call, made))

    def _get(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        return json_reply(self._body(call, self._machine.scale_sets.get(call.scope, call.number())))

    def _update(self, call: Call) -> Reply:
        scale_set = self._machine.scale_sets.get(call.scope, call.number())
        self._machine.scale_sets.update(scale_set, read_scale_set_spec(call.request.json()), by_client=True)
        return json_reply(self._body(call, scale_set))

    def _delete(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        self._machine.scale_sets.delete(self._machine.scale_sets.get(call.scope, call.number()))
        return NO_CONTENT

    def _groups(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        wanted = call.request.query.get("groupName")
        sizes = [one.group_id for one in self._store.live_sets(call.scope)]
        found = [
            bodies.group_body(number, name, sizes.count(number))
            for number, name in self._store.groups.items()
            if wanted is None or name.lower() == wanted.lower()
        ]
        return json_reply(bodies.listing(found))

    def _body(self, call: Call, scale_set: ScaleSet) -> bodies.Json:
        return bodies.scale_set_body(scale_set, self._store.groups[scale_set.group_id], service_url(call))


def service_url(call: Call) -> str:
    """The base URL of the actions service that the client used."""
    before, _, _ = call.request.path.partition("_apis/")
    return f"{call.request.base_url}{before}"


def read_scale_set_spec(body: Fields) -> ScaleSetSpec:
    """The fields of a create or update; empty values mean "unchanged" (docs/protocol.md § 4.3)."""
    setting = body.inner("RunnerSetting")
    labels = tuple(read_label(each) for each in body.items("labels"))
    return ScaleSetSpec(
        name=body.text("name", "") or None,
        group_id=body.integer("runnerGroupId", 0) or None,
        labels=labels or None,
        disable_update=setting.truth("disableUpdate") if setting.has("disableUpdate") else None,
    )


def read_label(value: object) -> tuple[str, str]:
    label = Fields.of(value)
    return label.text("name"), label.text("type", "System")
