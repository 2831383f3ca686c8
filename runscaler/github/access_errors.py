"""Why GitHub rejects a credential, and what to do about it (docs/protocol.md § 3.2, 3.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runscaler.config.urls import Kind
from runscaler.errors import AccessDenied, GitHubError, NotFound
from runscaler.github.error_replies import clock_skew, error_from_reply, exception_in, reply_error
from runscaler.github.fields import escaped

if TYPE_CHECKING:
    from runscaler.config.urls import ConfigUrl
    from runscaler.github.wire import Reply, Request

_SSO_URL = re.compile(r"url=(https://\S+)")

_RIGHTS = {
    Kind.ORGANISATION: (
        "a classic token needs the scope admin:org, and its owner must own the organisation",
        "a fine-grained token needs Self-hosted runners: read and write and Administration: read",
        "a fine-grained token may still wait for the organisation's approval",
    ),
    Kind.REPOSITORY: (
        "a classic token needs the scope repo, and its owner must administer the repository",
        "a fine-grained token needs Administration: read and write on the repository",
    ),
    Kind.ENTERPRISE: (
        "a classic token needs the scope manage_runners:enterprise; fine-grained tokens and Apps do not work",
    ),
}


def access_error(request: Request, reply: Reply, url: ConfigUrl, now: float) -> GitHubError:
    """The error for a REST call that failed, other than by a rate limit. `now` is this host's wall clock."""
    sso = reply.headers.get("X-GitHub-SSO", "")
    if reply.status in (403, 404) and "required" in sso.lower():
        return _needs_sso(request, reply, sso)
    if reply.status == 401:
        return _bad_credentials(request, reply, url, now)
    if reply.status == 403:
        return _forbidden(request, reply, url)
    if reply.status == 404:
        return _not_found(request, reply, url)
    return error_from_reply(request, reply)


def _bad_credentials(request: Request, reply: Reply, url: ConfigUrl, now: float) -> GitHubError:
    why = f"the token is wrong, expired or revoked ({_reason_in(reply)}){clock_skew(reply, now)}"
    fixes = ("make a new token and give it as token or RUNNER_TOKEN", *_RIGHTS[url.kind])
    return reply_error(AccessDenied, request, reply, why, fixes)


def _needs_sso(request: Request, reply: Reply, sso: str) -> GitHubError:
    link = _SSO_URL.search(sso)
    where = escaped(link.group(1), 500) if link else "the token's page at GitHub, Configure SSO"
    why = "the token is not authorised for the organisation's single sign-on"
    return reply_error(AccessDenied, request, reply, why, (f"authorise it at {where} (valid for an hour)",))


def _forbidden(request: Request, reply: Reply, url: ConfigUrl) -> GitHubError:
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
    return reply_error(
        AccessDenied, request, reply, f"a right is missing ({said})", _missing_rights(reply, url)
    )


def _missing_rights(reply: Reply, url: ConfigUrl) -> tuple[str, ...]:
    permissions = reply.headers.get("X-Accepted-GitHub-Permissions", "")
    scopes = reply.headers.get("X-Accepted-OAuth-Scopes", "")
    if permissions:
        return (f"GitHub wants the permission {escaped(permissions)}", *_RIGHTS[url.kind])
    if scopes:
        has = escaped(reply.headers.get("X-OAuth-Scopes", "")) or "none"
        return (f"GitHub wants the scope {escaped(scopes)}; the token has {has}", *_RIGHTS[url.kind])
    return _RIGHTS[url.kind]


def _not_found(request: Request, reply: Reply, url: ConfigUrl) -> GitHubError:
    why = f"{url.text} does not exist, or the credential may not see it"
    if url.kind is Kind.ENTERPRISE:
        why += ", or it is a GitHub App's, which no enterprise takes"
    else:
        why += ", or it is a GitHub App's that is not installed there"
    return reply_error(
        NotFound, request, reply, why, (f"check the spelling of {url.text}", *_RIGHTS[url.kind])
    )


def _reason_in(reply: Reply) -> str:
    return exception_in(reply)[1] or "no reason given"
