"""A GitHub App as the credential of scale sets: it authorises with the token of one installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.errors import NotFound
from runscaler.github.app import Caller
from runscaler.github.credential_kinds import CredentialKind

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.app import GitHubApp, InstallationToken
    from runscaler.github.wire import Authorization, Reply
    from runscaler.interrupt import Interrupt

FRESH_SECONDS = 60.0
"""A token that is refused so soon after it was fetched is not replaced: another would be refused, too."""


class AppCredential:
    """For one config URL. Without an `installation` that of the URL's owner is looked up.

    Used by one thread at a time, as a refresh of the admin token is.
    """

    kind = CredentialKind.APP
    expires_at = None

    def __init__(self, app: GitHubApp, url: ConfigUrl, installation: int | None, clock: Clock) -> None:
        self._app, self._url, self._clock = app, url, clock
        self._given = installation
        self._found: int | None = None
        self._used: InstallationToken | None = None

    @property
    def name(self) -> str:
        return f"the GitHub App {self._app.client_id}"

    @property
    def how_to_replace(self) -> str:
        return "if it stays so, check on the App's page that it is still installed, with this repository"

    def why_refused(self, now: float) -> str:
        return "the installation's token was revoked"

    def authorization(self, user_agent: str, interrupt: Interrupt, seconds: float) -> Authorization:
        caller = Caller(self._url, user_agent, interrupt, seconds)
        installation = self._installation(caller)
        try:
            tokens = self._app.tokens_of(installation, self._url)
            self._used = tokens.current(user_agent, interrupt, seconds)
        except NotFound:
            self._found = None  # the App may have been removed and installed again, under another id
            raise
        return self._used.authorization

    def accepted(self, reply: Reply) -> None:
        return

    def has_changed(self) -> bool:
        """An older token is fetched anew: it may be revoked, or lack rights that were given since."""
        used, installation = self._used, self._given or self._found
        if used is None or installation is None or self._clock.wall() - used.fetched_at < FRESH_SECONDS:
            return False
        self._app.tokens_of(installation, self._url).forget(used)
        return True

    def owner_now(self, user_agent: str, interrupt: Interrupt, seconds: float) -> str:
        installation = self._given or self._found
        if installation is None:
            return ""
        return self._app.owner_of(installation, Caller(self._url, user_agent, interrupt, seconds))

    def _installation(self, caller: Caller) -> int:
        if self._given is None and self._found is None:
            self._found = self._app.find_installation(caller)
        installation = self._given or self._found
        assert installation is not None
        return installation
