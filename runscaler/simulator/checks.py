"""Checks that several APIs share: token, scope, User-Agent, api-version, bodies (V1 to V5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody, Fields
from runscaler.simulator.refusals import RestRefusal, ServiceRefusal, unauthorised
from runscaler.simulator.tokens import TokenKind, TokenStatus

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Request
    from runscaler.simulator.refusals import Refusal
    from runscaler.simulator.store import Store

API_VERSION = "6.0-preview"


def check_user_agent(store: Store, request: Request) -> None:
    if not request.header("user-agent"):
        text = "Request forbidden by administrative rules. Requests need a User-Agent header."
        store.violations.refuse(3, RestRefusal(403, text))


def check_api_version(store: Store, request: Request, named: str) -> None:
    """`named` is the text that should name it: the query's value or the Accept header."""
    if API_VERSION not in named:
        text = f"No api-version {API_VERSION} in {request.method} {request.path}"
        store.violations.refuse(4, ServiceRefusal(400, "VssVersionNotSpecifiedException", text))


def check_no_body(store: Store, request: Request, refusal: type[RestRefusal] | None = None) -> None:
    if request.body:
        text = f"{request.method} {request.path} takes no body"
        store.violations.refuse(5, RestRefusal(400, text) if refusal else bad_body(text))


def bad_body(text: str) -> ServiceRefusal:
    return ServiceRefusal(400, "InvalidRequestBodyException", text)


def read_fields(store: Store, request: Request) -> Fields:
    """The JSON object of a call to the actions service; refused without one, even when lenient."""
    try:
        return request.json()
    except BadBody as error:
        raise refused_body(store, error) from None


def refused_body(store: Store, error: BadBody) -> Refusal:
    refusal = bad_body(str(error))
    store.violations.record(5, refusal.message)
    return refusal


def bearer(request: Request) -> str:
    """The token of `Authorization: Bearer …`, empty without such a header."""
    scheme, _, token = request.header("authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def check_service_token(store: Store, request: Request, kind: TokenKind, subject: str) -> None:
    """Check the token of a call: its kind, its expiry, and that it belongs to this scope or session."""
    check_token(store, bearer(request), kind, subject, f"{request.method} {request.path}")


def check_token(store: Store, text: str, kind: TokenKind, subject: str, call: str) -> None:
    """Check a token by itself; `call` names the call for the record."""
    status = store.tokens.status(text, kind)
    if status is TokenStatus.EXPIRED:
        store.rate_rule.allow_refresh(subject)
        raise unauthorised(f"The {kind.value} has expired.")
    if status is TokenStatus.WRONG:
        store.violations.refuse(1, unauthorised(_wrong(store, call, text, kind)))
        return
    token = store.tokens.find(text)
    if token is not None and token.subject != subject:
        text = f"The {kind.value} belongs to {token.subject}, not to {subject}"
        if kind is TokenKind.QUEUE:
            store.violations.refuse(1, unauthorised(text))
        store.violations.refuse(2, ServiceRefusal(403, "AccessCheckException", text))


def _wrong(store: Store, call: str, text: str, kind: TokenKind) -> str:
    known = store.tokens.find(text)
    what = f"a {known.kind.value}" if known else "an unknown or no token"
    return f"{call} needs the {kind.value} and came with {what}"
