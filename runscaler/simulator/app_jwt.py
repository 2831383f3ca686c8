"""Checking the JWT of a GitHub App as GitHub does (docs/protocol.md § 3.1, 3.3)."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody, Fields
from runscaler.simulator.refusals import RestRefusal

if TYPE_CHECKING:
    from runscaler.simulator.apps import App
    from runscaler.simulator.store import Store

LONGEST_LIFETIME = 600.0
NOT_DECODED = "A JSON web token could not be decoded"
NO_APP = "Integration not found"
CLAIMS = {"iat", "exp", "iss"}
_AN_ID = re.compile(r"[A-Za-z0-9.]+")


def check_app_jwt(store: Store, text: str) -> None:
    """Raise the refusal that GitHub would send. The signature is checked only if the App's key is known."""
    try:
        header, claims = read_jwt(text)
        problem = _problem(header, claims, store.clock.wall())
    except (BadBody, ValueError):
        store.violations.record(1, "a call that needs the App's JWT came without one")
        raise RestRefusal(401, NOT_DECODED) from None
    if problem:
        raise RestRefusal(401, problem)
    if extra := set(claims.values) - CLAIMS:
        store.violations.record(1, f"the App's JWT has more claims than it should: {', '.join(extra)}")
    app = _app(store, str(claims.values["iss"]))
    if app is not None and app.public_key and not _signed_by(text, app.public_key):
        raise RestRefusal(401, NOT_DECODED)


def read_jwt(text: str) -> tuple[Fields, Fields]:
    """Header and claims; the signature is not checked."""
    parts = text.split(".")
    if len(parts) != 3:
        raise BadBody("a JWT has three parts")
    return _part(parts[0]), _part(parts[1])


def _part(text: str) -> Fields:
    return Fields.of(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def _problem(header: Fields, claims: Fields, now: float) -> str:
    issuer = claims.values.get("iss")
    if header.text("alg") != "RS256" or not issuer or isinstance(issuer, bool):
        return NOT_DECODED
    if not _AN_ID.fullmatch(str(issuer)):
        return "'Issuer' claim ('iss') must be an Integer"
    if claims.integer("iat") > now:
        text = "must be an Integer representing the time that the assertion was issued"
        return f"'Issued at' claim ('iat') {text}"
    if claims.integer("exp") <= now:
        return "'Expiration time' claim ('exp') must be a numeric value representing the future time"
    too_far = claims.integer("exp") > now + LONGEST_LIFETIME
    return "'Expiration time' claim ('exp') is too far in the future" if too_far else ""


def _app(store: Store, issuer: str) -> App | None:
    """The App with this client id or application id; None where any is accepted."""
    apps = store.options.apps
    found = next((app for app in apps if issuer in app.ids), None)
    if apps and found is None:
        raise RestRefusal(404, NO_APP)
    return found


def _signed_by(text: str, public_key: str) -> bool:
    import jwt

    try:
        jwt.decode(text, public_key, algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False})
    except jwt.InvalidTokenError:
        return False
    return True
