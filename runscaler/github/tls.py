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


def tls_context(ca: str = "", environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """A context that verifies certificates, with the roots of the system, of SSL_CERT_FILE, of
    REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, and of the file `ca`. Without roots of the system, certifi's.

    It is the same on every Python: a chain may end at a trusted intermediate, which Python before 3.13 would
    not accept, and an old corporate authority may lack extensions, which Python 3.13 would not accept.

    Raises `HostError` for a file that cannot be read.
    """
    context = _keychain_context() if sys.platform == "darwin" else _openssl_context()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if environ.get("SSL_CERT_FILE"):
        _load(context, Path(environ["SSL_CERT_FILE"]), "SSL_CERT_FILE")
    if bundle := named_bundle(environ):
        _load(context, bundle, "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE")
    if ca:
        _load(context, Path(ca).expanduser(), "ca")
    return context


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
        why = "it holds no certificate in PEM form" if no_pem else error.strerror
        raise HostError(
            f"cannot read the CA certificates in {path}: {why}",
            fixes=(f"{named_by} must name a readable PEM file with the certificates to trust",),
        ) from error
