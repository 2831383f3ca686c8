"""A token that several threads use: fetched once for all of them, renewed ahead of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from runscaler.errors import GitHubError
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

RENEWAL_GAP = 10.0
POSTPONED = 30.0


class RenewableToken(Protocol):
    """Times are wall-clock seconds of this host, so a host that slept notices."""

    @property
    def refresh_at(self) -> float: ...

    @property
    def expires_at(self) -> float: ...

    def postponed(self, until: float) -> Self:
        """The same token, to be refreshed at `until`, but no later than it expires."""


Token = TypeVar("Token", bound=RenewableToken)


class SharedToken(Generic[Token]):
    """One thread fetches the token for all that need it: shortly before it expires, or when GitHub refuses
    it earlier. Thread-safe.

    `fetch` is given a User-Agent, an interrupt, and the seconds that each request may take; it raises
    `GitHubError` and `Interrupted`.
    """

    def __init__(self, fetch: Callable[[str, Interrupt, float], Token], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fetching = InterruptibleSemaphore(1)
        self._token: Token | None = None
        self._rounds = 0
        self._failure: GitHubError | None = None
        self._renewed_at: float | None = None

    def current(self, user_agent: str, interrupt: Interrupt, seconds: float) -> Token:
        """A token that has not expired. Raises `GitHubError`, `Interrupted`.

        If a refresh fails while the token is still valid, that one is used for another 30 s.
        """
        known = self._token
        if known is not None and self._clock.wall() < known.refresh_at:
            return known
        try:
            return self._refreshed(known, user_agent, interrupt, seconds)
        except GitHubError:
            if known is None or self._clock.wall() >= known.expires_at:
                raise
            self._token = known.postponed(self._clock.wall() + POSTPONED)
            return self._token

    def renew(self, refused: Token, user_agent: str, interrupt: Interrupt, seconds: float) -> Token:
        """Another token than `refused`, which GitHub did not accept. Fetched at most once in 10 s.

        Raises `GitHubError`, `Interrupted`.
        """
        if self._renewed_at is not None and self._token is refused:
            gap = self._renewed_at + RENEWAL_GAP - self._clock.monotonic()
            if gap > 0:
                self._clock.pause(gap, interrupt)
        if self._token is not refused and self._token is not None:
            return self._token
        fresh = self._refreshed(refused, user_agent, interrupt, seconds)
        self._renewed_at = self._clock.monotonic()
        return fresh

    def forget(self, refused: Token) -> None:
        """Drop a token that GitHub did not accept: the next call fetches another."""
        if self._token is refused:
            self._token = None

    def _refreshed(self, known: Token | None, user_agent: str, interrupt: Interrupt, seconds: float) -> Token:
        """One refresh at a time. A thread that waited for another's refresh takes its result, or raises its
        error."""
        before = self._rounds
        with self._fetching.held(interrupt):
            if self._token is not None and self._token is not known:
                return self._token
            if self._failure is not None and self._rounds != before:
                raise self._failure
            self._failure = None  # of an earlier round; this one may be interrupted and leave none
            try:
                self._token = self._fetch(user_agent, interrupt, seconds)
            except GitHubError as error:
                self._failure = error
                raise
            finally:
                self._rounds += 1
            return self._token
