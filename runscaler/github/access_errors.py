"""Why GitHub rejects a credential, and what to do about it (docs/protocol.md § 3.2, 3.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runscaler.errors import AccessDenied, GitHubError, NotFound
from runscaler.github.clock_skew import clock_words
from runscaler.github.credential_kinds import CredentialKind, rights
from runscaler.github.error_replies import error_from_reply, exception_in, reply_error, server_time
from runscaler.github.fields import escaped
from runscaler.github.renames import names_in

if TYPE_CHECKING:
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.credentials import Credential
    from runscaler.github.wire import Reply, Request

_SSO_URL = re.compile(r"url=(https://\S+)")
SUSPECT_SKEW = 30.0
"""Seconds by which this host's clock must be wrong to be named where GitHub refuses a credential."""
LONGEST_REASON = 500
"""How much of GitHub's text is shown: where it forbids something, the text ends with the cure."""

_POLICIES = (
    ("archived", ("unarchive the repository, or give another url",)),
    ("lifetime", ("make a token with a shorter lifetime",)),
    ("(classic)", ("make a fine-grained token, if the organisation takes those",)),
    ("runners", ("an owner may allow self-hosted runners in the settings, under Actions",)),
)
"""What a policy is about → what to do. Only where GitHub's text names it."""
_FORBIDDING = ("forbids", "disabled", "archived", "read-only", "read only", "policy", "not allowed")
_LACKING = ("not accessible by", "admin rights", "must be an owner", "must be an admin", "permission")


def access_error(
    request: Request, reply: Reply, url: ConfigUrl, now: float, credential: Credential
) -> GitHubError:
    """The error for a REST call that failed, other than by a rate limit. `now` is this host's wall clock.

    A 403 means a missing right only where something says so: else it is a policy of the organisation or
    the enterprise, and GitHub's own text is all that can be told (fault F94).
    """
    common = common_refusal(request, reply, url, credential.kind)
    if common is not None:
        return common
    if reply.status == 401:
        return _bad_credentials(request, reply, url, now, credential)
    if reply.status == 404:
        return _not_found(request, reply, url, credential)
    return error_from_reply(request, reply)


def common_refusal(
    request: Request, reply: Reply, url: ConfigUrl, kind: CredentialKind
) -> GitHubError | None:
    """What is refused in the same words whoever asks: single sign-on, and everything with a 403."""
    sso = reply.headers.get("X-GitHub-SSO", "")
    if reply.status in (403, 404) and "required" in sso.lower():
        return _needs_sso(request, reply, sso)
    return _forbidden(request, reply, url, kind) if reply.status == 403 else None


def _bad_credentials(
    request: Request, reply: Reply, url: ConfigUrl, now: float, credential: Credential
) -> GitHubError:
    theirs = server_time(reply) or now
    why = f"{credential.why_refused(theirs)} ({_reason_in(reply)})"
    if clock := clock_words(now - theirs, SUSPECT_SKEW):
        why += f"; {clock}"
    fixes = (credential.how_to_replace, *rights(credential.kind, url.kind))
    return reply_error(AccessDenied, request, reply, why, fixes)


def _needs_sso(request: Request, reply: Reply, sso: str) -> GitHubError:
    link = _SSO_URL.search(sso)
    where = escaped(link.group(1), 500) if link else "the token's page at GitHub, Configure SSO"
    why = "the token is not authorised for the organisation's single sign-on"
    return reply_error(AccessDenied, request, reply, why, (f"authorise it at {where} (valid for an hour)",))


def _forbidden(request: Request, reply: Reply, url: ConfigUrl, kind: CredentialKind) -> GitHubError:
    said = _reason_in(reply)
    lowered = said.lower()
    if "ip allow list" in lowered or "ip address" in lowered:
        fix = "add this host's address to the organisation's IP allow list"
        return reply_error(
            AccessDenied, request, reply, f"this host's address is not allowed ({said})", (fix,)
        )
    if "suspended" in lowered:
        fix = "an owner of the organisation must lift the App's suspension"
        return reply_error(
            AccessDenied, request, reply, f"the App's installation is suspended ({said})", (fix,)
        )
    if any(word in lowered for word in _FORBIDDING) or not _lacks_a_right(reply, lowered):
        fixes = next((fixes for word, fixes in _POLICIES if word in lowered), ())
        return reply_error(AccessDenied, request, reply, f"GitHub forbids it: {said}", fixes)
    return reply_error(
        AccessDenied, request, reply, f"a right is missing ({said})", _missing_rights(reply, url, kind)
    )


def _lacks_a_right(reply: Reply, lowered: str) -> bool:
    """Whether the text or the headers of a 403 say that the credential lacks a right."""
    if any(word in lowered for word in _LACKING) or reply.headers.get("X-Accepted-GitHub-Permissions"):
        return True
    accepted, has = (_scopes(reply, name) for name in ("X-Accepted-OAuth-Scopes", "X-OAuth-Scopes"))
    return bool(accepted) and not accepted & has


def _scopes(reply: Reply, header: str) -> set[str]:
    return {scope.strip() for scope in reply.headers.get(header, "").split(",") if scope.strip()}


def _missing_rights(reply: Reply, url: ConfigUrl, kind: CredentialKind) -> tuple[str, ...]:
    permissions = reply.headers.get("X-Accepted-GitHub-Permissions", "")
    scopes = reply.headers.get("X-Accepted-OAuth-Scopes", "")
    needed = rights(kind, url.kind)
    if permissions and not (kind is CredentialKind.CLASSIC and scopes):
        return (f"GitHub wants the permission {escaped(permissions)}", *needed)
    if scopes:
        has = escaped(reply.headers.get("X-OAuth-Scopes", "")) or "none"
        return (f"GitHub wants the scope {escaped(scopes)}; the token has {has}", *needed)
    return needed


def _not_found(request: Request, reply: Reply, url: ConfigUrl, credential: Credential) -> GitHubError:
    why = f"{url.text} does not exist, was renamed, or {credential.name} may not see it"
    fixes = (f"check the spelling of {url.text}", *rights(credential.kind, url.kind))
    return reply_error(NotFound, request, reply, why, fixes)


def _reason_in(reply: Reply) -> str:
    return exception_in(reply, LONGEST_REASON)[1] or "no reason given"


def with_redirect(error: GitHubError, url: ConfigUrl, redirected_to: str) -> GitHubError:
    """The error, which names a redirect on the way to it as the likely cause (fault F95).

    `redirected_to` is where GitHub sent the request for a registration token; empty: nowhere.
    """
    if not redirected_to or not isinstance(error, AccessDenied | NotFound):
        return error
    place = escaped("/".join(names_in(redirected_to)) or urlsplit(redirected_to).path)
    text = f"{error}; GitHub redirects {url.text} to {place}: it was probably renamed or moved"
    fixes = (f"give its new name as url ({place})", *error.fixes)
    return type(error)(text, status=error.status, request_id=error.request_id, fixes=fixes)


def with_owner(error: GitHubError, owned: ConfigUrl) -> GitHubError:
    """The error, which names the owner that the App's installation belongs to; `owned` is its config URL."""
    text = f"{error}; the App's installation is {owned.organisation}'s"
    fixes = (f"correct url ({owned.text}), or installation-id", *error.fixes)
    return type(error)(text, status=error.status, request_id=error.request_id, fixes=fixes)
