"""One try of one call over HTTP: bounded in size and time, cancellable, never to a wrong host.

Retries are `calls`' business, what a status means `refusals`'. One `Transport` serves all calls with
one credential, from any number of threads.
"""

from __future__ import annotations

from dataclasses import replace
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import requests
from requests.utils import get_environ_proxies, should_bypass_proxies

from runscaler.errors import Refused, Unreachable
from runscaler.github.adapter import GitHubAdapter
from runscaler.github.fields import escaped
from runscaler.github.network_errors import LIBRARY_ERRORS, proxy_refuses, require_usable_proxy, unreachable
from runscaler.github.wire import (
    CALL_DEADLINE,
    POLL_DEADLINE,
    POLL_READ_TIMEOUT,
    READ_TIMEOUT,
    Reply,
    Request,
    host_of,
    origin_of,
)
from runscaler.net.cancellable import CallCancelled, CancellableCall
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    import ssl

    from runscaler.interrupt import Interrupt
    from runscaler.net.deadlines import Deadlines

CONNECT_TIMEOUT = 10.0
LARGEST_BODY = 8 * 1024 * 1024
PIECE = 64 * 1024
CALLS_AT_ONCE = 64
MOST_REDIRECTS = 3
PRECIOUS_SECONDS = 2.0
"""How long a reply that nothing can replace is still waited for after a cut."""
PROXY_WANTS_A_USER = 407
_REDIRECTS = (301, 302, 307, 308)


class _Session(requests.Session):
    """One that leaves redirects alone: else requests reads their bodies, of any size, and their targets."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Transport:
    """A pool of connections. `proxy` overrides the environment's, but for what NO_PROXY names."""

    def __init__(self, context: ssl.SSLContext, deadlines: Deadlines, proxy: str | None = None) -> None:
        self._deadlines = deadlines
        self._proxy = proxy
        self._places = InterruptibleSemaphore(CALLS_AT_ONCE)
        self._session = _Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = GitHubAdapter(context)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        self._session.close()

    def send(self, request: Request, interrupt: Interrupt, seconds: float | None = None) -> Reply:
        """The reply, whatever its status; at most `seconds` from now.

        Raises `Unreachable` where no complete reply came, `Refused` for a redirect that is not followed,
        `Interrupted`.
        """
        if request.poll:
            return self._follow(request, interrupt, POLL_DEADLINE)
        with self._places.held(interrupt):
            return self._follow(request, interrupt, min(seconds or CALL_DEADLINE, CALL_DEADLINE))

    def _follow(self, request: Request, interrupt: Interrupt, seconds: float) -> Reply:
        for _ in range(MOST_REDIRECTS + 1):
            reply = self._exchange(request, interrupt, seconds)
            if reply.status not in _REDIRECTS:
                return reply
            request = replace(request, url=_redirected(request, reply))
        raise Refused(f"could not {request.what}: {request.host} redirects in a circle", status=reply.status)

    def _exchange(self, request: Request, interrupt: Interrupt, seconds: float) -> Reply:
        call = CancellableCall(grace=PRECIOUS_SECONDS if request.precious else 0.0)
        with call.running(interrupt), self._deadlines.limit(seconds, call.cancel):
            return self._reply(request, call)

    def _reply(self, request: Request, call: CancellableCall) -> Reply:
        proxy = self._proxy_for(request.url)
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
                    raise CallCancelled("the reply may have been cut short")
                reply = Reply(response.status_code, response.headers, body, host_of(request.url))
        except LIBRARY_ERRORS as error:
            cause = CallCancelled() if call.cancelled else error
            raise unreachable(cause, request.what, request.url, proxy) from error
        if reply.status == PROXY_WANTS_A_USER and proxy:
            raise proxy_refuses(request.what, proxy)
        return reply

    def _proxy_for(self, url: str) -> str | None:
        if self._proxy is None:
            found = get_environ_proxies(url)
            return found.get(url.partition(":")[0]) or found.get("all")
        return None if should_bypass_proxies(url, no_proxy=None) else self._proxy


def _bounded_body(response: requests.Response, request: Request) -> bytes:
    """The whole body; one that is too large is refused unread (fault F18)."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        raise _too_large(request)
    pieces, size = [], 0
    while piece := response.raw.read(PIECE, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_BODY:
            raise _too_large(request)
    return b"".join(pieces)


def _is_framed(response: requests.Response) -> bool:
    """The reply says where it ends, so one that was cut short cannot pass for whole."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def _too_large(request: Request) -> Unreachable:
    return Unreachable(f"could not {request.what}: the reply of {request.host} is larger than 8 MiB")


def _redirected(request: Request, reply: Reply) -> str:
    """Where a redirect leads; never to another host with the token (fault F19)."""
    location = reply.headers.get("Location", "")
    try:
        target = urljoin(request.url, location)
        is_elsewhere = origin_of(target) != origin_of(request.url)
    except ValueError:
        target, is_elsewhere = location, True
    if is_elsewhere:
        raise Refused(
            f"could not {request.what}: {request.host} redirects to {escaped(target.partition('?')[0])}, "
            "where the token must not go",
            status=reply.status,
            request_id=reply.request_id,
            fixes=("correct url, if the organisation or repository has moved",),
        )
    return target
