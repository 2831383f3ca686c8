"""Which certificates are trusted: what the system trusts, and what the configuration and variables add."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import certifi

from runscaler.errors import HostError
from runscaler.net.trusted_roots import named_bundle, system_roots

if TYPE_CHECKING:
    from collections.abc import Mapping


_FILE, _BUNDLE, _CA = "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE", "ca"
"""What names files with roots, and what messages call it."""


def tls_context(ca: str = "", environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """A context that verifies certificates, with the roots of the system, of SSL_CERT_FILE, of
    REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, and of the file `ca`. Without roots of the system, certifi's.

    It is the same on every Python: a chain may end at a trusted intermediate, which Python before 3.13 would
    not accept, and an old corporate authority may lack extensions, which Python 3.13 would not accept.

    Raises `HostError` for a file that cannot be read.
    """
    named = _named_roots(ca, environ)
    context = _keychain_context() if sys.platform == "darwin" else _openssl_context()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for named_by, path in named.items():
        _load(context, path, named_by)
    return context


def trust_again(context: ssl.SSLContext, ca: str, environ: Mapping[str, str]) -> None:
    """Read what the variables and `ca` name once more: what is new there is trusted by connections that are
    made from now on, what is there no more stays trusted. Raises `HostError` as `tls_context` does."""
    for named_by, path in _named_roots(ca, environ).items():
        _load(context, path, named_by)


def _named_roots(ca: str, environ: Mapping[str, str]) -> dict[str, Path]:
    """By what names them. Raises `HostError` for what must not be opened: OpenSSL would wait for a pipe."""
    named = {
        _FILE: Path(environ[_FILE]) if environ.get(_FILE) else None,
        _BUNDLE: named_bundle(environ),
        _CA: Path(ca).expanduser() if ca else None,
    }
    found = {named_by: path for named_by, path in named.items() if path is not None}
    for named_by, path in found.items():
        if named_by == _CA and path.is_dir():
            raise _unreadable(path, named_by, "it is a directory, not a file")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise _unreadable(path, named_by, "it is no regular file")
    return found


def _keychain_context() -> ssl.SSLContext:
    """macOS keeps its trust in keychains, with what an administrator added, and has no file that tells."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _openssl_context() -> ssl.SSLContext:
    """The system's roots, read once: `truststore` would read them anew for each connection.

    The OpenSSL of a single-file executable looks only where the system that it was built on has them.
    """
    context = ssl.create_default_context()
    roots = system_roots()
    if roots is not None:
        _load(context, roots, "the system's roots")
    elif not _has_roots():
        _load(context, Path(certifi.where()), "certifi")
    return context


def _has_roots() -> bool:
    """Has OpenSSL found roots at the places that it was built for?"""
    places = ssl.get_default_verify_paths()
    return bool(places.cafile) or bool(places.capath and any(Path(places.capath).glob("*.0")))


def _load(context: ssl.SSLContext, path: Path, named_by: str) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        no_pem = isinstance(error, ssl.SSLError)
        why = "it holds no certificate in PEM form" if no_pem else str(error.strerror)
        raise _unreadable(path, named_by, why) from error


def _unreadable(path: Path, named_by: str, why: str) -> HostError:
    fix = f"{named_by} must name a readable PEM file with the certificates to trust"
    return HostError(f"cannot read the CA certificates in {path}: {why}", fixes=(fix,))
