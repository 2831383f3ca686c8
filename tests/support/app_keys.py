"""Private keys of GitHub Apps."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from runscaler.simulator.apps import public_key_of

CLIENT_ID = "Iv1.0a1b2c3d4e5f"


@cache
def private_key(name: str = "app", form: forms.PrivateFormat = forms.PrivateFormat.TraditionalOpenSSL) -> str:
    """A key in PEM form, the same for the same name."""
    return _rsa(name).private_bytes(forms.Encoding.PEM, form, forms.NoEncryption()).decode()


@cache
def encrypted_key() -> str:
    secret = forms.BestAvailableEncryption(b"passphrase")
    return _rsa("app").private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, secret).decode()


@cache
def elliptic_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()).decode()


@cache
def short_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()).decode()


def public_key(name: str = "app") -> str:
    return public_key_of(private_key(name))


@cache
def _rsa(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
