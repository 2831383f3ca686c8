"""The private key of a GitHub App: where it may stand, and whether it can be used."""

from __future__ import annotations

import re

from runscaler.config.secrets import Unresolved, intended_reference, is_reference

LONGEST_PATH = 255


class UnusableKey(Unresolved):
    """There is a key, but it cannot be used. The message does not contain it."""


_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_LINE = 64
_BARE = re.compile(r"(MI[A-Za-z0-9]|LS0tLS1CRUdJTi)[A-Za-z0-9+/=]{40,}")
"""How a key begins without its first line, and one that was encoded in base64 as a whole."""
FEWEST_BITS = 2048
_OTHERS = (
    ("ENCRYPTED", "it is encrypted: write it without its passphrase (openssl rsa -in KEY -out NEW)"),
    ("PUBLIC KEY", "it is a public key: give the private key, which GitHub offers once as a .pem file"),
    ("CERTIFICATE", "it is a certificate: give the private key, which GitHub offers once as a .pem file"),
    ("OPENSSH", "it is a key for SSH: give the App's, which GitHub offers once as a .pem file"),
)
"""What else stands in PEM files → what is wrong with it."""


def as_reference(written: str) -> str:
    """A reference for what is written as private-key: a path gets `file:`. Raises `UnusableKey`."""
    text = written.strip()
    if is_reference(text) or intended_reference(text) or "-----" in text or not text:
        return written
    if "\n" in text or len(text) > LONGEST_PATH or _BARE.fullmatch(text):
        raise UnusableKey("it is neither PEM text nor env:NAME nor the path of a file")
    return f"file:{text}"


def usable_key(text: str, written: str = "") -> str:
    """The key as PEM text with its line breaks, which environment variables often lose or spell as \\n.

    `written` is the reference that led to it, for messages. Raises `UnusableKey` if it is no private RSA
    key. Loads the library that reads keys, so it is called only where there is a key.
    """
    try:
        pem = _normalised(text)
        _require_rsa(pem)
    except UnusableKey as error:
        if is_reference(written):
            raise UnusableKey(f"{written}: {error}") from None
        raise
    return pem


def _normalised(text: str) -> str:
    blocks = _PEM.findall(text)
    if not blocks:
        raise UnusableKey("it is no private key in PEM form, or was cut off")
    label, body = next((one for one in blocks if "PRIVATE KEY" in one[0]), blocks[0])
    for part, problem in _OTHERS:
        if part in label or (part == "ENCRYPTED" and part in body):
            raise UnusableKey(problem)
    sole = "".join(body.replace("\\n", "\n").split())
    lines = [sole[at : at + _LINE] for at in range(0, len(sole), _LINE)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"))


def _require_rsa(pem: str) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKey("it is damaged: it cannot be read as a private key") from None
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey("it is no RSA key, which the keys of GitHub Apps are")
    if key.key_size < FEWEST_BITS:
        raise UnusableKey(f"it has {key.key_size} bits only; the keys of GitHub Apps have {FEWEST_BITS}")
