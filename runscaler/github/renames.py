"""What GitHub calls an organisation or repository that was renamed or moved (docs/protocol.md § 3.3)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runscaler.config.urls import Kind
from runscaler.github.fields import Fields

if TYPE_CHECKING:
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.fields import JsonValue

_NAMED = re.compile(r"/(?:orgs|repos|enterprises)/([^/]+)(?:/([^/]+))?/actions/runners/")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def names_in(redirected_to: str) -> tuple[str, ...]:
    """The names in the address that GitHub redirects to; none if it tells a number instead."""
    found = _NAMED.search(redirected_to.partition("?")[0])
    return tuple(unquote(name) for name in found.groups() if name) if found else ()


def lookup_url(redirected_to: str) -> str:
    """The address that tells what is behind the one that GitHub redirects to."""
    return redirected_to.partition("?")[0].partition("/actions/runners/")[0]


def names_of(value: JsonValue) -> tuple[str, ...]:
    """The names in GitHub's description of a repository or an organisation. Raises `ValueError`."""
    fields = Fields(value)
    return tuple((fields.text("full_name") or fields.text("login")).split("/"))


def renamed(url: ConfigUrl, names: tuple[str, ...]) -> ConfigUrl:
    """The config URL with other names; the same if they are none, or those that it has.

    What GitHub says is trusted for names of the same kind on the same host only.
    """
    if url.kind is Kind.ENTERPRISE or len(names) != len(url.names) or not all(map(_NAME.fullmatch, names)):
        return url
    if [name.lower() for name in names] == [name.lower() for name in url.names]:
        return url
    text = f"{url.scheme}://{url.host}/{'/'.join(names)}"
    return replace(url, text=text, names=names)


def moved_words(url: str, moved_to: str) -> str:
    return f"GitHub calls {url} {moved_to} now: it was renamed or moved"


def moved_fix(moved_to: str) -> str:
    return f'set url = "{moved_to}", and start again: the old name may be given to somebody else'
