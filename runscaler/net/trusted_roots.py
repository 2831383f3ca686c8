"""The certificates that this host trusts, as files (docs/networks.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import certifi

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS
)
"""Where systems keep their roots, with those that an administrator added."""
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name a file or folder of roots. OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR."""


def system_roots() -> Path | None:
    """The file with the system's roots; None if it is at none of the usual places."""
    return next((Path(name) for name in SYSTEM_ROOTS if os.access(name, os.R_OK)), None)


def named_bundle(environ: Mapping[str, str]) -> Path | None:
    """What REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names."""
    return next((Path(environ[name]) for name in BUNDLES if environ.get(name)), None)


def bundle_with(own: bytes, environ: Mapping[str, str]) -> bytes:
    """The certificates `own` and those that this host trusts, in one file in PEM form.

    A program that is given a file of roots often trusts that file alone, so that one with `own` only would
    hide the public authorities from it. Raises OSError.
    """
    given = environ.get("SSL_CERT_FILE", "")
    roots = [Path(given) if given else system_roots() or Path(certifi.where()), named_bundle(environ)]
    known = [path.read_bytes() for path in roots if path is not None and path.is_file()]
    return b"\n".join(dict.fromkeys((own.strip(), *(each.strip() for each in known)))) + b"\n"
