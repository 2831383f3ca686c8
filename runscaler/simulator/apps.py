"""GitHub Apps and their installations, as a simulated GitHub knows them (docs/protocol.md § 3.1, 3.2)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.simulator.places import Places


@dataclass(frozen=True, slots=True)
class App:
    """`ids` are its client id, its application id, or both. `public_key` is in PEM form; without one no
    signature is checked."""

    ids: tuple[str, ...]
    public_key: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """Of any App, for an organisation or a user. Without `repositories` (`owner/repo`) it has all."""

    id: int
    account: str
    repositories: tuple[str, ...] = ()
    suspended: bool = False


class Installations:
    """Those that are configured; without any, every account has one, and a token of any installation is good
    for every account."""

    def __init__(self, configured: tuple[Installation, ...], places: Places) -> None:
        self._places = places
        self._by_id = {one.id: one for one in configured}

    def get(self, number: int) -> Installation | None:
        if not self._by_id:
            return Installation(number, "")
        return self._by_id.get(number)

    def of(self, scope: str) -> Installation | None:
        """The one that may see an organisation or repository."""
        if scope.startswith("enterprises/"):
            return None
        owner = self._places.owner_of(scope)
        if not self._by_id:
            return Installation(1 + zlib.crc32(owner.encode()) % 1_000_000, owner)
        return next((one for one in self._by_id.values() if self._sees(one, scope)), None)

    def permits(self, number: int, scope: str) -> bool:
        """Whether a token of that installation is good for this scope."""
        one = self.get(number)
        if one is None or scope.startswith("enterprises/"):
            return False
        return not one.account or self._sees(one, scope)

    def _sees(self, one: Installation, scope: str) -> bool:
        if one.account.lower() != self._places.owner_of(scope):
            return False
        chosen = [name.lower() for name in one.repositories]
        return not chosen or "/" not in scope or scope in chosen


def public_key_of(pem: str) -> str:
    """The public key of a private or public one in PEM form. Raises `ValueError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as forms

    data = pem.encode()
    try:
        if "PRIVATE KEY" in pem:
            public = forms.load_pem_private_key(data, None).public_key()
        else:
            public = forms.load_pem_public_key(data)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error
    return public.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo).decode()
