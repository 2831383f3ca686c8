"""Certificates for TLS servers of tests, made with openssl."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

from support.missing import missing

if TYPE_CHECKING:
    from pathlib import Path

CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
OLD_CA = "basicConstraints=CA:TRUE\n"
"""An authority as many companies made theirs: with no word of what its key is for."""


def openssl(*arguments: str) -> None:
    try:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    except FileNotFoundError:
        missing("openssl")


def make_certificate(folder: Path, name: str, days: int = 2) -> ssl.SSLContext:
    """A server's context with a self-signed certificate for `name`, which lies in folder/cert.pem."""
    key, request, cert = (str(folder / part) for part in ("key.pem", "request.pem", "cert.pem"))
    subject = ["-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, *subject)
    lifetime = ["-days", str(days), "-copy_extensions", "copy"]
    openssl("x509", "-req", "-in", request, "-signkey", key, "-out", cert, *lifetime)
    return server_context(cert, key)


def server_context(chain: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


class Authority:
    """A certificate authority: its own certificate lies in `pem`. Without an issuer it is a root."""

    def __init__(
        self, folder: Path, name: str, extensions: str = CA, issuer: Authority | None = None
    ) -> None:
        self._folder, self._name = folder, name
        self.pem, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        self._sign(name, self.pem, self._key, extensions, issuer)

    def server(self, address: str = "127.0.0.1") -> ssl.SSLContext:
        """A server's context with a certificate of this authority, which is sent along with it."""
        leaf, key = self._folder / "leaf.pem", self._folder / "leaf.key"
        self._sign("leaf", leaf, key, f"subjectAltName=IP:{address}\n", self)
        chain = self._folder / "chain.pem"
        chain.write_text(leaf.read_text() + self.pem.read_text())
        return server_context(str(chain), str(key))

    def _sign(self, name: str, cert: Path, key: Path, extensions: str, issuer: Authority | None) -> None:
        request, wanted = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        identifiers = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        wanted.write_text(extensions + (identifiers if issuer else "subjectKeyIdentifier=hash\n"))
        subject = ["-subj", f"/CN={name}"]
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(request), *subject)
        signer = ["-CA", str(issuer.pem), "-CAkey", str(issuer._key)] if issuer else ["-signkey", str(key)]
        signer += ["-CAcreateserial"] if issuer else []
        made = ["-in", str(request), "-out", str(cert), "-days", "2", "-extfile", str(wanted)]
        openssl("x509", "-req", *made, *signer)
