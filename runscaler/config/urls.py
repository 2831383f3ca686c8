"""The config URL: the page of an organisation, repository or enterprise (docs/protocol.md § 2).

The rules live here once: the configuration is checked with them, `github` makes its calls from them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

FORCE_GHES = "GITHUB_ACTIONS_FORCE_GHES"
_HOSTED = ("github.com", "www.github.com")
_SHOULD = "it should point to an organisation, repository or enterprise"


class Kind(StrEnum):
    """What the URL names."""

    ORGANISATION = "organisation"
    REPOSITORY = "repository"
    ENTERPRISE = "enterprise"


class InvalidUrl(ValueError):
    """Not a config URL; the text is the reason, `hint` what was probably meant (may be empty)."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ConfigUrl:
    """A config URL in its parts.

    `text` is the URL as given without blanks and slashes around it: what step d of docs/protocol.md § 3.1
    sends. `host` is in lower case and has the port, if the text has one. `names` are the path's one
    or two names in their own spelling, without the segment `enterprises`.
    """

    text: str
    scheme: str
    host: str
    kind: Kind
    names: tuple[str, ...]

    @property
    def organisation(self) -> str:
        """The organisation or the repository's owner; empty for an enterprise."""
        return "" if self.kind is Kind.ENTERPRISE else self.names[0]

    @property
    def repository(self) -> str:
        """The repository without its owner; empty where the URL has none."""
        return self.names[1] if self.kind is Kind.REPOSITORY else ""

    @property
    def enterprise(self) -> str:
        return self.names[0] if self.kind is Kind.ENTERPRISE else ""

    @property
    def registration_path(self) -> str:
        """Where a registration token is had, below the API base."""
        section = {Kind.ORGANISATION: "orgs", Kind.REPOSITORY: "repos", Kind.ENTERPRISE: "enterprises"}
        return f"/{section[self.kind]}/{'/'.join(self.names)}/actions/runners/registration-token"

    def hosted(self, environ: Mapping[str, str]) -> bool:
        """Served by GitHub itself, not by an Enterprise Server."""
        if FORCE_GHES in environ:
            return False
        return self.host in _HOSTED or self.host == "github.localhost" or self.host.endswith(".ghe.com")

    def api_base(self, environ: Mapping[str, str]) -> str:
        """Root of the REST API, without a slash at its end."""
        if not self.hosted(environ):
            return f"{self.scheme}://{self.host}/api/v3"
        if self.host in _HOSTED:
            return "https://api.github.com"
        if self.host == "github.localhost":
            return f"{self.scheme}://api.github.localhost"
        return f"https://api.{self.host}"

    @property
    def warning(self) -> str:
        """Why the URL is doubtful, or empty: a token would cross the network in the clear."""
        if self.scheme == "https" or _is_loopback(self.host):
            return ""
        return "http:// sends the token in the clear beyond this host: use https://"


def parse_config_url(text: str) -> ConfigUrl:
    """The parts of a config URL. Raises `InvalidUrl` with the reason and a hint."""
    trimmed = text.strip().strip("/")
    parts = _split(trimmed)
    segments = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    _check_segments(trimmed, segments)
    kind, names = _names(segments)
    return ConfigUrl(trimmed, parts.scheme, parts.netloc.lower(), kind, names)


def _split(text: str) -> SplitResult:
    if "@" in text.split("/")[2 if "://" in text else 0]:
        raise InvalidUrl("it holds a user name or password", "give the credential as token")
    if "://" not in text:
        raise InvalidUrl("it has no scheme", _with_scheme(text))
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise InvalidUrl(f"it is not a URL ({error})") from error
    if parts.scheme not in ("http", "https"):
        raise InvalidUrl(f"its scheme is {parts.scheme!r}, not https")
    if not parts.hostname:
        raise InvalidUrl("it has no host")
    for sign, what in (("?", "query"), ("#", "fragment")):
        if sign in text:
            raise InvalidUrl(f"it has a {what}", text.partition(sign)[0].rstrip("/"))
    if any(sign.isspace() or not sign.isprintable() for sign in text):
        raise InvalidUrl("it has a blank in it")
    return parts


def _with_scheme(text: str) -> str:
    return f"https://{text}" if "." in text else f"https://github.com/{text or 'my-org'}"


def _check_segments(text: str, segments: list[str]) -> None:
    root = text.split("/", 3)
    base = "/".join(root[:3])
    if not segments:
        raise InvalidUrl(f"it has no path: {_SHOULD}", f"{base}/my-org")
    if "" in segments:
        raise InvalidUrl("it has an empty part in its path", f"{base}/{'/'.join(filter(None, segments))}")
    first = segments[0].lower()
    if first in ("orgs", "organizations", "organisations", "users"):
        raise InvalidUrl(f"it begins with {segments[0]}/: {_SHOULD}", _without_first(base, segments))
    if first == "settings" or "settings" in (part.lower() for part in segments[2:]):
        raise InvalidUrl(f"it is a settings page: {_SHOULD}", _before_settings(base, segments))
    if first == "enterprises" and len(segments) == 1:
        raise InvalidUrl("it names no enterprise", f"{base}/enterprises/NAME")
    if segments[-1].lower().endswith(".git"):
        raise InvalidUrl("it ends in .git: that is what git clones", text[: -len(".git")])
    if len(segments) > 2:
        raise InvalidUrl(
            f"its path has {len(segments)} parts: {_SHOULD}", f"{base}/{segments[0]}/{segments[1]}"
        )


def _without_first(base: str, segments: list[str]) -> str:
    return f"{base}/{segments[1]}" if len(segments) > 1 else f"{base}/my-org"


def _before_settings(base: str, segments: list[str]) -> str:
    kept = [] if segments[0].lower() == "settings" else segments[:2]
    return f"{base}/{'/'.join(kept)}" if kept else f"{base}/my-org"


def _names(segments: list[str]) -> tuple[Kind, tuple[str, ...]]:
    if segments[0].lower() == "enterprises":
        return Kind.ENTERPRISE, (segments[1],)
    return (Kind.REPOSITORY if len(segments) == 2 else Kind.ORGANISATION), tuple(segments)


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
