"""Calls about message sessions and acquirable jobs (docs/protocol.md § 4.2, 4.5, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator import bodies
from runscaler.simulator.checks import check_no_body, check_service_token
from runscaler.simulator.http_messages import NO_CONTENT, BadBody, json_reply
from runscaler.simulator.refusals import session_unknown
from runscaler.simulator.routes import Route, route
from runscaler.simulator.scale_set_calls import SETS, service_url
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Reply
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.records import Session
    from runscaler.simulator.routes import Call


class SessionCalls:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._store = machine.store

    def routes(self) -> tuple[Route, ...]:
        one = rf"{SETS}/(\d+)"
        return (
            route("POST", f"{one}/sessions", self._create),
            route("PATCH", f"{one}/sessions/([^/]+)", self._refresh),
            route("DELETE", f"{one}/sessions/([^/]+)", self._delete),
            route("GET", f"{one}/acquirablejobs", self._acquirable),
            route("POST", f"{one}/acquirejobs", self._acquire),
        )

    def _create(self, call: Call) -> Reply:
        scale_set = self._machine.scale_sets.get(call.scope, call.number())
        owner = call.request.json().text("ownerName")
        if not owner:
            raise BadBody("ownerName is empty")
        return json_reply(self._body(call, self._machine.sessions.create(scale_set, owner)))

    def _refresh(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        scale_set = self._machine.scale_sets.get(call.scope, call.number())
        return json_reply(self._body(call, self._machine.sessions.refresh(scale_set, call.args[1])))

    def _delete(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        scale_set = self._machine.scale_sets.get(call.scope, call.number())
        self._machine.sessions.delete(scale_set, call.args[1])
        return NO_CONTENT

    def _acquirable(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        scale_set = self._machine.scale_sets.get(call.scope, call.number())
        if not scale_set.offers:
            return NO_CONTENT
        url = f"{service_url(call)}_apis/{SETS}/{scale_set.id}/acquirejobs"
        offers = [bodies.acquirable_job(job, url) for job in scale_set.offers.values()]
        return json_reply(bodies.listing(offers))

    def _acquire(self, call: Call) -> Reply:
        """Takes the queue token instead of the admin JWT; acquires only jobs that are still on offer."""
        scale_set = self._machine.scale_sets.get(call.scope, call.number())
        session = scale_set.session
        if session is None:
            raise session_unknown("")
        check_service_token(self._store, call.request, TokenKind.QUEUE, session.id)
        numbers = call.request.any_json()
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise BadBody("the body is not a list of runnerRequestIds")
        return json_reply(bodies.listing(self._machine.dispatch.acquire(scale_set, numbers)))

    def _body(self, call: Call, session: Session) -> bodies.Json:
        scale_set = session.scale_set
        group = self._store.groups[scale_set.group_id]
        queue_url = f"{call.request.base_url}/_sim/queue/{scale_set.id}/messages?sessionId={session.id}"
        set_body = bodies.scale_set_body(scale_set, group, service_url(call))
        return bodies.session_body(session, set_body, queue_url)
