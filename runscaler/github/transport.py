"""One attempt of one call over HTTP: limited in size and time, cancellable, never sent to another host.

`retrying` repeats calls, `error_replies` knows what a status means.
"""

from __future__ import annotations

from dataclasses import replace
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import requests

from runscaler.errors import Refused, Unreachable
from runscaler.github.adapter import GitHubAdapter
from runscaler.github.fields import escaped
from runscaler.github.network_errors import LIBRARY_ERRORS, proxy_refuses, require_usable_proxy, unreachable
from runscaler.github.wire import (
    CALL_DEADLINE,
    POLL_DEADLINE,
    POLL_READ_TIMEOUT,
    READ_TIMEOUT,
    Lane,
    Reply,
    Request,
    host_of,
    origin_of,
)
from runscaler.net.admission import Turn
from runscaler.net.cancellable import CallCancelled, CancellableCall
from runscaler.net.proxies import proxy_for
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    import ssl

    from runscaler.interrupt import Interrupt
    from runscaler.net.deadlines import Deadlines

CONNECT_TIMEOUT = 10.0
MAX_BODY = 8 * 1024 * 1024
CHUNK = 64 * 1024
MAX_CONCURRENT_CALLS = 64
MAX_CONCURRENT_HOUSEKEEPING = 48
"""So many of these, so that a start finds a place where GitHub takes long for its answers."""
MAX_REDIRECTS = 3
PROXY_AUTHENTICATION_REQUIRED = 407
_REDIRECTS = (301, 302, 307, 308)


class _Session(requests.Session):
    """Ignores redirects: requests would read their bodies, of any size, to follow them."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Transport:
    """The connections of one credential. Thread-safe. `proxy` takes the place of HTTPS_PROXY and HTTP_PROXY;
    NO_PROXY still counts."""

    def __init__(self, context: ssl.SSLContext, deadlines: Deadlines, proxy: str = "") -> None:
        self._deadlines = deadlines
        self._proxy = proxy
        self._concurrency = InterruptibleSemaphore(MAX_CONCURRENT_CALLS, MAX_CONCURRENT_HOUSEKEEPING)
        self._session = _Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = GitHubAdapter(context)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        self._session.close()

    def send(self, request: Request, interrupt: Interrupt, seconds: float | None = None) -> Reply:
        """The reply, whatever its status. An exchange of request and reply may take `seconds`, 60 if that is
        None; that of a poll always 120.

        Raises `Unreachable` if no complete reply came, `Refused` for a redirect that is not followed,
        `Interrupted`.
        """
        if request.poll:
            return self._follow(request, interrupt, POLL_DEADLINE)
        turn = Turn.LATER if request.lane is Lane.HOUSEKEEPING else Turn.USUAL
        with self._concurrency.held(interrupt, turn=turn):
            return self._follow(request, interrupt, CALL_DEADLINE if seconds is None else seconds)

    def _follow(self, request: Request, interrupt: Interrupt, seconds: float) -> Reply:
        asked = request.url
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._exchange(request, interrupt, seconds)
            if reply.status not in _REDIRECTS:
                return reply if request.url == asked else replace(reply, redirected_to=request.url)
            request = replace(request, url=_redirected(request, reply))
        line = f"could not {request.what}: {request.host} redirects in a circle{reply.request_note}"
        raise Refused(line, status=reply.status, request_id=reply.request_id)

    def _exchange(self, request: Request, interrupt: Interrupt, seconds: float) -> Reply:
        call = CancellableCall(grace=request.grace)
        with call.running(interrupt), self._deadlines.limit(seconds, call.cancel):
            return self._reply(request, call)

    def _reply(self, request: Request, call: CancellableCall) -> Reply:
        proxy = proxy_for(request.url, self._proxy)
        if proxy:
            require_usable_proxy(request.what, proxy)
        try:
            with self._session.request(
                request.method,
                request.url,
                data=request.body,
                headers={"Accept-Encoding": "identity", **request.headers},
                auth=request.authorization,
                timeout=(CONNECT_TIMEOUT, POLL_READ_TIMEOUT if request.poll else READ_TIMEOUT),
                proxies={"http": proxy, "https": proxy} if proxy else {},
                allow_redirects=False,
                stream=True,
            ) as response:
                body = _bounded_body(response, request)
                if call.cancelled and not _is_framed(response):
                    raise CallCancelled("the reply may be incomplete")
                reply = Reply(response.status_code, response.headers, body, host_of(request.url))
        except LIBRARY_ERRORS as error:
            cause = CallCancelled() if call.cancelled else error
            raise unreachable(cause, request.what, request.url, proxy) from error
        if reply.status == PROXY_AUTHENTICATION_REQUIRED and proxy:
            raise proxy_refuses(request.what, proxy)
        return reply


def _bounded_body(response: requests.Response, request: Request) -> bytes:
    """The whole body; one that is too large is not read to its end (fault F18)."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise _too_large(request, response)
    body = bytearray()
    while chunk := response.raw.read(CHUNK, decode_content=True):
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_large(request, response)
    return bytes(body)


def _is_framed(response: requests.Response) -> bool:
    """Does the reply say where it ends? If not, one that was cut off looks complete."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def _too_large(request: Request, response: requests.Response) -> Unreachable:
    reply = Reply(response.status_code, response.headers, b"", request.host)
    line = f"could not {request.what}: the reply of {request.host} is larger than 8 MiB{reply.request_note}"
    return Unreachable(line, request_id=reply.request_id)


def _redirected(request: Request, reply: Reply) -> str:
    """The URL of a redirect. Raises `Refused` for another host, which must not get the token (fault F19)."""
    location = reply.headers.get("Location", "")
    try:
        target = urljoin(request.url, location)
        is_elsewhere = origin_of(target) != origin_of(request.url)
    except ValueError:
        target, is_elsewhere = location, True
    if is_elsewhere:
        raise Refused(
            f"could not {request.what}: {request.host} redirects to {escaped(target.partition('?')[0])}, "
            f"where the token must not go{reply.request_note}",
            status=reply.status,
            request_id=reply.request_id,
            fixes=("correct url, if the organisation or repository has moved",),
        )
    return target
