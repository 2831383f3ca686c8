"""The WSGI application: a request comes in, a side answers, faults have their way, a reply goes out."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from runscaler.simulator import actions_api, agent_api, control, queue_api, rest_api
from runscaler.simulator.faults.broken_reply import BrokenReply, damaged
from runscaler.simulator.faults.registry import FaultRegistry
from runscaler.simulator.http_messages import LARGEST_BODY, NoConnection, Reply, Request, parse_query, refused
from runscaler.simulator.http_server import CONNECTION
from runscaler.simulator.refusals import PlainRefusal, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from runscaler.simulator.faults.row import Outcome
    from runscaler.simulator.http_messages import Connection
    from runscaler.simulator.machine_lock import MachineLock


JIT = "/generatejitconfig"
NO_BODY = (202, 204)


class App:
    """`faults` is where faults are set; they touch neither the control API nor, unasked, agents."""

    def __init__(self, lock: MachineLock) -> None:
        self.lock = lock
        self.faults = FaultRegistry(lock)
        self._store = lock.machine.store
        self.control = control.ControlApi(lock, self.faults)
        self._sides: tuple[tuple[str, Callable[[Request], Reply]], ...] = (
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
            return damaged(outcome, self.lock, request, self._head(outcome.reply, request), start_response)
        start_response(status_line(outcome.status), self._head(outcome, request))
        return [outcome.body]

    def _outcome(self, request: Request) -> Outcome:
        side = next((prefix for prefix, _ in self._sides if request.path.startswith(prefix)), "")
        whom = f"{side} {request.header('authorization')}"
        with self.lock:
            self._store.rate_rule.asked(whom, f"{request.method} {request.path}")
        outcome = self._bounded(request) if request.path.endswith(JIT) else self._faulty(request)
        waits = dict(outcome.headers).get("Retry-After") if isinstance(outcome, Reply) else None
        if waits is not None:
            with self.lock:
                self._store.rate_rule.told(whom, waits)
        return outcome

    def _bounded(self, request: Request) -> Outcome:
        with self.lock:
            self._store.rate_rule.jit_begins(request.path)
        try:
            return self._faulty(request)
        finally:
            with self.lock:
                self._store.rate_rule.jit_ends(request.path)

    def _faulty(self, request: Request) -> Outcome:
        acting = self.faults.matching(request)
        outcome = acting.before()
        return outcome if outcome is not None else acting.after(self._answer(request))

    def _answer(self, request: Request) -> Reply:
        try:
            if len(request.body) > LARGEST_BODY:
                raise PlainRefusal(413, "The body is too large.")
            return self._side(request)(request)
        except Refusal as refusal:
            return refused(refusal)

    def _side(self, request: Request) -> Callable[[Request], Reply]:
        for prefix, handle in self._sides:
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
        if reply.status not in NO_BODY:
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
