"""The REST API: installation, registration and admin tokens (docs/protocol.md § 2, 3), and the list of
runners."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runscaler.simulator.app_jwt import check_app_jwt
from runscaler.simulator.bodies import rest_runner_body, timestamp
from runscaler.simulator.checks import bearer, check_no_body, check_user_agent
from runscaler.simulator.http_messages import BadBody, json_reply
from runscaler.simulator.places import NameGivenUp
from runscaler.simulator.rate_rule import caller_of
from runscaler.simulator.refusals import RestRefusal
from runscaler.simulator.scopes import scope_of, tenant_of
from runscaler.simulator.tokens import TokenKind, TokenStatus

if TYPE_CHECKING:
    from runscaler.simulator.apps import Installation
    from runscaler.simulator.http_messages import Reply, Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.tokens import Token

PREFIX = "/api/v3/"
INSTALLATION = re.compile(r"/api/v3/app/installations/(\d+)/access_tokens")
PLACE = (
    r"/api/v3/(?:orgs/([^/]+)|repos/([^/]+/[^/]+)|(enterprises/[^/]+)|((?:organizations|repositories)/\d+))"
)
"""An organisation, repository or enterprise by its name, or the first two by the number in a redirect."""
DESCRIPTION = re.compile(PLACE)
LISTING = re.compile(f"{PLACE}/actions/runners")
REGISTRATION = re.compile(f"{PLACE}/actions/runners/registration-token")
APP_INSTALLATION = re.compile(r"/api/v3/app/installations/(\d+)")
INSTALLATION_OF = re.compile(f"{PLACE}/installation")
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
            return self._get(request)

    def _get(self, request: Request) -> Reply:
        if match := APP_INSTALLATION.fullmatch(request.path):
            return self._app_installation(request, int(match[1]))
        if request.method == "GET" and (match := INSTALLATION_OF.fullmatch(request.path)):
            return self._installation_of(request, self._scope(request, match))
        if request.method == "GET" and (match := LISTING.fullmatch(request.path)):
            return self._list_runners(request, self._scope(request, match))
        if request.method == "GET" and (match := DESCRIPTION.fullmatch(request.path)):
            return self._description(request, self._scope(request, match))
        raise RestRefusal(404, "Not Found")

    def _post(self, request: Request) -> Reply:
        if match := REGISTRATION.fullmatch(request.path):
            return self._registration_token(request, self._scope(request, match))
        if request.path == ADMIN:
            return self._admin_token(request)
        if match := INSTALLATION.fullmatch(request.path):
            return self._installation_token(request, int(match[1]))
        raise RestRefusal(404, "Not Found")

    def _scope(self, request: Request, match: re.Match[str]) -> str:
        """The scope that a path of `PLACE` names. An old name is redirected to, or unknown, as at GitHub."""
        name = next(part for part in match.groups() if part).lower()
        kind, _, number = name.partition("/")
        if kind in ("organizations", "repositories"):
            scope = self._store.places.numbered(int(number))
            if scope is None:
                raise RestRefusal(404, "Not Found")
            return scope
        try:
            return self._store.places.scope(name)
        except NameGivenUp as given_up:
            raise self._redirect(request, match, given_up.scope) from None

    def _redirect(self, request: Request, match: re.Match[str], scope: str) -> RestRefusal:
        if not scope:
            return RestRefusal(404, "Not Found")
        kind = "repositories" if "/" in scope else "organizations"
        rest = request.path[match.end(match.lastindex or 0) :]
        where = f"{request.base_url}{PREFIX}{kind}/{self._store.places.number(scope)}{rest}"
        return RestRefusal(301, "Moved Permanently", (("Location", where),))

    def _description(self, request: Request, scope: str) -> Reply:
        """Of an organisation or repository: what it is called now."""
        self._check_credential(request, bearer(request), scope)
        name = self._store.places.name(scope)
        named = {"full_name": name, "name": name.partition("/")[2]} if "/" in name else {"login": name}
        return json_reply({"id": self._store.places.number(scope), **named})

    def _installation_of(self, request: Request, scope: str) -> Reply:
        check_app_jwt(self._store, bearer(request))
        return self._installation_reply(self._store.installations.of(scope))

    def _app_installation(self, request: Request, number: int) -> Reply:
        check_app_jwt(self._store, bearer(request))
        return self._installation_reply(self._store.installations.get(number))

    def _installation_reply(self, found: Installation | None) -> Reply:
        if found is None:
            raise RestRefusal(404, "Not Found")
        account = {"login": self._store.places.name(found.account.lower()), "type": "Organization"}
        return json_reply({"id": found.id, "account": account if found.account else None})

    def _installation_token(self, request: Request, number: int) -> Reply:
        check_app_jwt(self._store, bearer(request))
        check_no_body(self._store, request, RestRefusal)
        found = self._store.installations.get(number)
        if found is None:
            raise RestRefusal(404, "Not Found")
        if found.suspended:
            raise RestRefusal(403, "This installation has been suspended")
        return self._issue(TokenKind.INSTALLATION, str(number))

    def _registration_token(self, request: Request, scope: str) -> Reply:
        credential = bearer(request)
        expiry = self._check_credential(request, credential, scope)
        check_no_body(self._store, request, RestRefusal)
        hashed = hashlib.sha256(credential.encode()).hexdigest()
        self._store.rate_rule.token_refreshed(caller_of(request, f"{hashed} {scope}"))
        return with_headers(self._issue(TokenKind.REGISTRATION, scope), *expiry)

    def _list_runners(self, request: Request, scope: str) -> Reply:
        """A page of the registered runners."""
        self._check_credential(request, bearer(request), scope)
        check_no_body(self._store, request, RestRefusal)
        runners = [one for (of, _), one in self._store.names.items() if of == scope]
        size = min(max(1, page_number(request, "per_page", PAGE_SIZE)), LARGEST_PAGE)
        first = size * (max(1, page_number(request, "page", 1)) - 1)
        page = [rest_runner_body(one) for one in runners[first : first + size]]
        return json_reply({"total_count": len(runners), "runners": page})

    def _issue(self, kind: TokenKind, subject: str) -> Reply:
        token = self._store.tokens.issue(kind, subject, self._store.timers.rest_token)
        return json_reply({"token": token.text, "expires_at": timestamp(int(token.expires_at))}, 201)

    def _check_credential(self, request: Request, credential: str, scope: str) -> tuple[tuple[str, str], ...]:
        """Accept a PAT or an installation token, but no other kind of token (V1). Returns the headers that
        tell of its expiry."""
        known = self._store.tokens.find(credential)
        if not credential or (known is not None and known.kind is not TokenKind.INSTALLATION):
            what = f"a {known.kind.value}" if known else "no bearer token"
            call = f"{request.method} {request.path}"
            text = f"{call} needs a PAT or an installation token and came with {what}"
            self._store.violations.record(1, text)
        elif known is not None:
            if self._store.tokens.status(credential, TokenKind.INSTALLATION) is TokenStatus.VALID:
                self._check_installation(int(known.subject), scope)
                return ()
        elif credential in self._store.options.tokens or not self._store.options.tokens:
            return self._expiry_of_pats()
        raise RestRefusal(401, "Bad credentials")

    def _check_installation(self, number: int, scope: str) -> None:
        if not self._store.installations.permits(number, scope):
            raise RestRefusal(404, "Not Found")

    def _expiry_of_pats(self) -> tuple[tuple[str, str], ...]:
        expiry = self._store.pats_expire_at
        if expiry is None:
            return ()
        if expiry <= self._store.clock.wall():
            raise RestRefusal(401, "Bad credentials")
        moment = datetime.fromtimestamp(expiry, UTC)
        return (("GitHub-Authentication-Token-Expiration", moment.strftime("%Y-%m-%d %H:%M:%S UTC")),)

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
        try:
            return self._store.places.scope(scope_of(url))
        except NameGivenUp:
            raise RestRefusal(404, "Not Found") from None


def with_headers(reply: Reply, *headers: tuple[str, str]) -> Reply:
    return replace(reply, headers=(*reply.headers, *headers))


def page_number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isdecimal() else default
