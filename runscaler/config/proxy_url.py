"""The URL of a forward proxy, whose user name and password cannot be printed by accident."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, final
from urllib.parse import unquote, urlsplit

from runscaler.config.problems import mask_user_info
from runscaler.config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
"""In either case."""


@final
class ProxyUrl:
    """`str`, `repr` and `format` mask user name and password. Use `reveal()` only to connect and for runners.

    Raises `ValueError` for anything but http://[USER:PASSWORD@]HOST[:PORT] and the same with https.
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        scheme, mark, rest = url.partition("://")
        if not mark or not rest or scheme not in ("http", "https"):
            raise ValueError("it is not an http:// or https:// URL")
        _check(url)
        self._url = url

    def reveal(self) -> str:
        return self._url

    def secrets(self) -> tuple[Secret, ...]:
        """What to mask wherever it turns up."""
        return tuple(map(Secret, passwords_in(self._url)))

    def __str__(self) -> str:
        return mask_user_info(self._url)

    def __repr__(self) -> str:
        return f"ProxyUrl({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProxyUrl) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)


def revealed(proxy: ProxyUrl | None) -> str:
    """The whole URL; empty without a proxy."""
    return "" if proxy is None else proxy.reveal()


def passwords_in(url: str) -> tuple[str, ...]:
    """The password of a URL, which need not be a good one: as it is, decoded, and as a header has it."""
    user_info = url.partition("://")[2].rpartition("@")[0]
    user, colon, password = user_info.partition(":")
    if not password:
        return ()
    header = base64.b64encode(f"{unquote(user)}{colon}{unquote(password)}".encode()).decode()
    return tuple(dict.fromkeys((password, unquote(password), header)))


def passwords_in_environment(environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """Those of the proxies that HTTPS_PROXY and its like name."""
    urls = (value for name, value in environ.items() if name.lower() in PROXY_VARIABLES)
    return tuple(Secret(text) for url in urls for text in passwords_in(url))


def _check(url: str) -> None:
    """Raises `ValueError`, with nothing of the URL in it."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("it holds characters that must be written as %XX")
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("its host or port cannot be read; write @, : and / of a password as %XX") from None
    if not usable:
        raise ValueError("its host or port cannot be read; write @, : and / of a password as %XX")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("it has more than a host and a port; write / of a password as %2F")
