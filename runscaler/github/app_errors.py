"""Why GitHub rejects a GitHub App itself, before any token, and what to do about it
(docs/protocol.md § 3.2, 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runscaler.config.urls import Kind
from runscaler.errors import AccessDenied, GitHubError, NotFound
from runscaler.github.access_errors import LONGEST_REASON, SUSPECT_SKEW, common_refusal
from runscaler.github.clock_skew import CLOCK_FIXES, clock_words
from runscaler.github.credential_kinds import CredentialKind
from runscaler.github.error_replies import error_from_reply, exception_in, reply_error, server_time

if TYPE_CHECKING:
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.wire import Reply, Request

FARTHEST_AHEAD, FARTHEST_BEHIND = 60.0, 480.0
"""Seconds by which this host's clock may be wrong until GitHub refuses the times of the App's JWT."""
_TIMES = ("'exp'", "'iat'", "expiration time", "issued at")


class RefusedApp(Protocol):
    @property
    def client_id(self) -> str: ...

    @property
    def how_to_replace_the_key(self) -> str: ...


def app_error(request: Request, reply: Reply, app: RefusedApp, url: ConfigUrl, now: float) -> GitHubError:
    """The error for a call with the App's JWT. `now` is this host's wall clock."""
    said = exception_in(reply, LONGEST_REASON)[1] or "no reason given"
    if reply.status == 401:
        why, fixes = _unauthorised(app, said, now - (server_time(reply) or now))
        return reply_error(AccessDenied, request, reply, why, fixes)
    if reply.status == 404:
        why, fixes = _not_found(request, app, url, said)
        return reply_error(NotFound, request, reply, why, fixes)
    common = common_refusal(request, reply, url, CredentialKind.APP)
    return common or error_from_reply(request, reply)


def _unauthorised(app: RefusedApp, said: str, skew: float) -> tuple[str, tuple[str, ...]]:
    lowered = said.lower()
    clock = clock_words(skew, SUSPECT_SKEW)
    if skew > FARTHEST_AHEAD or skew < -FARTHEST_BEHIND or any(word in lowered for word in _TIMES):
        return f"{clock or 'this host’s clock is wrong'}, so it refuses the App's JWT ({said})", CLOCK_FIXES
    more = f"; {clock}" if clock else ""
    if "issuer" in lowered or "'iss'" in lowered:
        why = f"{app.client_id} is no App's id ({said}){more}"
        older = "GitHub Enterprise Server before 3.14 wants the App ID, a number"
        return why, ("give client-id as the App's page shows it", older)
    if "integration not found" in lowered:
        return f"there is no App {app.client_id} here ({said}){more}", (_check(app),)
    why = f"the private key is not one of the App {app.client_id} ({said}){more}"
    return why, (app.how_to_replace_the_key, _check(app))


def _not_found(request: Request, app: RefusedApp, url: ConfigUrl, said: str) -> tuple[str, tuple[str, ...]]:
    if "integration not found" in said.lower():
        return f"there is no App {app.client_id} here ({said})", (_check(app),)
    if request.method == "POST":
        fix = "correct installation-id, or leave it out: the one of url's owner is looked up then"
        return f"the App {app.client_id} has no such installation, or not any more", (fix,)
    place = "/".join(url.names)
    why = f"the App {app.client_id} is not installed for {place}, or {place} does not exist"
    chosen = ", with access to the repository" if url.kind is Kind.REPOSITORY else ""
    install = f"install it for {url.organisation}: the App's page, Install App{chosen}"
    return why, (install, f"check the spelling of {url.text}")


def _check(app: RefusedApp) -> str:
    return f"check client-id: {app.client_id} must be the id on the page of the App whose key is used"
