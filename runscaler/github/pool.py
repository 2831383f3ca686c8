"""What the scale sets of one process share: TLS contexts, transports, admin tokens."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.config.proxy_url import revealed
from runscaler.config.urls import Kind, parse_config_url
from runscaler.errors import ConfigError
from runscaler.findings import Finding, Level
from runscaler.github.admin_token_cache import AdminTokenCache
from runscaler.github.app import GitHubApp
from runscaler.github.app_credential import AppCredential
from runscaler.github.call_meter import CallMeter
from runscaler.github.credentials import FileToken, PersonalToken
from runscaler.github.pacing import Pacer
from runscaler.github.rate_limited import RateLimitedTransport
from runscaler.github.rate_limits import RateLimits
from runscaler.github.tls import tls_context, trust_again
from runscaler.github.transport import Transport
from runscaler.metrics.metrics import Metrics
from runscaler.net.deadlines import Deadlines

if TYPE_CHECKING:
    import ssl
    from collections.abc import Hashable, Mapping

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.credentials import Credential


ENTERPRISE_FIX = "use a classic token with manage_runners:enterprise"


class TransportPool:
    """One for each `Autoscaler`. Thread-safe.

    `clock` times rate limits and tokens; the deadlines of calls are always real time.
    """

    def __init__(
        self, clock: Clock, environ: Mapping[str, str] = os.environ, metrics: Metrics | None = None
    ) -> None:
        self._clock = clock
        self._environ = environ
        self._metrics = metrics or Metrics()
        self._names: dict[Hashable, str] = {}
        """What each credential is called where people see it."""
        self._lock = threading.Lock()
        self._deadlines = Deadlines(SystemClock())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._limits: dict[Hashable, tuple[RateLimits, Pacer]] = {}
        self._transports: dict[Hashable, RateLimitedTransport] = {}
        self._token_caches: dict[Hashable, AdminTokenCache] = {}
        self._apps: dict[Hashable, GitHubApp] = {}

    def for_scale_set(self, settings: ScaleSetSettings) -> tuple[AdminTokenCache, RateLimitedTransport]:
        """What the scale set shares with those of the same credential, host, proxy and CA: a transport,
        and admin tokens if their config URL is the same too. Rate limits do not depend on proxy and CA.

        Raises `ConfigError` without a credential, `HostError` for an unreadable CA file, `InvalidUrl`.
        """
        url = parse_config_url(settings.url)
        api_base = url.api_base(self._environ)
        credential_id = credential_key(settings, url)
        key = (credential_id, api_base, settings.proxy, settings.ca)
        with self._lock:
            transport = self._transports.get(key)
            if transport is None:
                limits = self._limits_of(credential_id, api_base, hosted=url.hosted(self._environ))
                meter = CallMeter(self._metrics, self._name(credential_id, settings))
                transport = self._transports[key] = self._new_transport(settings, *limits, meter)
            token_key = (key, url.text.lower(), settings.app and settings.app.installation_id)
            if token_key not in self._token_caches:
                credential = self._credential(settings, url, api_base, transport, key)
                cache = AdminTokenCache(credential, url, api_base, transport, self._clock)
                self._token_caches[token_key] = cache
            return self._token_caches[token_key], transport

    def trust(self, ca: str) -> None:
        """Read the certificates of the system and of the file `ca`; the next time, those that are new in
        that file or in those that variables name. Raises `HostError` if that is impossible."""
        with self._lock:
            known = self._contexts.get(ca)
            if known is None:
                self._context(ca)
            else:
                trust_again(known, ca, self._environ)

    def close(self) -> None:
        """Close idle connections; those in use are closed when their calls end. Ends the thread that
        watches deadlines."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()
            self._token_caches.clear()
            self._apps.clear()
        self._deadlines.close()

    def _credential(
        self,
        settings: ScaleSetSettings,
        url: ConfigUrl,
        api_base: str,
        transport: RateLimitedTransport,
        key: Hashable,
    ) -> Credential:
        if settings.app is not None and not settings.token:
            app = self._apps.get(key) or GitHubApp(settings.app, api_base, transport, self._clock)
            self._apps[key] = app
            return AppCredential(app, url, settings.app.installation_id, self._clock)
        assert settings.token is not None
        file = settings.token.file
        return FileToken(settings.token, file) if file else PersonalToken(settings.token)

    def _name(self, credential_id: Hashable, settings: ScaleSetSettings) -> str:
        """What metrics call the credential: the App's public id, else a number in the order of first use;
        never a part of a secret."""
        if settings.app is not None and not settings.token:
            return f"app-{settings.app.client_id}"
        return self._names.setdefault(credential_id, f"token-{len(self._names) + 1}")

    def _limits_of(self, credential: Hashable, api_base: str, *, hosted: bool) -> tuple[RateLimits, Pacer]:
        """What GitHub allows a credential, whatever proxies and CAs its scale sets have."""
        key = (credential, api_base)
        if key not in self._limits:
            self._limits[key] = RateLimits(self._clock), Pacer(self._clock, hosted=hosted)
        return self._limits[key]

    def _new_transport(
        self, settings: ScaleSetSettings, limits: RateLimits, pacer: Pacer, meter: CallMeter
    ) -> RateLimitedTransport:
        unlimited = Transport(self._context(settings.ca), self._deadlines, revealed(settings.proxy))
        return RateLimitedTransport(unlimited, self._clock, limits, pacer, meter)

    def _context(self, ca: str) -> ssl.SSLContext:
        if ca not in self._contexts:
            self._contexts[ca] = tls_context(ca, self._environ)
        return self._contexts[ca]


def credential_key(settings: ScaleSetSettings, url: ConfigUrl) -> Hashable:
    """Equal for credentials that may share connections, rate limits and tokens. GitHub limits each
    installation of an App by itself; an owner has one.

    Raises `ConfigError` if there is none that can be used.
    """
    if settings.token:
        return settings.token.file or settings.token
    if settings.app is None:
        fixes = ("give a personal access token as token or RUNNER_TOKEN, or a GitHub App as [app]",)
        raise ConfigError([Finding(Level.ERROR, "no token is given", fixes, settings.name)])
    if url.kind is Kind.ENTERPRISE:
        message = "a GitHub App cannot register runners for an enterprise"
        raise ConfigError([Finding(Level.ERROR, message, (ENTERPRISE_FIX,), settings.name)])
    key = settings.app.private_key
    return settings.app.client_id, key.file or key, url.organisation.lower()
