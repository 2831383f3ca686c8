"""The WSGI application on the admin socket: what changes a running daemon (docs/behaviour.md § 9.4).

Whoever may open the socket, which only its owner and root may, may do all of it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from runscaler.errors import BackendError, ConfigError, HostError
from runscaler.untrusted import parse_json
from runscaler.web.health import health
from runscaler.web.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from runscaler.status import Status

MAX_BODY_BYTES = 64 * 1024


class Administered(Protocol):
    """What `Autoscaler` offers. Called on a server thread; each call may block for some seconds."""

    def status(self) -> Status: ...

    def drain(self, scale_set: str = "") -> tuple[str, ...]: ...

    def resume(self, scale_set: str = "") -> tuple[str, ...]: ...

    def reload(self) -> tuple[str, ...]: ...

    def runner_output(self, runner: str, tail: int) -> bytes | None: ...


class AdminApp:
    """All requests are `POST`, with a JSON object that may be empty.

    `/v1/drain` and `/v1/resume` take `{"scale_set": NAME}`, without a name all of them, and answer
    `{"scale_sets": [NAME, …]}`. `/v1/reload` answers `{"changes": [LINE, …]}`, or if the configuration cannot
    be used `{"error": …, "findings": [{"message", "fixes", "scale_set"}, …]}`. `/v1/logs` takes `{"runner":
    NAME, "tail": BYTES}` and answers the output. `/v1/status` answers as `/healthz` does. `now` tells the
    time in wall-clock seconds.
    """

    def __init__(self, autoscaler: Administered, now: Callable[[], float]) -> None:
        self._autoscaler, self._now = autoscaler, now
        self._routes: dict[str, Callable[[dict[str, object]], Reply]] = {
            "/v1/drain": lambda asked: self._changed(autoscaler.drain, asked),
            "/v1/resume": lambda asked: self._changed(autoscaler.resume, asked),
            "/v1/reload": lambda _: self._reload(),
            "/v1/logs": self._logs,
            "/v1/status": lambda _: Reply.json(health(autoscaler.status(), now())),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._reply(environ).send(start_response)

    def _reply(self, environ: WSGIEnvironment) -> Reply:
        route = self._routes.get(environ.get("PATH_INFO", ""))
        if route is None:
            return Reply.json({"error": "not found", "paths": sorted(self._routes)}, HTTPStatus.NOT_FOUND)
        if environ["REQUEST_METHOD"] != "POST":
            return Reply.json({"error": "POST only"}, HTTPStatus.METHOD_NOT_ALLOWED)
        asked = _body(environ)
        if asked is None:
            return Reply.json({"error": "the body is not a JSON object"}, HTTPStatus.BAD_REQUEST)
        return route(asked)

    def _changed(self, change: Callable[[str], tuple[str, ...]], asked: dict[str, object]) -> Reply:
        try:
            changed = change(str(asked.get("scale_set") or ""))
        except LookupError as error:
            return Reply.json({"error": str(error.args[0])}, HTTPStatus.NOT_FOUND)
        return Reply.json({"scale_sets": list(changed)})

    def _reload(self) -> Reply:
        try:
            return Reply.json({"changes": list(self._autoscaler.reload())})
        except ConfigError as error:
            findings = [
                {"message": one.message, "fixes": list(one.fixes), "scale_set": one.scale_set}
                for one in error.findings
            ]
            answer: dict[str, object] = {"error": "the configuration cannot be used", "findings": findings}
            return Reply.json(answer, HTTPStatus.UNPROCESSABLE_ENTITY)
        except HostError as error:
            return Reply.json({"error": str(error)}, HTTPStatus.CONFLICT)

    def _logs(self, asked: dict[str, object]) -> Reply:
        tail = asked.get("tail")
        if not isinstance(tail, int) or tail <= 0:
            return Reply.json({"error": "tail is not a number of bytes"}, HTTPStatus.BAD_REQUEST)
        try:
            output = self._autoscaler.runner_output(str(asked.get("runner") or ""), tail)
        except BackendError as error:
            return Reply.json({"error": str(error)}, HTTPStatus.BAD_GATEWAY)
        if output is None:
            return Reply.json({"error": "no such runner"}, HTTPStatus.NOT_FOUND)
        return Reply(HTTPStatus.OK, output, "application/octet-stream")


def _body(environ: WSGIEnvironment) -> dict[str, object] | None:
    try:
        length = min(int(environ.get("CONTENT_LENGTH") or 0), MAX_BODY_BYTES)
        found = parse_json(environ["wsgi.input"].read(length) or b"{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
