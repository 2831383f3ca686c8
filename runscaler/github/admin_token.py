"""The actions service's address and the admin JWT that opens it, with the time that they are good for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runscaler.config.secrets import Secret
from runscaler.github.fields import Fields, JsonValue
from runscaler.github.jwt import refresh_after, seconds_left
from runscaler.github.wire import Authorization, bearer, usable_url

if TYPE_CHECKING:
    from runscaler.clock import Clock

UNKNOWN_LIFETIME = 300.0
LONGEST_MARGIN = 120.0


@dataclass(frozen=True, slots=True)
class AdminToken:
    """`refresh_at` and `expires_at` are on this host's wall clock, so that a host that slept notices."""

    base_url: str
    token: Secret
    refresh_at: float
    expires_at: float

    @property
    def authorization(self) -> Authorization:
        return bearer(self.token)

    def postponed(self, until: float) -> AdminToken:
        """The same while it cannot be refreshed and still holds."""
        return replace(self, refresh_at=min(until, self.expires_at))


def read_admin_token(value: JsonValue, clock: Clock, server_now: float | None, *, secure: bool) -> AdminToken:
    """What step d of docs/protocol.md § 3.1 answered. Raises `ValueError` (fault F33).

    `secure` says that the config URL is https, so that no token may go over plain http. A token that
    does not tell its end, or is over on arrival, counts as good for five minutes (fault F24).
    """
    fields = Fields(value)
    token = fields.text("token")
    if not token:
        raise ValueError("token is missing")
    url = usable_url(fields.text("url"), "url", secure=secure)
    now = clock.wall()
    left = seconds_left(token, clock, server_now)
    if left is None:
        return AdminToken(url, Secret(token), now + UNKNOWN_LIFETIME, now + UNKNOWN_LIFETIME)
    return AdminToken(url, Secret(token), now + refresh_after(left, LONGEST_MARGIN, clock), now + left)
