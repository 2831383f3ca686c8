"""What calls share in one process: one TLS context per CA file, one transport per credential and host."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.config.urls import parse_config_url
from runscaler.github.auth import Registrar
from runscaler.github.courier import Courier
from runscaler.github.credentials import credential_of
from runscaler.github.transport import Transport
from runscaler.github.trust import tls_context
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
        self._couriers: dict[Hashable, Courier] = {}
        self._registrars: dict[Hashable, Registrar] = {}

    def registrar(self, settings: ScaleSetSettings) -> tuple[Registrar, Courier]:
        """Shared by the sets with the same credential, config URL, proxy and CA.

        Raises `ConfigError` without a credential, `HostError` for an unreadable CA file, `InvalidUrl`.
        """
        credential = credential_of(settings)
        url = parse_config_url(settings.url)
        api_base = url.api_base(self._environ)
        place = (credential.key, api_base, settings.proxy, settings.ca)
        with self._lock:
            courier = self._couriers.get(place) or self._new_courier(place, settings)
            key = (place, url.text.lower())
            if key not in self._registrars:
                self._registrars[key] = Registrar(credential, url, api_base, courier, self._clock)
            return self._registrars[key], courier

    def close(self) -> None:
        """Idle connections are closed at once, those in use when their calls end."""
        with self._lock:
            for courier in self._couriers.values():
                courier.close()
            self._couriers.clear()
            self._registrars.clear()
        self._deadlines.close()

    def _new_courier(self, place: Hashable, settings: ScaleSetSettings) -> Courier:
        if settings.ca not in self._contexts:
            self._contexts[settings.ca] = tls_context(settings.ca, self._environ)
        transport = Transport(self._contexts[settings.ca], self._deadlines, settings.proxy or None)
        courier = self._couriers[place] = Courier(transport, self._clock)
        return courier
