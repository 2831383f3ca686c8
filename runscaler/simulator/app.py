"""The WSGI application: routes a request to its API and lets faults replace or change the reply."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from runscaler.simulator import actions_api, agent_api, control, queue_api, rest_api
from runscaler.simulator.faults.broken_reply import BrokenReply, send_broken
from runscaler.simulator.faults.registry import FaultRegistry
from runscaler.simulator.http_messages import LARGEST_BODY, NoConnection, Reply, Request, parse_query, refused
from runscaler.simulator.http_server import CONNECTION
from runscaler.simulator.rate_rule import caller_of
from runscaler.simulator.refusals import PlainRefusal, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from runscaler.simulator.faults.row import Outcome
    from runscaler.simulator.http_messages import Connection
    from runscaler.simulator.machine_lock import MachineLock


JIT_CONFIG = "/generatejitconfig"
WITHOUT_BODY = (202, 204)


class App:
    """`faults` are the faults that are set. They do not affect the control API, and affect agents only
    where their match names an agent's path."""

    def __init__(self, lock: MachineLock, control_token: str, *, loopback_only: bool) -> None:
        self.lock = lock
        self.faults = FaultRegistry(lock)
        self._store = lock.machine.store
        self.control = control.ControlApi(lock, self.faults, control_token, loopback_only=loopback_only)
        self._apis: tuple[tuple[str, Callable[[Request], Reply]], ...] = (
            (queue_api.PREFIX, queue_api.QueueApi(lock).handle),
            (agent_api.PREFIX, agent_api.AgentApi(lock).handle),
            (actions_api.PREFIX, actions_api.ActionsApi(lock).handle),
            (rest_api.PREFIX, rest_api.RestApi(lock).handle),
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        connection = cast("Connection", environ.get(CONNECTION) or NoConnection())
        request = self._read(environ, connection)
        outcome = self.control.handle(request) if control.is_control(request) else self._outcome(request)
        if isinstance(outcome, BrokenReply):
            return send_broken(
                outcome, self.lock, request, self._head(outcome.reply, request), start_response
            )
        start_response(status_line(outcome.status), self._head(outcome, request))
        return [outcome.body]

    def _outcome(self, request: Request) -> Outcome:
        api = next((prefix for prefix, _ in self._apis if request.path.startswith(prefix)), "")
        caller = caller_of(request, f"{api} {request.header('authorization')}")
        with self.lock:
            self._store.rate_rule.request_received(caller, f"{request.method} {request.path}")
        is_jit_call = request.path.endswith(JIT_CONFIG)
        outcome = self._jit_call(request) if is_jit_call else self._answer_with_faults(request)
        retry_after = dict(outcome.headers).get("Retry-After") if isinstance(outcome, Reply) else None
        if retry_after is not None:
            with self.lock:
                self._store.rate_rule.retry_after_sent(caller, retry_after)
        return outcome

    def _jit_call(self, request: Request) -> Outcome:
        with self.lock:
            self._store.rate_rule.jit_call_began(request.path)
        try:
            return self._answer_with_faults(request)
        finally:
            with self.lock:
                self._store.rate_rule.jit_call_ended(request.path)

    def _answer_with_faults(self, request: Request) -> Outcome:
        faults = self.faults.matching(request)
        outcome = faults.before()
        return outcome if outcome is not None else faults.after(self._answer(request))

    def _answer(self, request: Request) -> Reply:
        try:
            if len(request.body) > LARGEST_BODY:
                raise PlainRefusal(413, "The body is too large.")
            return self._api_for(request)(request)
        except Refusal as refusal:
            return refused(refusal)

    def _api_for(self, request: Request) -> Callable[[Request], Reply]:
        for prefix, handle in self._apis:
            if request.path.startswith(prefix):
                return handle
        raise PlainRefusal(404, "Not Found")

    def _head(self, reply: Reply, request: Request) -> list[tuple[str, str]]:
        with self.lock:
            identity, now = self._store.uuid(), self._store.clock.wall()
        headers = [
            ("Date", formatdate(now, usegmt=True)),
            ("X-GitHub-Request-Id", identity[:13].upper().replace("-", ":")),
            *reply.headers,
        ]
        if request.path.startswith((actions_api.PREFIX, queue_api.PREFIX)):
            headers.append(("ActivityId", identity))
        if reply.status not in WITHOUT_BODY:
            headers.append(("Content-Type", reply.content_type))
        if reply.status != 204:
            headers.append(("Content-Length", str(len(reply.body))))
        return headers

    def _read(self, environ: WSGIEnvironment, connection: Connection) -> Request:
        sent = {key[5:]: value for key, value in environ.items() if key[:5] == "HTTP_"}
        sent["CONTENT_TYPE"] = environ.get("CONTENT_TYPE", "")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        return Request(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            query=parse_query(environ.get("QUERY_STRING", "")),
            headers={key.replace("_", "-").lower(): value for key, value in sent.items()},
            body=environ["wsgi.input"].read(min(length, LARGEST_BODY + 1)),
            base_url=self._base_url(environ),
            connection=connection,
        )

    def _base_url(self, environ: WSGIEnvironment) -> str:
        host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        return self._store.options.public_url.rstrip("/") or f"{environ['wsgi.url_scheme']}://{host}"


def status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
