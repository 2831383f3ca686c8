"""The actions service: common checks, and the routes of its calls (docs/protocol.md § 4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runscaler.simulator.checks import check_api_version, check_service_token, check_user_agent, refused_body
from runscaler.simulator.http_messages import BadBody
from runscaler.simulator.refusals import ServiceRefusal
from runscaler.simulator.routes import Call, find_route
from runscaler.simulator.runner_calls import RunnerCalls
from runscaler.simulator.scale_set_calls import ScaleSetCalls
from runscaler.simulator.session_calls import SessionCalls
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Reply, Request
    from runscaler.simulator.machine_lock import MachineLock

PREFIX = "/_sim/actions/"
TENANT = re.compile(r"/_sim/actions/([^/~]+)(?:~[^/]*)?//?_apis/(.*)")
"""With the doubled slash of clients that add a path to a base URL with a final slash: ARC up to 0.13."""
ACQUIRE_JOBS = "/acquirejobs"


class ActionsApi:
    """A `~` and what follows it in the tenant's segment make another address of the same tenant
    (fault F32)."""

    def __init__(self, lock: MachineLock) -> None:
        self._lock = lock
        self._store = lock.machine.store
        self._routes = (
            *SessionCalls(lock.machine).routes(),
            *RunnerCalls(lock.machine).routes(),
            *ScaleSetCalls(lock.machine).routes(),
        )

    def handle(self, request: Request) -> Reply:
        match = TENANT.fullmatch(request.path)
        with self._lock:
            scope = self._store.tenants.get(match[1]) if match else None
            if match is None or scope is None:
                raise not_found(request)
            return self._answer(request, scope, match[2])

    def _answer(self, request: Request, scope: str, path: str) -> Reply:
        check_user_agent(self._store, request)
        if not path.endswith(ACQUIRE_JOBS):
            check_service_token(self._store, request, TokenKind.ADMIN, scope)
        check_api_version(self._store, request, request.query.get("api-version", ""))
        found = find_route(self._routes, request.method, path)
        if found is None:
            raise not_found(request)
        route, args = found
        try:
            return route.answer(Call(request, scope, args))
        except BadBody as error:
            raise refused_body(self._store, error) from None


def not_found(request: Request) -> ServiceRefusal:
    text = f"The controller for path {request.path} was not found."
    return ServiceRefusal(404, "VssResourceNotFoundException", text)
