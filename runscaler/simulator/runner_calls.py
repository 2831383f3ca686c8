"""Calls about JIT configurations and registered runners (docs/protocol.md § 4.2, 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator import bodies
from runscaler.simulator.checks import check_no_body
from runscaler.simulator.http_messages import NO_CONTENT, BadBody, json_reply
from runscaler.simulator.jit import encoded_jit_config
from runscaler.simulator.routes import Route, route
from runscaler.simulator.scale_set_calls import SETS

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Reply, Request
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.routes import Call

AGENTS = "distributedtask/pools/0/agents"


class RunnerCalls:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._store = machine.store

    def routes(self) -> tuple[Route, ...]:
        return (
            route("POST", rf"{SETS}/(\d+)/generatejitconfig", self._jit_config),
            route("GET", f"{AGENTS}/?", self._list),
            route("GET", rf"{AGENTS}/(\d+)", self._get),
            route("DELETE", rf"{AGENTS}/(\d+)", self._remove),
        )

    def _jit_config(self, call: Call) -> Reply:
        scale_set = self._machine.scale_sets.get(call.scope, call.number())
        body = call.request.json()
        name, folder = body.text("name"), body.text("workFolder", "")
        if not name:
            raise BadBody("name is empty")
        repeated = (call.request.method, call.request.path) in self._store.lost_replies
        runner = self._machine.runners.register(scale_set, name, folder, repeated=repeated)
        config_url = f"{call.request.base_url}/{self._store.places.name(call.scope)}"
        encoded = encoded_jit_config(runner, self._agent_url(call.request), config_url)
        return json_reply({"runner": bodies.runner_body(runner), "encodedJITConfig": encoded})

    def _list(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        name = call.request.query.get("agentName")
        runners = self._machine.runners
        found = runners.all(call.scope) if name is None else runners.find(call.scope, name)
        return json_reply(bodies.listing([bodies.listed_runner_body(runner) for runner in found]))

    def _get(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        return json_reply(bodies.listed_runner_body(self._machine.runners.get(call.scope, call.number())))

    def _remove(self, call: Call) -> Reply:
        check_no_body(self._store, call.request)
        self._machine.runners.remove(call.scope, call.number())
        return NO_CONTENT

    def _agent_url(self, request: Request) -> str:
        base = (self._store.options.agent_url or request.base_url).rstrip("/")
        return base if "/_sim/agent/" in base else f"{base}/_sim/agent/v1"
