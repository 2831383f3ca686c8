"""Which certificates are trusted, shown with real TLS servers (docs/behaviour.md § 4.2, `ca`)."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest
import truststore
from support.certificates import OLD_CA, Authority
from support.github_client import Connector
from support.wire_server import WireServer, answer

from runscaler.errors import HostError, Unreachable
from runscaler.github.pool import TransportPool
from runscaler.github.tls import tls_context
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.testing.clock import FakeClock

IDLE = Interrupt()


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Default contexts as those of Python 3.13, which are strict, on any Python."""
    default = ssl.create_default_context

    def create() -> ssl.SSLContext:
        context = default()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Default contexts as those of Python 3.11, for which a chain ends at a root only, on any Python."""
    default = ssl.create_default_context

    def create() -> ssl.SSLContext:
        context = default()
        context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


def reach(connector: Connector, authority: Authority, ca: Path) -> None:
    """Call a server with a certificate of `authority`, with `ca` trusted."""
    with WireServer(tls=authority.server()) as server:
        server.on("GET", "runnerscalesets", answer({"count": 0, "value": []}))
        client = connector(f"{server.url}/my-org", ca=str(ca))
        client.service.find_scale_set("my-runners", 1, IDLE, 0.0)


@pytest.mark.usefixtures("lenient")
def test_an_intermediate_alone_is_trusted(connector: Connector, tmp_path: Path) -> None:
    intermediate = Authority(tmp_path, "intermediate", issuer=Authority(tmp_path, "root"))

    reach(connector, intermediate, intermediate.pem)


@pytest.mark.usefixtures("strict")
def test_an_old_authority_without_key_usage_is_trusted(connector: Connector, tmp_path: Path) -> None:
    old = Authority(tmp_path, "old", OLD_CA)

    reach(connector, old, old.pem)


@pytest.mark.usefixtures("strict")
def test_an_intermediate_below_an_old_authority_is_trusted(connector: Connector, tmp_path: Path) -> None:
    old = Authority(tmp_path, "old", OLD_CA)

    reach(connector, Authority(tmp_path, "intermediate", issuer=old), old.pem)


def test_another_intermediate_of_the_same_root_is_not_trusted(connector: Connector, tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    trusted, other = (Authority(tmp_path, name, issuer=root) for name in ("trusted", "other"))

    with pytest.raises(Unreachable, match="not signed by an authority that this host trusts"):
        reach(connector, other, trusted.pem)


def test_what_the_administrator_of_the_system_trusts_is_trusted(
    connector: Connector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company, one, two = (Authority(tmp_path, name) for name in ("company", "one", "two"))
    with pytest.raises(Unreachable, match="not signed by an authority that this host trusts"):
        reach(connector, company, one.pem)

    monkeypatch.setattr(
        "runscaler.net.trusted_roots.SYSTEM_ROOTS", (str(tmp_path / "absent"), str(company.pem))
    )
    reach(connector, company, two.pem)


def test_on_a_mac_the_keychain_is_asked_and_the_own_authority_is_trusted_beside_it(
    connector: Connector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here `truststore` asks what stands for a keychain on this system; the rest is the same."""
    company, other = (Authority(tmp_path, name) for name in ("company", "other"))
    monkeypatch.setattr("sys.platform", "darwin")
    context = tls_context(str(company.pem), {})

    assert isinstance(context, truststore.SSLContext)
    reach(connector, company, company.pem)
    with pytest.raises(Unreachable, match="not signed by an authority that this host trusts"):
        reach(connector, Authority(tmp_path, "stranger"), other.pem)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_variable_names_an_authority(tmp_path: Path, variable: str, clock: FakeClock) -> None:
    company = Authority(tmp_path, "company")
    pool = TransportPool(clock, environ={variable: str(company.pem)})

    reach(Connector(clock, pool), company, Authority(tmp_path, "other").pem)

    pool.close()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_variable_that_names_nothing_is_an_error(tmp_path: Path, variable: str) -> None:
    with pytest.raises(HostError, match=r"nothing\.pem: No such file") as caught:
        tls_context("", {variable: str(tmp_path / "nothing.pem")})

    assert variable in caught.value.fixes[0]


@pytest.mark.parametrize("named_by", ["ca", "SSL_CERT_FILE"])
def test_a_pipe_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    if named_by != "ca":
        monkeypatch.setenv(named_by, pipe)

    with pytest.raises(HostError, match="pipe: it is no regular file"):
        tls_context(pipe if named_by == "ca" else "")


def test_ca_is_no_directory_as_runners_need_a_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="it is a directory, not a file"):
        tls_context(str(tmp_path), {})


def test_an_authority_that_was_added_to_the_file_is_trusted_once_it_is_read_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    company, other = Authority(tmp_path, "company"), Authority(tmp_path, "other")
    pool = TransportPool(clock, environ={})
    connector = Connector(clock, pool)
    with pytest.raises(Unreachable, match="not signed by an authority that this host trusts"):
        reach(connector, company, other.pem)

    other.pem.write_bytes(other.pem.read_bytes() + company.pem.read_bytes())
    pool.trust(str(other.pem))
    reach(connector, company, other.pem)

    other.pem.write_bytes(b"")
    with pytest.raises(HostError, match="holds no certificate"):
        pool.trust(str(other.pem))
    pool.close()


def test_where_the_system_has_no_roots_certifi_s_are_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("runscaler.net.trusted_roots.SYSTEM_ROOTS", ())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))

    assert len(tls_context("", {}).get_ca_certs()) > 50


def test_what_is_trusted_is_the_same_on_every_python() -> None:
    context = tls_context(environ={})

    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
