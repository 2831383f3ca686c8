"""Which scale set and which runner a request is about, as far as it says so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runscaler.simulator.exchange import BadBody

if TYPE_CHECKING:
    from runscaler.simulator.exchange import Request
    from runscaler.simulator.gate import Gate
    from runscaler.simulator.things import ScaleSet

SET = re.compile(r"/(?:runnerscalesets|queue)/(\d+)")
RUNNER = re.compile(r"/agents/(\d+)$")


def scale_set_of(gate: Gate, what: Request | str) -> ScaleSet | None:
    """The set of a request's path, or the newest of a name; with one set alone, an empty name means it."""
    sets = gate.machine.world.scale_sets
    if not isinstance(what, str):
        match = SET.search(what.path)
        return sets.get(int(match[1])) if match else None
    named = [one for one in list(sets.values()) if not what or one.name.lower() == what.lower()]
    return named[-1] if named else None


def runner_of(gate: Gate, request: Request) -> str:
    """The name of the runner that a call is about, or empty."""
    if match := RUNNER.search(request.path):
        runner = gate.machine.world.runners.get(int(match[1]))
        return runner.name if runner else ""
    if request.path.endswith("/generatejitconfig"):
        try:
            return request.json().text("name", "")
        except BadBody:
            return ""
    return request.query.get("agentName", "") or _agents_runner(gate, request)


def _agents_runner(gate: Gate, request: Request) -> str:
    """Calls of an agent carry the token of its session; its first one the runner's id."""
    if request.path.endswith("/v1/register"):
        try:
            number = request.json().integer("agentId", 0)
        except BadBody:
            return ""
        runner = gate.machine.world.runners.get(number)
        return runner.name if runner else ""
    token = request.header("authorization").partition(" ")[2]
    for runner in list(gate.machine.world.runners.values()):
        if runner.agent is not None and runner.agent.token == token:
            return runner.name
    return ""
