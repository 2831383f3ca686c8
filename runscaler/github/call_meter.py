"""Counts the calls of one credential, and notes what their replies tell of its budget and its tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runscaler.errors import RateLimited, ServerError
from runscaler.github.endpoints import endpoint_name
from runscaler.metrics import own
from runscaler.metrics.words import RetryReason
from runscaler.untrusted import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.errors import GitHubError
    from runscaler.github.wire import Reply, Request
    from runscaler.metrics.metrics import Metrics

MESSAGE_POLL = "message_poll"
NO_REPLY = "error"
_RESOURCE = re.compile(r"[a-z_]{1,32}")
_MOST_RESOURCES = 16
_EXPIRES = "GitHub-Authentication-Token-Expiration"


class CallMeter:
    """`credential` names it without telling anything of its secret. Thread-safe."""

    def __init__(self, metrics: Metrics, credential: str) -> None:
        self._metrics, self._credential = metrics, credential
        self._resources: set[str] = set()

    def attempted(self, request: Request, reply: Reply | None, seconds: float) -> None:
        """One attempt, long polls too. None: no reply came."""
        endpoint = endpoint_name(request)
        code = NO_REPLY if reply is None else str(reply.status)
        self._metrics.count(own.GITHUB_REQUESTS, endpoint, code)
        if endpoint != MESSAGE_POLL:
            self._metrics.observe(own.GITHUB_SECONDS, seconds, endpoint)
        if reply is not None:
            self._note_budget(reply.headers)
            self._note_expiry(reply.headers)

    def skewed(self, seconds: float) -> None:
        """How far this host's clock is ahead of GitHub's."""
        self._metrics.publish_one(own.CLOCK_SKEW, seconds)

    def ordered_to_wait(self, reply: Reply, seconds: float) -> None:
        """For so much longer than before."""
        if seconds > 0:
            resource = self._resource(reply.headers)
            self._metrics.count(own.RATE_LIMITED_SECONDS, self._credential, resource, by=seconds)

    def token_expires(self, kind: str, at: float) -> None:
        """At this wall-clock second."""
        self._metrics.publish_one(own.TOKEN_EXPIRY, at, self._credential, kind)

    def repeated(self, error: GitHubError) -> None:
        """The call is made again."""
        reason = RetryReason.NETWORK
        if isinstance(error, RateLimited):
            reason = RetryReason.RATE_LIMIT
        elif isinstance(error, ServerError):
            reason = RetryReason.SERVER_ERROR
        self._metrics.count(own.GITHUB_RETRIES, reason)

    def repeated_with_new_token(self) -> None:
        self._metrics.count(own.GITHUB_RETRIES, RetryReason.AUTH)

    def _note_budget(self, headers: Mapping[str, str]) -> None:
        found = {
            own.RATE_LIMIT: headers.get("X-RateLimit-Limit", ""),
            own.RATE_LIMIT_LEFT: headers.get("X-RateLimit-Remaining", ""),
            own.RATE_LIMIT_RESET: headers.get("X-RateLimit-Reset", ""),
        }
        numbers = {family: whole_number(text.strip()) for family, text in found.items()}
        if None in numbers.values():
            return
        resource = self._resource(headers)
        for family, number in numbers.items():
            self._metrics.publish_one(family, number or 0, self._credential, resource)

    def _resource(self, headers: Mapping[str, str]) -> str:
        """Which budget: GitHub's word, bounded in form and number."""
        name = headers.get("X-RateLimit-Resource", "").strip()
        if not name:
            return ""
        if not _RESOURCE.fullmatch(name):
            return "other"
        if name not in self._resources and len(self._resources) >= _MOST_RESOURCES:
            return "other"
        self._resources.add(name)
        return name

    def _note_expiry(self, headers: Mapping[str, str]) -> None:
        if (text := headers.get(_EXPIRES, "")) and (at := expiry(text)) is not None:
            self.token_expires("pat", at)


def expiry(text: str) -> float | None:
    """Wall-clock seconds of "2026-12-01 12:00:00 UTC" or "… -0700"; None for anything else."""
    words = text.strip()[:40]
    try:
        if words.endswith(" UTC"):
            return datetime.strptime(words, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC).timestamp()
        return datetime.strptime(words, "%Y-%m-%d %H:%M:%S %z").timestamp()
    except (ValueError, OverflowError):
        return None
