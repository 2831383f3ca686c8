"""The credential that a scale set uses at GitHub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runscaler.config.secrets import Secret, Unresolved, resolve
from runscaler.errors import ConfigError
from runscaler.findings import Finding, Level
from runscaler.github.wire import Authorization, bearer

if TYPE_CHECKING:
    from collections.abc import Hashable

    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt


class Credential(Protocol):
    """Authorises calls of the REST API."""

    @property
    def key(self) -> Hashable:
        """Equal for credentials that may share connections, rate limits and admin tokens."""

    @property
    def name(self) -> str:
        """What metrics call it, if it has a public name: "app-42"; empty: it is numbered."""

    @property
    def how_to_replace(self) -> str:
        """What the user does to give another one."""

    def authorization(self, interrupt: Interrupt, seconds: float) -> Authorization:
        """For the next call. May block for up to `seconds`. Raises `GitHubError`, `Interrupted`."""

    def has_changed(self) -> bool:
        """After GitHub refused it: is it another one by now, to be tried at once?"""


class PersonalToken:
    """A classic or fine-grained personal access token, used as it is."""

    name = ""

    def __init__(self, token: Secret) -> None:
        self._token = token

    @property
    def key(self) -> Hashable:
        return self._token

    @property
    def how_to_replace(self) -> str:
        return "make a new token and give it as token or RUNNER_TOKEN"

    def authorization(self, interrupt: Interrupt, seconds: float) -> Authorization:
        return bearer(self._token)

    def has_changed(self) -> bool:
        return False


class FileToken:
    """A personal access token in a file that is read again whenever GitHub refuses the token (fault F99)."""

    name = ""

    def __init__(self, token: Secret, file: Path) -> None:
        self._token, self._file = token, file
        self._problem = ""

    @property
    def key(self) -> Hashable:
        return self._file

    @property
    def how_to_replace(self) -> str:
        if self._problem:
            return f"mend the token's file, which is read again at each try ({self._problem})"
        return f"make a new token and write it to {self._file}, which is read again at each try"

    def authorization(self, interrupt: Interrupt, seconds: float) -> Authorization:
        return bearer(self._token)

    def has_changed(self) -> bool:
        try:
            text = resolve(f"file:{self._file}", {}, Path())
        except Unresolved as error:
            self._problem = str(error)
            return False
        if not (text.isascii() and text.isprintable()) or " " in text:
            self._problem = f"{self._file} holds characters that no token has"
            return False
        self._problem = ""
        known, self._token = self._token, Secret(text)
        return self._token != known


def credential_of(settings: ScaleSetSettings) -> Credential:
    """The one in the settings. Raises `ConfigError` if there is none that can be used."""
    if settings.token:
        file = settings.token.file
        return FileToken(settings.token, file) if file else PersonalToken(settings.token)
    message = "no token is given"
    if settings.app is not None:
        message = "[app] is given, but GitHub Apps cannot be used yet"
    fixes = ("give a personal access token as token or RUNNER_TOKEN",)
    raise ConfigError([Finding(Level.ERROR, message, fixes, settings.name)])
