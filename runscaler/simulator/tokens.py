"""All tokens that were issued, with their kind, subject and expiry (docs/protocol.md § 3, 5.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from runscaler.clock import Clock

MOST_KEPT = 20_000


class TokenKind(StrEnum):
    INSTALLATION = "installation token"
    REGISTRATION = "registration token"
    ADMIN = "admin JWT"
    QUEUE = "queue token"


class TokenStatus(StrEnum):
    """`EXPIRED` is no violation, as the client refreshes then. `WRONG` is an unknown token or one of
    another kind."""

    VALID = "valid"
    EXPIRED = "expired"
    WRONG = "wrong"


@dataclass(slots=True)
class Token:
    """`subject` is a scope, an installation's id, or for a queue token the session's id."""

    text: str
    kind: TokenKind
    subject: str
    expires_at: float


class Tokens:
    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._key = random.randbytes(32)
        self._known: dict[str, Token] = {}

    def issue(self, kind: TokenKind, subject: str, seconds: float) -> Token:
        expires_at = self._clock.wall() + seconds
        token = Token(self._text(kind, subject, expires_at), kind, subject, expires_at)
        self._known[token.text] = token
        while len(self._known) > MOST_KEPT:
            del self._known[next(iter(self._known))]
        return token

    def find(self, text: str) -> Token | None:
        return self._known.get(text)

    def texts(self) -> tuple[str, ...]:
        return tuple(self._known)

    def status(self, text: str, kind: TokenKind) -> TokenStatus:
        token = self._known.get(text)
        if token is None or token.kind is not kind:
            return TokenStatus.WRONG
        return TokenStatus.VALID if token.expires_at > self._clock.wall() else TokenStatus.EXPIRED

    def rename(self, text: str, other: str) -> None:
        """Replace the token's text (fault F24)."""
        token = self._known.pop(text)
        token.text = other
        self._known[other] = token

    def expire(self, kind: TokenKind, subject: str | None = None) -> None:
        """Let all tokens of a kind (and subject) expire now."""
        for token in self._known.values():
            if token.kind is kind and subject in (None, token.subject):
                token.expires_at = min(token.expires_at, self._clock.wall())

    def _text(self, kind: TokenKind, subject: str, expires_at: float) -> str:
        if kind is TokenKind.REGISTRATION:
            return base64.b32encode(self._random.randbytes(18)).decode().rstrip("=")
        claims = self._jwt({"sub": subject, "iat": int(self._clock.wall()), "exp": int(expires_at)})
        return f"ghs_{subject}_{claims}" if kind is TokenKind.INSTALLATION else claims

    def _jwt(self, claims: dict[str, object]) -> str:
        claims = {**claims, "jti": self._random.randbytes(8).hex()}
        signed = f"{base64url({'typ': 'JWT', 'alg': 'HS256'})}.{base64url(claims)}"
        signature = hmac.new(self._key, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def base64url(value: object) -> str:
    """Encode a JSON value as one part of a JWT."""
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
