"""Checking the JWT of a GitHub App as GitHub does (docs/protocol.md § 3.1, 3.3)."""

from __future__ import annotations

import base64
import importlib
import json
from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody, Fields
from runscaler.simulator.refusals import RestRefusal

if TYPE_CHECKING:
    from runscaler.simulator.store import Store

LONGEST_LIFETIME = 600.0
NOT_DECODED = "A JSON web token could not be decoded"


def check_app_jwt(store: Store, text: str) -> None:
    """Raise the refusal that GitHub would send; the signature is checked only if the App's key is known."""
    try:
        header, claims = read_jwt(text)
        problem = _problem(header, claims, store.clock.wall())
    except (BadBody, ValueError):
        problem = NOT_DECODED
        store.violations.record(1, "the call for an installation token came without the App's JWT")
    key = store.options.app_key
    if not problem and key and not _signed_by(text, key):
        problem = NOT_DECODED
    if problem:
        raise RestRefusal(401, problem)


def read_jwt(text: str) -> tuple[Fields, Fields]:
    """Header and claims; the signature is not checked."""
    parts = text.split(".")
    if len(parts) != 3:
        raise BadBody("a JWT has three parts")
    return _part(parts[0]), _part(parts[1])


def _part(text: str) -> Fields:
    return Fields.of(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def _problem(header: Fields, claims: Fields, now: float) -> str:
    if header.text("alg") != "RS256" or not _has_issuer(claims):
        return NOT_DECODED
    if claims.integer("iat") > now:
        text = "must be an Integer representing the time that the assertion was issued"
        return f"'Issued at' claim ('iat') {text}"
    if claims.integer("exp") <= now:
        return "'Expiration time' claim ('exp') must be a numeric value representing the future time"
    too_far = claims.integer("exp") > now + LONGEST_LIFETIME
    return "'Expiration time' claim ('exp') is too far in the future" if too_far else ""


def _has_issuer(claims: Fields) -> bool:
    """`iss` is the client id as a string, or the application id as a string or number."""
    value = claims.values.get("iss")
    return bool(value) and isinstance(value, str | int) and not isinstance(value, bool)


def _signed_by(text: str, key: str) -> bool:
    jwt = importlib.import_module("jwt")
    try:
        jwt.decode(text, key, algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False})
    except jwt.InvalidTokenError:
        return False
    return True
