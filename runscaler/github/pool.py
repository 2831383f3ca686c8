"""What calls share in one process: one TLS context per CA file, one transport per credential and host."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.config.urls import parse_config_url
from runscaler.github.admin_token_cache import AdminTokenCache
from runscaler.github.credentials import credential_of
from runscaler.github.rate_limited import RateLimitedTransport
from runscaler.github.tls import tls_context
from runscaler.github.transport import Transport
from runscaler.net.deadlines import Deadlines

if TYPE_CHECKING:
    import ssl
    from collections.abc import Hashable, Mapping

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings


class TransportPool:
    """One per facade; `close` closes every connection and ends the thread that watches deadlines.

    `clock` is what rate limits and tokens are timed with; deadlines on sockets are always real time.
    """

    def __init__(self, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._environ = environ
        self._lock = threading.Lock()
        self._deadlines = Deadlines(SystemClock())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._transports: dict[Hashable, RateLimitedTransport] = {}
        self._token_caches: dict[Hashable, AdminTokenCache] = {}

    def for_scale_set(self, settings: ScaleSetSettings) -> tuple[AdminTokenCache, RateLimitedTransport]:
        """Shared by the sets with the same credential, config URL, proxy and CA.

        Raises `ConfigError` without a credential, `HostError` for an unreadable CA file, `InvalidUrl`.
        """
        credential = credential_of(settings)
        url = parse_config_url(settings.url)
        api_base = url.api_base(self._environ)
        place = (credential.key, api_base, settings.proxy, settings.ca)
        with self._lock:
            transport = self._transports.get(place) or self._new_transport(place, settings)
            key = (place, url.text.lower())
            if key not in self._token_caches:
                self._token_caches[key] = AdminTokenCache(credential, url, api_base, transport, self._clock)
            return self._token_caches[key], transport

    def close(self) -> None:
        """Idle connections are closed at once, those in use when their calls end."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()
            self._token_caches.clear()
        self._deadlines.close()

    def _new_transport(self, place: Hashable, settings: ScaleSetSettings) -> RateLimitedTransport:
        if settings.ca not in self._contexts:
            self._contexts[settings.ca] = tls_context(settings.ca, self._environ)
        wire = Transport(self._contexts[settings.ca], self._deadlines, settings.proxy or None)
        transport = self._transports[place] = RateLimitedTransport(wire, self._clock)
        return transport
