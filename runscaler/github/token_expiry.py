"""When a personal access token expires, as GitHub tells with each call (docs/protocol.md § 3.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = "GitHub-Authentication-Token-Expiration"
TELLING_SECONDS = 14 * 86400.0
"""How long before its end a token's expiry is warned of."""


def expiry_in(headers: Mapping[str, str]) -> float | None:
    """Seconds since the epoch; None for a token that does not expire, or where that cannot be read."""
    text = headers.get(HEADER, "").replace(" UTC", " +0000")
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp()
    except (ValueError, OverflowError):
        return None


def moment(seconds: float) -> str:
    """A time since the epoch for people, such as 2026-12-31 00:00 UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
