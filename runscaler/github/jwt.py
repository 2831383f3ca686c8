"""When a JWT expires, read without checking its signature (docs/protocol.md § 3.1, 5.1)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from runscaler.github.fields import Fields, parse_json

if TYPE_CHECKING:
    from runscaler.clock import Clock

LONGEST_JITTER = 30.0


def jwt_expiry(token: str) -> float | None:
    """The `exp` claim in seconds since the epoch; None if it cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        expiry = Fields(parse_json(claims)).raw("exp")
        return float(expiry) if isinstance(expiry, int | float) and not isinstance(expiry, bool) else None
    except (ValueError, OverflowError):
        return None


def seconds_left(token: str, clock: Clock, server_now: float | None) -> float | None:
    """Until the token expires; None if that is unknown or past (fault F24).

    `server_now` is the `Date` of the reply that brought it, in seconds since the epoch: with that, a wrong
    clock on this host does no harm.
    """
    expiry = jwt_expiry(token)
    left = 0.0 if expiry is None else expiry - (clock.wall() if server_now is None else server_now)
    return left if left > 0 else None


def refresh_after(left: float, longest_margin: float, clock: Clock) -> float:
    """Seconds until a token that expires in `left` seconds should be refreshed: a fifth of that early, or
    `longest_margin` if that is less. Jitter makes it a little earlier, so that not all refresh at once."""
    return left - min(longest_margin, left / 5) - clock.jitter(min(LONGEST_JITTER, left / 20))
