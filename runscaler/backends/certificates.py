"""A scale set's `ca` in its runners: the files and the variables that name them (docs/networks.md)."""

from __future__ import annotations

import os
from pathlib import Path

from runscaler.config.inputs import read_input
from runscaler.errors import StartFailed
from runscaler.net.trusted_roots import bundle_with


def ca_variables(own: str, bundle: str) -> dict[str, str]:
    """`own` is the path of a file with the scale set's `ca`, `bundle` of one with the public authorities too.

    Node.js adds the file to those that it trusts anyway; for the others it takes their place.
    """
    return {
        "NODE_EXTRA_CA_CERTS": own,
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "CURL_CA_BUNDLE": bundle,
        "GIT_SSL_CAINFO": bundle,
    }


def read_certificates(ca: str, runner: str) -> tuple[bytes, bytes]:
    """The content of the file `ca`, and the bundle of it and what this host trusts. Raises `StartFailed`."""
    own = read_own(ca, runner)
    try:
        return own, bundle_with(own, os.environ)
    except OSError as error:
        why = f"{error.filename} cannot be read: {error.strerror}"
        raise StartFailed(f"cannot start {runner}: {why}") from error


def read_own(ca: str, runner: str) -> bytes:
    """The content of the file `ca`. Raises `StartFailed`."""
    try:
        return read_input(Path(ca).expanduser())[0]
    except OSError as error:
        raise StartFailed(
            f"cannot start {runner}: ca {ca} cannot be read: {error.strerror}",
            fixes=("ca must name a readable PEM file with the certificates to trust",),
        ) from error
