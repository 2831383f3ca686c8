"""What the scale sets of one process share: TLS contexts, transports, admin tokens."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.config.proxy_url import revealed
from runscaler.config.urls import parse_config_url
from runscaler.github.admin_token_cache import AdminTokenCache
from runscaler.github.credentials import credential_of
from runscaler.github.pacing import Pacer
from runscaler.github.rate_limited import RateLimitedTransport
from runscaler.github.rate_limits import RateLimits
from runscaler.github.tls import tls_context
from runscaler.github.transport import Transport
from runscaler.net.deadlines import Deadlines

if TYPE_CHECKING:
    import ssl
    from collections.abc import Hashable, Mapping

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings


class TransportPool:
    """One for each `Autoscaler`. Thread-safe.

    `clock` times rate limits and tokens; the deadlines of calls are always real time.
    """

    def __init__(self, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._environ = environ
        self._lock = threading.Lock()
        self._deadlines = Deadlines(SystemClock())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._limits: dict[Hashable, tuple[RateLimits, Pacer]] = {}
        self._transports: dict[Hashable, RateLimitedTransport] = {}
        self._token_caches: dict[Hashable, AdminTokenCache] = {}

    def for_scale_set(self, settings: ScaleSetSettings) -> tuple[AdminTokenCache, RateLimitedTransport]:
        """What the scale set shares with those of the same credential, host, proxy and CA: a transport,
        and admin tokens if their config URL is the same too. Rate limits do not depend on proxy and CA.

        Raises `ConfigError` without a credential, `HostError` for an unreadable CA file, `InvalidUrl`.
        """
        credential = credential_of(settings)
        url = parse_config_url(settings.url)
        api_base = url.api_base(self._environ)
        key = (credential.key, api_base, settings.proxy, settings.ca)
        with self._lock:
            transport = self._transports.get(key)
            if transport is None:
                limits = self._limits_of(credential.key, api_base, hosted=url.hosted(self._environ))
                transport = self._transports[key] = self._new_transport(settings, *limits)
            token_key = (key, url.text.lower())
            if token_key not in self._token_caches:
                cache = AdminTokenCache(credential, url, api_base, transport, self._clock)
                self._token_caches[token_key] = cache
            return self._token_caches[token_key], transport

    def trust(self, ca: str) -> None:
        """Read the certificates of the system and of the file `ca`. Raises `HostError` if that is impossible;
        they are not read again."""
        with self._lock:
            self._context(ca)

    def close(self) -> None:
        """Close idle connections; those in use are closed when their calls end. Ends the thread that
        watches deadlines."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()
            self._token_caches.clear()
        self._deadlines.close()

    def _limits_of(self, credential: Hashable, api_base: str, *, hosted: bool) -> tuple[RateLimits, Pacer]:
        """What GitHub allows a credential, whatever proxies and CAs its scale sets have."""
        key = (credential, api_base)
        if key not in self._limits:
            self._limits[key] = RateLimits(self._clock), Pacer(self._clock, hosted=hosted)
        return self._limits[key]

    def _new_transport(
        self, settings: ScaleSetSettings, limits: RateLimits, pacer: Pacer
    ) -> RateLimitedTransport:
        unlimited = Transport(self._context(settings.ca), self._deadlines, revealed(settings.proxy))
        return RateLimitedTransport(unlimited, self._clock, limits, pacer)

    def _context(self, ca: str) -> ssl.SSLContext:
        if ca not in self._contexts:
            self._contexts[ca] = tls_context(ca, self._environ)
        return self._contexts[ca]
