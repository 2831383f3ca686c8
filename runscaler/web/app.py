"""The WSGI application on the health port. It is read-only; only `/livez` may block.

A route is a method without arguments that returns a `Reply`; add new ones to `_routes`. The files of the
dashboard are in `pages.py`; the stream of events is the one reply that is not finished when it is made.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from runscaler.metrics import own
from runscaler.metrics.metrics import Metrics
from runscaler.net.host_header import names_loopback
from runscaler.web.compression import compressed, takes_gzip
from runscaler.web.health import health, not_ready
from runscaler.web.live import Live
from runscaler.web.metrics import MetricsPage
from runscaler.web.open_replies import KEEP_OPEN
from runscaler.web.pages import PAGES, page
from runscaler.web.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from runscaler.clock import Clock
    from runscaler.status import Status

EVENTS = "/api/v1/events"
STREAM_HEADERS = [
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Accel-Buffering", "no"),  # nginx would hold it back
]


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
        live: Live | None = None,
        *,
        loopback_only: bool = True,
        metrics: Metrics | None = None,
    ) -> None:
        self._live = live or Live(status, clock)
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
            "/api/v1/status": lambda: Reply.json(self._live.snapshot()),
            **{path: partial(page, path) for path in PAGES},
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = self._clock.monotonic()
        reply = self._reply(environ)
        if reply is None:
            return self._stream(environ, start_response)
        self._measure(environ, reply, began)
        return reply.send(start_response, head=environ["REQUEST_METHOD"] == "HEAD")

    def _reply(self, environ: WSGIEnvironment) -> Reply | None:
        """None: it is a stream, which has been admitted."""
        refused = self._refused(environ)
        if refused is not None:
            return refused
        if environ["PATH_INFO"] == EVENTS:
            return self._no_stream(environ)
        reply = self._routes[environ["PATH_INFO"]]()
        return compressed(reply) if takes_gzip(environ) else reply

    def _refused(self, environ: WSGIEnvironment) -> Reply | None:
        if self._loopback_only and not names_loopback(environ.get("HTTP_HOST", "")):
            return Reply.json({"error": "the Host header does not name this machine"}, HTTPStatus.FORBIDDEN)
        if environ.get("PATH_INFO", "") not in {EVENTS, *self._routes}:
            known = sorted({EVENTS, *self._routes} - PAGES.keys() | {"/"})
            return Reply.json({"error": "not found", "paths": known}, HTTPStatus.NOT_FOUND)
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            error = Reply.json({"error": "read-only: GET and HEAD"}, HTTPStatus.METHOD_NOT_ALLOWED)
            return Reply(error.status, error.body, headers=(("Allow", "GET, HEAD"),))
        return None

    def _no_stream(self, environ: WSGIEnvironment) -> Reply | None:
        """Why there is no stream. Its place can stand in the URL, too: a page that connects anew sets no
        header."""
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("last_event_id", [""])
        last_id = environ.get("HTTP_LAST_EVENT_ID") or asked[0]
        if environ["REQUEST_METHOD"] == "HEAD" or self._live.admit(environ[KEEP_OPEN], last_id):
            return None
        busy = Reply.json({"error": "all streams are taken"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return replace(busy, headers=(("Retry-After", "5"),))

    def _stream(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The begin of a stream. It is no list, or waitress would give it a Content-Length."""
        start_response("200 OK", STREAM_HEADERS)
        return iter((b"" if environ["REQUEST_METHOD"] == "HEAD" else b"retry: 2000\n\n",))

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
