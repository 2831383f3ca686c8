"""The REST API: installation, registration and admin tokens (docs/protocol.md § 2, 3), and the list of
runners."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from runscaler.simulator.app_jwt import check_app_jwt
from runscaler.simulator.bodies import rest_runner_body, timestamp
from runscaler.simulator.checks import bearer, check_no_body, check_user_agent
from runscaler.simulator.http_messages import BadBody, json_reply
from runscaler.simulator.rate_rule import caller_of
from runscaler.simulator.refusals import RestRefusal
from runscaler.simulator.scopes import scope_of, tenant_of
from runscaler.simulator.tokens import TokenKind, TokenStatus

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Reply, Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.tokens import Token

PREFIX = "/api/v3/"
INSTALLATION = re.compile(r"/api/v3/app/installations/(\d+)/access_tokens")
RUNNERS = r"/api/v3/(?:orgs/([^/]+)|repos/([^/]+/[^/]+)|(enterprises/[^/]+))/actions/runners"
LISTING = re.compile(RUNNERS)
REGISTRATION = re.compile(f"{RUNNERS}/registration-token")
ADMIN = "/api/v3/actions/runner-registration"
PAGE_SIZE, LARGEST_PAGE = 30, 100


class RestApi:
    def __init__(self, lock: MachineLock) -> None:
        self._lock = lock
        self._store = lock.machine.store

    def handle(self, request: Request) -> Reply:
        with self._lock:
            check_user_agent(self._store, request)
            if request.method == "POST":
                return self._post(request)
            if request.method == "GET" and (match := LISTING.fullmatch(request.path)):
                return self._list_runners(request, scope_in(match))
            raise RestRefusal(404, "Not Found")

    def _post(self, request: Request) -> Reply:
        if match := REGISTRATION.fullmatch(request.path):
            return self._registration_token(request, scope_in(match))
        if request.path == ADMIN:
            return self._admin_token(request)
        if match := INSTALLATION.fullmatch(request.path):
            return self._installation_token(request, int(match[1]))
        raise RestRefusal(404, "Not Found")

    def _installation_token(self, request: Request, installation: int) -> Reply:
        check_app_jwt(self._store, bearer(request))
        check_no_body(self._store, request, RestRefusal)
        known = self._store.options.installations
        if known and installation not in known:
            raise RestRefusal(404, "Not Found")
        return self._issue(TokenKind.INSTALLATION, str(installation))

    def _registration_token(self, request: Request, scope: str) -> Reply:
        credential = bearer(request)
        self._check_credential(request, credential)
        check_no_body(self._store, request, RestRefusal)
        hashed = hashlib.sha256(credential.encode()).hexdigest()
        self._store.rate_rule.token_refreshed(caller_of(request, f"{hashed} {scope}"))
        return self._issue(TokenKind.REGISTRATION, scope)

    def _list_runners(self, request: Request, scope: str) -> Reply:
        """A page of the registered runners."""
        self._check_credential(request, bearer(request))
        check_no_body(self._store, request, RestRefusal)
        runners = [one for (of, _), one in self._store.names.items() if of == scope]
        size = min(max(1, page_number(request, "per_page", PAGE_SIZE)), LARGEST_PAGE)
        first = size * (max(1, page_number(request, "page", 1)) - 1)
        page = [rest_runner_body(one) for one in runners[first : first + size]]
        return json_reply({"total_count": len(runners), "runners": page})

    def _issue(self, kind: TokenKind, subject: str) -> Reply:
        token = self._store.tokens.issue(kind, subject, self._store.timers.rest_token)
        return json_reply({"token": token.text, "expires_at": timestamp(int(token.expires_at))}, 201)

    def _check_credential(self, request: Request, credential: str) -> None:
        """Accept a PAT or an installation token, but no other kind of token (V1)."""
        known = self._store.tokens.find(credential)
        if not credential or (known is not None and known.kind is not TokenKind.INSTALLATION):
            what = f"a {known.kind.value}" if known else "no bearer token"
            call = f"{request.method} {request.path}"
            text = f"{call} needs a PAT or an installation token and came with {what}"
            self._store.violations.record(1, text)
        elif known is not None:
            if self._store.tokens.status(credential, TokenKind.INSTALLATION) is TokenStatus.VALID:
                return
        elif credential in self._store.options.tokens or not self._store.options.tokens:
            return
        raise RestRefusal(401, "Bad credentials")

    def _admin_token(self, request: Request) -> Reply:
        registration = self._registered_by(request)
        scope = self._registered_scope(request)
        if registration is not None and registration.subject != scope:
            text = f"The registration token belongs to {registration.subject}, the url names {scope}"
            self._store.violations.refuse(2, RestRefusal(403, text))
        tenant = tenant_of(scope)
        self._store.tenants[tenant] = scope
        admin = self._store.tokens.issue(TokenKind.ADMIN, scope, self._store.timers.admin_token)
        url = f"{request.base_url}/_sim/actions/{tenant}/"
        return json_reply({"url": url, "token": admin.text, "token_schema": "OAuthAccessToken"})

    def _registered_by(self, request: Request) -> Token | None:
        scheme, _, token = request.header("authorization").partition(" ")
        known = self._store.tokens.find(token)
        if scheme.lower() != "remoteauth" or known is None or known.kind is not TokenKind.REGISTRATION:
            text = f"POST {request.path} needs RemoteAuth and a registration token"
            self._store.violations.refuse(1, RestRefusal(401, text))
            return None
        if self._store.tokens.status(token, TokenKind.REGISTRATION) is TokenStatus.EXPIRED:
            raise RestRefusal(401, "The registration token has expired.")
        return known

    def _registered_scope(self, request: Request) -> str:
        try:
            body = request.json()
            url, runner_event = body.text("url"), body.text("runner_event")
        except BadBody as error:
            self._store.violations.record(5, str(error))
            raise RestRefusal(400, str(error)) from None
        if runner_event != "register":
            self._store.violations.refuse(2, RestRefusal(403, f"runner_event {runner_event} is not register"))
        return scope_of(url)


def scope_in(match: re.Match[str]) -> str:
    """The scope that a path of `RUNNERS` names."""
    return next(part for part in match.groups() if part).lower()


def page_number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() else default
