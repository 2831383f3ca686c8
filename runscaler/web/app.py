"""The WSGI application on the health port. It is read-only; only `/livez` may block.

A route is a method without arguments that returns a `Reply`; add new ones to `_routes`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from runscaler.metrics import own
from runscaler.metrics.metrics import Metrics
from runscaler.net.host_header import names_loopback
from runscaler.web.compression import compressed, takes_gzip
from runscaler.web.health import health, not_ready
from runscaler.web.metrics import MetricsPage
from runscaler.web.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from runscaler.clock import Clock
    from runscaler.status import Status


class WebApp:
    """`status` reads the latest snapshot; `alive` asks the actor system and returns within 2 s.

    With `loopback_only` the Host header must name this machine. That prevents DNS rebinding: a web page
    cannot read the port through a host name that resolves to 127.0.0.1 (docs/behaviour.md § 9.4).
    """

    def __init__(
        self,
        status: Callable[[], Status],
        alive: Callable[[], bool],
        clock: Clock,
        *,
        loopback_only: bool = True,
        metrics: Metrics | None = None,
    ) -> None:
        self._status = status
        self._alive = alive
        self._clock = clock
        self._loopback_only = loopback_only
        self._metrics = metrics or Metrics()
        self._page = MetricsPage(self._metrics)
        self._routes: dict[str, Callable[[], Reply]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/livez": self._livez,
            "/metrics": self._metrics_page,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = self._clock.monotonic()
        reply = self._reply(environ)
        self._measure(environ, reply, began)
        return reply.send(start_response, head=environ["REQUEST_METHOD"] == "HEAD")

    def _reply(self, environ: WSGIEnvironment) -> Reply:
        if self._loopback_only and not names_loopback(environ.get("HTTP_HOST", "")):
            return Reply.json({"error": "the Host header does not name this machine"}, HTTPStatus.FORBIDDEN)
        route = self._routes.get(environ.get("PATH_INFO", ""))
        if route is None:
            known: list[str] = sorted(self._routes)
            return Reply.json({"error": "not found", "paths": known}, HTTPStatus.NOT_FOUND)
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            error = Reply.json({"error": "read-only: GET and HEAD"}, HTTPStatus.METHOD_NOT_ALLOWED)
            return Reply(error.status, error.body, headers=(("Allow", "GET, HEAD"),))
        return compressed(route()) if takes_gzip(environ) else route()

    def _measure(self, environ: WSGIEnvironment, reply: Reply, began: float) -> None:
        """Paths of others are one route: a label value is never what a client sent."""
        path = environ.get("PATH_INFO", "")
        route = path if path in self._routes else "other"
        seconds = self._clock.monotonic() - began
        self._metrics.observe(own.HTTP_SECONDS, seconds, route, str(reply.status.value))

    def _healthz(self) -> Reply:
        status = self._status()
        code = HTTPStatus.SERVICE_UNAVAILABLE if status.given_up else HTTPStatus.OK
        return Reply.json(health(status, self._clock.wall()), code)

    def _readyz(self) -> Reply:
        status = self._status()
        names = not_ready(status)
        if names or status.given_up:
            return Reply.json({"status": "not ready", "waiting": names}, HTTPStatus.SERVICE_UNAVAILABLE)
        return Reply.json({"status": "ok"})

    def _metrics_page(self) -> Reply:
        return self._page.reply(self._status(), self._clock.wall())

    def _livez(self) -> Reply:
        if self._alive():
            return Reply.json({"status": "ok"})
        return Reply.json({"status": "not answering"}, HTTPStatus.SERVICE_UNAVAILABLE)
