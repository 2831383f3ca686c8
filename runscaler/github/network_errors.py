"""Turns exceptions of requests, urllib3 and the network into `Unreachable`, with one clear line."""

from __future__ import annotations

import re
import socket
import ssl
from urllib.parse import urlsplit

import requests
from requests.exceptions import InvalidHeader, InvalidProxyURL, InvalidSchema, InvalidURL
from urllib3 import exceptions as urllib3

from runscaler.errors import Unreachable
from runscaler.github.fields import escaped
from runscaler.net.cancellable import CallCancelled
from runscaler.net.causes import causes_of
from runscaler.net.proxies import address_of

LIBRARY_ERRORS = (requests.RequestException, urllib3.HTTPError, OSError)
"""What requests, urllib3 and sockets raise when a call fails."""

_EXPIRED, _NOT_YET, _WRONG_HOST, _WRONG_ADDRESS = 10, 9, 62, 64
_NO_LOGIN = re.compile(r"Tunnel connection failed: (401|407)\b")
"""How the error of http.client begins for a proxy that answers CONNECT so; tinyproxy says 401 to a wrong
password."""
_PROXY_FIX = "check the proxy in the configuration and in HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
_REACH_FIX = "check url, this host's network and firewall, and whether it takes a proxy to get out"


class NotSent(Unreachable):
    """The request never reached GitHub, so it had no effect."""


class Untrusted(NotSent):
    """The server's certificate is not trusted; retried slowly (fault F20)."""


class Dropped(Unreachable):
    """The connection ended during the call, perhaps because it had been idle for too long (fault F3)."""


def unreachable(error: Exception, what: str, url: str, proxy: str | None) -> Unreachable:
    """The `Unreachable` for an exception; `what` is the call as a verb phrase ("find the scale set")."""
    host = urlsplit(url).netloc
    causes = tuple(causes_of(error))
    kind, why, fixes = _diagnose(causes, host, proxy)
    return kind(f"could not {what}: {why}", fixes=fixes)


_Diagnosis = tuple[type[Unreachable], str, tuple[str, ...]]


def _diagnose(causes: tuple[BaseException, ...], host: str, proxy: str | None) -> _Diagnosis:
    if any(isinstance(each, urllib3.ProxyError | InvalidProxyURL) for each in causes):
        return _diagnose_proxy(causes, proxy or "")
    kind, why, fixes = _diagnose_host(causes, host)
    return kind, f"{why}, through the proxy {address_of(proxy)}" if proxy else why, fixes


def _diagnose_host(causes: tuple[BaseException, ...], host: str) -> _Diagnosis:
    for cause in reversed(causes):
        diagnosis = _known(cause, host)
        if diagnosis is not None:
            return diagnosis
    return Unreachable, f"the connection to {host} failed ({_text(causes[-1])})", ()


def _known(cause: BaseException, host: str) -> _Diagnosis | None:
    match cause:
        case CallCancelled():
            return Unreachable, f"{host} took too long", ()
        case ssl.SSLCertVerificationError():
            return _diagnose_certificate(cause, host)
        case urllib3.NameResolutionError() | socket.gaierror():
            return NotSent, f"the name {host} cannot be resolved", ("check this host's DNS",)
        case ConnectionRefusedError():
            return NotSent, f"{host} refused the connection", (_REACH_FIX,)
        case urllib3.NewConnectionError():
            return NotSent, f"{host} cannot be reached ({_text(cause)})", (_REACH_FIX,)
        case urllib3.ConnectTimeoutError() | requests.ConnectTimeout():
            return NotSent, f"{host} did not accept a connection in time", (_REACH_FIX,)
        case urllib3.ReadTimeoutError() | requests.ReadTimeout():
            return Unreachable, f"{host} did not answer in time", ()
        case urllib3.IncompleteRead():
            return Unreachable, f"the reply of {host} broke off", ()
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return Dropped, f"{host} dropped the connection", ()
        case ssl.SSLError():
            return Unreachable, f"TLS with {host} failed ({_text(cause)})", ()
        case urllib3.InvalidHeader():  # in the reply; without urllib3: in the request
            return Unreachable, f"the reply of {host} cannot be read ({_text(cause)})", ()
        case InvalidHeader():
            return NotSent, _text(cause), ()
        case InvalidURL() | InvalidSchema() | urllib3.LocationValueError():
            return Unreachable, f"GitHub gave an address that cannot be used ({_text(cause)})", ()
    return None


def _diagnose_certificate(cause: ssl.SSLCertVerificationError, host: str) -> _Diagnosis:
    fixes: tuple[str, ...] = ()
    if cause.verify_code == _EXPIRED:
        why, fixes = "has expired", ("check this host's clock",)
    elif cause.verify_code == _NOT_YET:
        why, fixes = "is not valid yet", ("check this host's clock",)
    elif cause.verify_code in (_WRONG_HOST, _WRONG_ADDRESS):
        why = "is for another name"
    else:
        why = f"is not signed by an authority that this host trusts ({cause.verify_message})"
        fixes = ("set ca to a PEM file with the authority's certificate (the proxy's, if it opens TLS)",)
    return Untrusted, f"the certificate of {host} {why}", fixes


def proxy_refuses(what: str, proxy: str) -> NotSent:
    """The error for a 407, with which the proxy itself answered instead of passing the call on."""
    why = _wants_login(proxy, "407")
    return NotSent(f"could not {what}: the proxy {address_of(proxy)} {why}", fixes=(_PROXY_FIX,))


def _wants_login(proxy: str, status: str) -> str:
    with_login = "@" in proxy
    return f"{'does not take our' if with_login else 'asks for a'} user and password ({status})"


def require_usable_proxy(what: str, proxy: str) -> None:
    """Raises `NotSent` for one that requests cannot use: its own error would show the password."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        why = "cannot be used: it must be like http://HOST:PORT"
        raise NotSent(f"could not {what}: the proxy {address_of(proxy)} {why}", fixes=(_PROXY_FIX,))


def _diagnose_proxy(causes: tuple[BaseException, ...], proxy: str) -> _Diagnosis:
    distrust = next((each for each in causes if isinstance(each, ssl.SSLCertVerificationError)), None)
    if distrust is not None:
        return _diagnose_certificate(distrust, f"the proxy {address_of(proxy)}")
    refused = next(filter(None, (_NO_LOGIN.match(str(each)) for each in causes)), None)
    if refused is not None:
        why = _wants_login(proxy, refused[1])
    elif any(isinstance(each, urllib3.NameResolutionError | socket.gaierror) for each in causes):
        why = "cannot be resolved"
    else:
        why = f"does not work ({_text(causes[-1])})"
    return NotSent, f"the proxy {address_of(proxy)} {why}", (_PROXY_FIX,)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return escaped(error.strerror, 100)
    return escaped(str(error), 100) or type(error).__name__
