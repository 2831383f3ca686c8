from __future__ import annotations

import socket
import ssl

import pytest
import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError, ReadTimeoutError

from runscaler.errors import Unreachable
from runscaler.github.network_errors import Dropped, NotSent, unreachable
from runscaler.net.cancellable import CallCancelled


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (CallCancelled(), Unreachable, "took too long"),
        (socket.gaierror(-2, "unknown"), NotSent, "cannot be resolved"),
        (ConnectionRefusedError(), NotSent, "refused the connection"),
        (NewConnectionError(None, "no route"), NotSent, "cannot be reached"),
        (ConnectTimeoutError(), NotSent, "did not accept a connection in time"),
        (requests.ConnectTimeout(), NotSent, "did not accept a connection in time"),
        (ReadTimeoutError(None, "/", "slow"), Unreachable, "did not answer in time"),
        (ConnectionResetError(), Dropped, "dropped the connection"),
        (BrokenPipeError(), Dropped, "dropped the connection"),
        (ConnectionAbortedError(), Dropped, "dropped the connection"),
        (ssl.SSLError(1, "handshake failure"), Unreachable, "TLS with github.test failed"),
        (OSError("strange"), Unreachable, "failed .strange."),
    ],
)
def test_each_error_says_what_failed_and_whether_the_request_was_sent(
    error: Exception, kind: type[Unreachable], words: str
) -> None:
    found = unreachable(error, "try", "https://github.test/x", None)

    assert type(found) is kind
    with pytest.raises(kind, match=f"could not try: .*{words}"):
        raise found


def test_the_deepest_cause_that_is_known_counts() -> None:
    outer = requests.ConnectionError(NewConnectionError(None, "refused"))
    outer.args[0].__cause__ = ConnectionRefusedError()

    assert "refused the connection" in str(unreachable(outer, "try", "https://github.test/x", None))


def test_a_proxy_whose_certificate_is_not_trusted_is_told_with_the_cure() -> None:
    distrust = ssl.SSLCertVerificationError(1, "certificate verify failed")
    distrust.verify_code, distrust.verify_message = 19, "self-signed certificate"
    proxy = "https://me:hunter2@proxy:3129"

    error = unreachable(ProxyError("no", distrust), "try", "https://github.test/x", proxy)

    assert "the certificate of the proxy proxy:3129 is not signed by an authority" in str(error)
    assert "set ca to a PEM file" in error.fixes[0]


def test_a_failure_behind_a_proxy_names_it_without_its_password() -> None:
    error = unreachable(
        ConnectionResetError(), "try", "https://github.test/x", "http://me:hunter2@proxy:3128"
    )

    assert "github.test dropped the connection, through the proxy proxy:3128" in str(error)
    assert "hunter2" not in str(error)
