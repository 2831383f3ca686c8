"""The credential that a scale set uses at GitHub, and personal access tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runscaler.config.secrets import Secret, Unresolved, resolve
from runscaler.github.credential_kinds import CredentialKind, is_intact, kind_of
from runscaler.github.token_expiry import expiry_in, moment
from runscaler.github.wire import Authorization, bearer

if TYPE_CHECKING:
    from runscaler.github.wire import Reply
    from runscaler.interrupt import Interrupt


class Credential(Protocol):
    """Authorises calls of the REST API."""

    @property
    def kind(self) -> CredentialKind: ...

    @property
    def name(self) -> str:
        """What messages call it, such as "the token"."""

    @property
    def how_to_replace(self) -> str:
        """What the user does to give another one."""

    @property
    def expires_at(self) -> float | None:
        """In seconds since the epoch; None if that is not known, or not a concern of the user's."""

    def why_refused(self, now: float) -> str:
        """What is known about why GitHub answers 401. `now` is GitHub's time."""

    def authorization(self, user_agent: str, interrupt: Interrupt, seconds: float) -> Authorization:
        """For the next call. May block for up to `seconds`. Raises `GitHubError`, `Interrupted`."""

    def accepted(self, reply: Reply) -> None:
        """GitHub took it, with this reply."""

    def has_changed(self) -> bool:
        """After GitHub refused it: is it another one by now, to be tried at once?"""

    def owner_now(self, user_agent: str, interrupt: Interrupt, seconds: float) -> str:
        """What the owner that it belongs to is called now; empty if that is not known.

        Raises `GitHubError`, `Interrupted`."""


class PersonalToken:
    """A classic or fine-grained personal access token, used as it is."""

    name = "the token"

    def __init__(self, token: Secret) -> None:
        self._token = token
        self._expires_at: float | None = None

    @property
    def kind(self) -> CredentialKind:
        return kind_of(self._token.reveal())

    @property
    def how_to_replace(self) -> str:
        return "make a new token and give it as token or RUNNER_TOKEN"

    @property
    def expires_at(self) -> float | None:
        return self._expires_at

    def why_refused(self, now: float) -> str:
        if self._expires_at is not None and self._expires_at <= now:
            return f"the token has expired, on {moment(self._expires_at)}"
        intact = is_intact(self._token.reveal())
        if intact is None:
            return "the token is wrong, expired or revoked"
        if intact:
            return "the token has expired, was revoked, or is another server's"
        return "the token is wrong: its checksum does not fit, so it was not copied as it was"

    def authorization(self, user_agent: str, interrupt: Interrupt, seconds: float) -> Authorization:
        return bearer(self._token)

    def accepted(self, reply: Reply) -> None:
        self._expires_at = expiry_in(reply.headers)

    def has_changed(self) -> bool:
        return False

    def owner_now(self, user_agent: str, interrupt: Interrupt, seconds: float) -> str:
        return ""


class FileToken(PersonalToken):
    """A personal access token in a file that is read again whenever GitHub refuses the token (fault F99)."""

    def __init__(self, token: Secret, file: Path) -> None:
        super().__init__(token)
        self._file = file
        self._problem = ""

    @property
    def how_to_replace(self) -> str:
        if self._problem:
            return f"mend the token's file, which is read again at each try ({self._problem})"
        return f"make a new token and write it to {self._file}, which is read again at each try"

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
        if self._token == known:
            return False
        self._expires_at = None
        return True
