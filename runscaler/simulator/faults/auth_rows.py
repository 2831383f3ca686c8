"""Faults of authentication (docs/protocol.md § 10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.checks import bearer
from runscaler.simulator.faults import replies
from runscaler.simulator.faults.row import Match, Row
from runscaler.simulator.http_messages import Reply
from runscaler.simulator.refusals import unauthorised
from runscaler.simulator.tokens import TokenKind, base64url

if TYPE_CHECKING:
    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import FaultContext, Outcome

ACTIONS = "/_sim/actions/"
REGISTRATION = Match("POST", "/registration-token")
ADMIN = Match("POST", "/actions/runner-registration")
INSTALLATION = Match("POST", "/access_tokens")
POLICIES = {
    "disabled": "Repository level self-hosted runners are disabled on this repository.",
    "archived": "Repository was archived so is read-only.",
    "classic": "`my-org` forbids access via a personal access token (classic). Please use a GitHub App, "
    "OAuth App, or a personal access token with fine-grained permissions.",
    "lifetime": "The 'my-org' organization forbids access via a fine-grained personal access tokens if the "
    "token's lifetime is greater than 366 days.",
}
SSO_URL = "https://github.com/orgs/my-org/sso?authorization_request=AAAA"


def end_admin_token(context: FaultContext) -> None:
    """Expire all admin JWTs of the request's scope; the call itself is answered 401 then."""
    assert context.request is not None
    with context.lock as machine:
        token = machine.store.tokens.find(bearer(context.request))
        if token is not None:
            machine.store.tokens.expire(TokenKind.ADMIN, token.subject)


def strange_admin_token(context: FaultContext, reply: Reply) -> Outcome:
    """`kind` is no-exp, not-a-jwt or past; the simulator accepts the token all the same."""
    kind = context.params.text("kind", "no-exp")

    def change(body: Json) -> Json:
        with context.lock as machine:
            store = machine.store
            mark = store.random.randbytes(8).hex()
            claims: Json = (
                {"jti": mark} if kind == "no-exp" else {"jti": mark, "exp": int(store.clock.wall()) - 60}
            )
            jwt = f"{base64url({'alg': 'HS256'})}.{base64url(claims)}.AAAA"
            text = f"opaque-{mark}" if kind == "not-a-jwt" else jwt
            store.tokens.rename(str(body["token"]), text)
        return {**body, "token": text}

    return replies.altered(reply, change)


def end_queue_token(context: FaultContext) -> None:
    with context.lock as machine:
        machine.sessions.expire_token(replies.target_session(context))


def queue_unauthorised(_: FaultContext) -> Outcome:
    refusal = unauthorised("The queue token has expired.")
    return replies.service(refusal.status, refusal.kind, refusal.message)


def revoke(context: FaultContext) -> None:
    """Unless `admin` is false, also expire the admin JWTs that the PAT led to."""
    if context.params.truth("admin", True):
        with context.lock as machine:
            machine.store.tokens.expire(TokenKind.ADMIN)


def missing_right(context: FaultContext) -> Outcome:
    """`kind` is scope, sso, hidden, ip, pending (a fine-grained PAT that waits for approval) or integration
    (a GitHub App)."""
    kind = context.params.text("kind", "scope")
    if kind == "sso":
        text = "Resource protected by organization SAML enforcement."
        return replies.rest(403, text, ("X-GitHub-SSO", f"required; url={SSO_URL}"))
    if kind == "hidden":
        return replies.rest(404, "Not Found")
    if kind == "ip":
        text = "The organization has an IP allow list enabled, and your IP address is not permitted."
        return replies.rest(403, text)
    if kind in ("pending", "integration"):
        what = "integration" if kind == "integration" else "personal access token"
        needed = ("X-Accepted-GitHub-Permissions", "organization_self_hosted_runners=write")
        return replies.rest(403, f"Resource not accessible by {what}", needed)
    return replies.rest(
        403,
        "Resource not accessible by personal access token",
        ("X-Accepted-OAuth-Scopes", "admin:org"),
        ("X-OAuth-Scopes", "repo"),
        ("X-Accepted-GitHub-Permissions", "organization_self_hosted_runners=write"),
    )


def app_refused(context: FaultContext) -> Outcome:
    """`kind` is key, installation or suspended."""
    kind = context.params.text("kind", "key")
    if kind == "installation":
        return replies.rest(404, "Not Found")
    if kind == "suspended":
        return replies.rest(403, "This installation has been suspended")
    return replies.rest(401, "A JSON web token could not be decoded")


def forbidden_by_policy(context: FaultContext) -> Outcome:
    """`kind` is disabled, archived, classic or lifetime."""
    return replies.rest(403, POLICIES[context.params.text("kind", "disabled")])


def renamed(context: FaultContext) -> Outcome | None:
    """The organisation or repository is called `name` now: a 301 to that on the same host, where the call is
    answered with `status` (404), or by the API if that is 0."""
    request = context.request
    assert request is not None
    name, status = context.params.text("name", "renamed"), context.params.integer("status", 404)
    before, _, after = request.path.rpartition("/actions/runners/")
    parent, _, called = before.rpartition("/")
    if called != name:
        where = f"{request.base_url}{parent}/{name}/actions/runners/{after}"
        return Reply(301, headers=(("Location", where),))
    return replies.rest(status, "Not Found" if status == 404 else "Forbidden") if status else None


def other_address(context: FaultContext, reply: Reply) -> Outcome:
    address = context.fault.hits + 1
    return replies.altered(reply, lambda body: {**body, "url": f"{str(body['url']).rstrip('/')}~{address}/"})


def without_field(context: FaultContext, reply: Reply) -> Outcome:
    """The reply without its `field` (token), or with that empty if `empty` is true."""
    field, empty = context.params.text("field", "token"), context.params.truth("empty", False)

    def change(body: Json) -> Json:
        rest = {key: value for key, value in body.items() if key != field}
        return {**rest, field: ""} if empty else rest

    return replies.altered(reply, change)


ROWS: tuple[Row, ...] = (
    Row("F23", "the admin JWT expires early", Match(path=ACTIONS), before=end_admin_token),
    Row("F24", "an odd admin JWT: `kind` no-exp, not-a-jwt, past", ADMIN, None, after=strange_admin_token),
    Row("F25", "the queue token expires early", Match(path="/_sim/queue/"), before=end_queue_token),
    Row("F26", "the queue keeps answering 401", Match(path="/_sim/queue/"), None, queue_unauthorised),
    Row(
        "F27",
        "the PAT is revoked",
        REGISTRATION,
        None,
        lambda _: replies.rest(401, "Bad credentials"),
        begin=revoke,
    ),
    Row(
        "F28",
        "a right is missing: `kind` scope, sso, hidden, ip, pending, integration",
        REGISTRATION,
        None,
        missing_right,
    ),
    Row("F29", "the App is refused: `kind` key, installation, suspended", INSTALLATION, None, app_refused),
    Row(
        "F31",
        "the registration token is not known everywhere yet",
        ADMIN,
        2,
        lambda _: replies.rest(401, "Bad credentials"),
    ),
    Row("F32", "the actions service has another URL", ADMIN, None, after=other_address),
    Row("F33", "runner-registration without its `field`", ADMIN, after=without_field),
    Row(
        "F94",
        "403 by policy: `kind` disabled, archived, classic, lifetime",
        REGISTRATION,
        None,
        forbidden_by_policy,
    ),
    Row("F95", "renamed to `name`: a 301, then `status`", REGISTRATION, None, renamed),
)
