"""The kinds of credentials that GitHub takes, what each may do, and what a token tells about itself
(docs/protocol.md § 3.2)."""

from __future__ import annotations

import re
import zlib
from enum import Enum

from runscaler.config.urls import Kind

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WITH_CHECKSUM = re.compile(r"gh[a-z]_([A-Za-z0-9]{30})([A-Za-z0-9]{6})")


class CredentialKind(Enum):
    CLASSIC = "classic token"
    FINE_GRAINED = "fine-grained token"
    APP = "GitHub App"
    UNKNOWN = "token"


_PREFIXES = {"ghp_": CredentialKind.CLASSIC, "github_pat_": CredentialKind.FINE_GRAINED}

_CLASSIC = {
    Kind.ORGANISATION: "a classic token needs the scope admin:org, and its owner must own the organisation",
    Kind.REPOSITORY: "a classic token needs the scope repo, and its owner must administer the repository",
    Kind.ENTERPRISE: "a classic token needs the scope manage_runners:enterprise; fine-grained tokens and "
    "Apps do not work",
}
_FINE_GRAINED = {
    Kind.ORGANISATION: (
        "a fine-grained token needs Self-hosted runners: read and write and Administration: read",
        "a fine-grained token may still wait for the organisation's approval",
    ),
    Kind.REPOSITORY: (
        "a fine-grained token needs Administration: read and write on the repository",
        "a fine-grained token may still wait for the organisation's approval",
    ),
}
_APP = {
    Kind.ORGANISATION: "the App needs the organisation permission Self-hosted runners: read and write",
    Kind.REPOSITORY: "the App needs the repository permission Administration: read and write",
}
_ACCEPTED = "an owner must accept changed permissions on the page of the App's installation"


def rights(kind: CredentialKind, place: Kind) -> tuple[str, ...]:
    """What a credential of this kind needs for an organisation, repository or enterprise, a hint each."""
    if place is Kind.ENTERPRISE:
        return (_CLASSIC[place],)
    if kind is CredentialKind.APP:
        return (_APP[place], _ACCEPTED)
    classic = () if kind is CredentialKind.FINE_GRAINED else (_CLASSIC[place],)
    fine_grained = () if kind is CredentialKind.CLASSIC else _FINE_GRAINED[place]
    return (*classic, *fine_grained)


def kind_of(token: str) -> CredentialKind:
    """What a personal access token's prefix tells."""
    for prefix, kind in _PREFIXES.items():
        if token.startswith(prefix):
            return kind
    return CredentialKind.UNKNOWN


def is_intact(token: str) -> bool | None:
    """Whether a token ends in its checksum, as it does unless it was copied wrongly; None if it has none."""
    found = _WITH_CHECKSUM.fullmatch(token)
    return None if found is None else _checksum(found[1]) == found[2]


def _checksum(text: str) -> str:
    rest, digits = zlib.crc32(text.encode()), ""
    while rest:
        rest, digit = divmod(rest, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0")
