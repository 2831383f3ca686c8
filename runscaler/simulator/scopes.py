"""Scopes: what a config URL names, and its tenant at the actions service (docs/protocol.md § 2)."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit


def scope_of(url: str) -> str:
    """`my-org`, `owner/repo` or `enterprises/name` in lower case; empty for any other URL."""
    parts = urlsplit(url).path.strip("/").lower().split("/")
    if len(parts) == 1 or (len(parts) == 2 and all(parts)):
        return "/".join(parts)
    return ""


def tenant_of(scope: str) -> str:
    """The path segment that stands for the scope at the actions service."""
    return hashlib.sha256(scope.encode()).hexdigest()[:12]


def default_repository(scope: str) -> str:
    """The `owner/repo` that jobs of a scope come from by default."""
    if scope.startswith("enterprises/"):
        return f"{scope.partition('/')[2]}-org/demo"
    return scope if "/" in scope else f"{scope}/demo"
