"""Finding the scale set and the runner that a request concerns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import Runner, ScaleSet

SET = re.compile(r"/(?:runnerscalesets|queue)/(\d+)")
RUNNER = re.compile(r"/agents/(\d+)$")


def scale_set_of(lock: MachineLock, what: Request | str) -> ScaleSet | None:
    """The scale set in a request's path, or the latest with this name (or with any, if it is empty)."""
    sets = lock.machine.store.scale_sets
    if not isinstance(what, str):
        match = SET.search(what.path)
        return sets.get(int(match[1])) if match else None
    named = [one for one in list(sets.values()) if not what or one.name.lower() == what.lower()]
    return named[-1] if named else None


def runner_of(lock: MachineLock, request: Request) -> str:
    """The name of the runner that a call concerns, or empty."""
    if match := RUNNER.search(request.path):
        runner = lock.machine.store.runners.get(int(match[1]))
        return runner.name if runner else ""
    if request.path.endswith("/generatejitconfig"):
        try:
            return request.json().text("name", "")
        except BadBody:
            return ""
    return request.query.get("agentName", "") or _runner_of_agent(lock, request)


def registering_runner(lock: MachineLock, request: Request) -> Runner | None:
    """The runner whose agent makes this call to register."""
    try:
        return lock.machine.store.runners.get(request.json().integer("agentId", 0))
    except BadBody:
        return None


def _runner_of_agent(lock: MachineLock, request: Request) -> str:
    """For calls of agents: `register` holds the runner's id, the others the token of the session."""
    if request.path.endswith("/v1/register"):
        runner = registering_runner(lock, request)
        return runner.name if runner else ""
    token = request.header("authorization").partition(" ")[2]
    for runner in list(lock.machine.store.runners.values()):
        if runner.agent is not None and runner.agent.token == token:
            return runner.name
    return ""
