"""Which scale set and which runner a request is about, as far as it says so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import ScaleSet

SET = re.compile(r"/(?:runnerscalesets|queue)/(\d+)")
RUNNER = re.compile(r"/agents/(\d+)$")


def scale_set_of(lock: MachineLock, what: Request | str) -> ScaleSet | None:
    """The set of a request's path, or the newest of a name; with one set alone, an empty name means it."""
    sets = lock.machine.store.scale_sets
    if not isinstance(what, str):
        match = SET.search(what.path)
        return sets.get(int(match[1])) if match else None
    named = [one for one in list(sets.values()) if not what or one.name.lower() == what.lower()]
    return named[-1] if named else None


def runner_of(lock: MachineLock, request: Request) -> str:
    """The name of the runner that a call is about, or empty."""
    if match := RUNNER.search(request.path):
        runner = lock.machine.store.runners.get(int(match[1]))
        return runner.name if runner else ""
    if request.path.endswith("/generatejitconfig"):
        try:
            return request.json().text("name", "")
        except BadBody:
            return ""
    return request.query.get("agentName", "") or _agents_runner(lock, request)


def _agents_runner(lock: MachineLock, request: Request) -> str:
    """Calls of an agent carry the token of its session; its first one the runner's id."""
    if request.path.endswith("/v1/register"):
        try:
            number = request.json().integer("agentId", 0)
        except BadBody:
            return ""
        runner = lock.machine.store.runners.get(number)
        return runner.name if runner else ""
    token = request.header("authorization").partition(" ")[2]
    for runner in list(lock.machine.store.runners.values()):
        if runner.agent is not None and runner.agent.token == token:
            return runner.name
    return ""
