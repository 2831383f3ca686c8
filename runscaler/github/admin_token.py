"""The admin JWT for the actions service, the service's address and how long both may be used."""

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
    """Opens the actions service at `base_url`.

    `refresh_at` and `expires_at` are wall-clock seconds of this host, so a host that slept notices.
    """

    base_url: str
    token: Secret
    refresh_at: float
    expires_at: float

    @property
    def authorization(self) -> Authorization:
        return bearer(self.token)

    def postponed(self, until: float) -> AdminToken:
        """The same token, to be refreshed at `until`, but no later than it expires."""
        return replace(self, refresh_at=min(until, self.expires_at))


def read_admin_token(value: JsonValue, clock: Clock, server_now: float | None, *, secure: bool) -> AdminToken:
    """The token in the reply to step d of docs/protocol.md § 3.1. Raises `ValueError` (fault F33).

    `server_now` is the reply's time in wall-clock seconds. `secure`: the address must be https. A token
    without a readable expiry, or one that has expired on arrival, is used for five minutes (fault F24).
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
