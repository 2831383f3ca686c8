"""Which certificates are trusted."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import certifi

from runscaler.errors import HostError
from runscaler.interpreter import is_frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that replace certifi's roots. OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR."""


SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS
)
"""Where systems keep their roots, with those that an administrator added. The OpenSSL of a single-file
executable looks only where the system that it was built on has them."""


def tls_context(ca: str = "", environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """A context that verifies certificates, with the roots of the system, of certifi and of the file `ca`.

    It is the same on every Python: a chain may end at a trusted intermediate, which Python before 3.13 would
    not accept, and an old corporate authority may lack extensions, which Python 3.13 would not accept.

    Raises `HostError` for a file that cannot be read.
    """
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if is_frozen():
        for path in [Path(name) for name in SYSTEM_ROOTS if os.access(name, os.R_OK)][:1]:
            _load(context, path)
    bundle = next((environ[name] for name in BUNDLES if environ.get(name)), certifi.where())
    _load(context, Path(bundle))
    if ca:
        _load(context, Path(ca))
    return context


def _load(context: ssl.SSLContext, path: Path) -> None:
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
            fixes=("ca must name a readable PEM file with the certificates to trust",),
        ) from error
