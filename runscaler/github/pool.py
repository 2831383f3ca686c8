"""What the scale sets of one process share: TLS contexts, transports, admin tokens."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.config.urls import Kind, parse_config_url
from runscaler.errors import ConfigError
from runscaler.findings import Finding, Level
from runscaler.github.admin_token_cache import AdminTokenCache
from runscaler.github.app import GitHubApp
from runscaler.github.app_credential import AppCredential
from runscaler.github.credentials import FileToken, PersonalToken
from runscaler.github.rate_limited import RateLimitedTransport
from runscaler.github.tls import tls_context
from runscaler.github.transport import Transport
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

    def __init__(self, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._environ = environ
        self._lock = threading.Lock()
        self._deadlines = Deadlines(SystemClock())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._transports: dict[Hashable, RateLimitedTransport] = {}
        self._token_caches: dict[Hashable, AdminTokenCache] = {}
        self._apps: dict[Hashable, GitHubApp] = {}

    def for_scale_set(self, settings: ScaleSetSettings) -> tuple[AdminTokenCache, RateLimitedTransport]:
        """What the scale set shares with those of the same credential, host, proxy and CA: a transport,
        and admin tokens if their config URL is the same too.

        Raises `ConfigError` without a credential, `HostError` for an unreadable CA file, `InvalidUrl`.
        """
        url = parse_config_url(settings.url)
        api_base = url.api_base(self._environ)
        key = (credential_key(settings, url), api_base, settings.proxy, settings.ca)
        with self._lock:
            transport = self._transports.get(key) or self._new_transport(key, settings)
            token_key = (key, url.text.lower(), settings.app and settings.app.installation_id)
            if token_key not in self._token_caches:
                credential = self._credential(settings, url, api_base, transport, key)
                cache = AdminTokenCache(credential, url, api_base, transport, self._clock)
                self._token_caches[token_key] = cache
            return self._token_caches[token_key], transport

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

    def _new_transport(self, key: Hashable, settings: ScaleSetSettings) -> RateLimitedTransport:
        if settings.ca not in self._contexts:
            self._contexts[settings.ca] = tls_context(settings.ca, self._environ)
        unlimited = Transport(self._contexts[settings.ca], self._deadlines, settings.proxy or None)
        transport = self._transports[key] = RateLimitedTransport(unlimited, self._clock)
        return transport


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
