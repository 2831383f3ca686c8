"""The credential that a scale set uses at GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runscaler.errors import ConfigError
from runscaler.findings import Finding, Level
from runscaler.github.wire import Authorization, bearer

if TYPE_CHECKING:
    from collections.abc import Hashable

    from runscaler.config.model import ScaleSetSettings
    from runscaler.config.secrets import Secret
    from runscaler.interrupt import Interrupt


class Credential(Protocol):
    """Authorises calls of the REST API."""

    @property
    def key(self) -> Hashable:
        """Equal for credentials that may share connections, rate limits and admin tokens."""

    def authorization(self, interrupt: Interrupt, seconds: float) -> Authorization:
        """For the next call. May block for up to `seconds`. Raises `GitHubError`, `Interrupted`."""


class PersonalToken:
    """A classic or fine-grained personal access token, used as it is."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    @property
    def key(self) -> Hashable:
        return self._token

    def authorization(self, interrupt: Interrupt, seconds: float) -> Authorization:
        return bearer(self._token)


def credential_of(settings: ScaleSetSettings) -> Credential:
    """The one in the settings. Raises `ConfigError` if there is none that can be used."""
    if settings.token:
        return PersonalToken(settings.token)
    message = "no token is given"
    if settings.app is not None:
        message = "[app] is given, but GitHub Apps cannot be used yet"
    fixes = ("give a personal access token as token or RUNNER_TOKEN",)
    raise ConfigError([Finding(Level.ERROR, message, fixes, settings.name)])
