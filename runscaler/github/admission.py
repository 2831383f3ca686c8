"""The actions service's address and the admin JWT that opens it, with the time that they are good for."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runscaler.config.secrets import Secret
from runscaler.github.fields import Fields, JsonValue, parse_json
from runscaler.github.wire import Authorization, bearer, usable_url

if TYPE_CHECKING:
    from runscaler.clock import Clock

UNKNOWN_LIFETIME = 300.0
LONGEST_MARGIN = 120.0
LONGEST_JITTER = 30.0


@dataclass(frozen=True, slots=True)
class Admission:
    """`refresh_at` and `expires_at` are on this host's wall clock, so that a host that slept notices."""

    base_url: str
    token: Secret
    refresh_at: float
    expires_at: float

    @property
    def authorization(self) -> Authorization:
        return bearer(self.token)

    def postponed(self, until: float) -> Admission:
        """The same while it cannot be refreshed and still holds."""
        return replace(self, refresh_at=min(until, self.expires_at))


def admission(value: JsonValue, clock: Clock, server_now: float | None, *, secure: bool) -> Admission:
    """What step d of protocol.md 3.1 answered. Raises `ValueError` (fault F33).

    The time left is counted from the reply's own `Date`, so a wrong clock here does no harm; `secure`
    says that the config URL is https, so that no token may go over plain http.
    """
    fields = Fields(value)
    url, token = fields.text("url"), fields.text("token")
    if not token:
        raise ValueError("token is missing")
    now = clock.wall()
    expiry = jwt_expiry(token)
    left = 0.0 if expiry is None else expiry - (now if server_now is None else server_now)
    if left <= 0:
        return Admission(usable_url(url, "url", secure=secure), Secret(token), *_both(now + UNKNOWN_LIFETIME))
    margin = min(LONGEST_MARGIN, left / 5) + clock.jitter(min(LONGEST_JITTER, left / 20))
    return Admission(usable_url(url, "url", secure=secure), Secret(token), now + left - margin, now + left)


def _both(time: float) -> tuple[float, float]:
    return time, time


def jwt_expiry(token: str) -> float | None:
    """The `exp` claim in seconds since the epoch, the signature unchecked; None where it cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        expiry = Fields(parse_json(claims)).raw("exp")
    except (ValueError, binascii.Error):
        return None
    return float(expiry) if isinstance(expiry, int | float) and not isinstance(expiry, bool) else None
