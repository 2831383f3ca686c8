from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.wire_server import WireServer, answer

from runscaler.config.model import AppSettings
from runscaler.config.proxy_url import ProxyUrl
from runscaler.config.secrets import Secret
from runscaler.config.urls import InvalidUrl
from runscaler.errors import ConfigError, HostError, Unreachable
from runscaler.github.tls import tls_context
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from pathlib import Path

    from support.github_client import Connector

IDLE = Interrupt()
URL = "https://github.com/my-org"


def test_sets_with_one_credential_and_host_share_their_connections(connector: Connector) -> None:
    pool = connector.pool
    one, other = connector(URL, "a"), connector(URL, "b")
    elsewhere = connector("https://github.com/other-org", "c")

    assert pool.for_scale_set(one.settings) == pool.for_scale_set(other.settings)
    assert pool.for_scale_set(elsewhere.settings)[1] is pool.for_scale_set(one.settings)[1]
    assert pool.for_scale_set(elsewhere.settings)[0] is not pool.for_scale_set(one.settings)[0]


def test_the_case_of_a_url_makes_no_difference(connector: Connector) -> None:
    one, other = connector(URL), connector("https://GitHub.com/My-Org")

    assert connector.pool.for_scale_set(one.settings) == connector.pool.for_scale_set(other.settings)


@pytest.mark.parametrize(
    "other",
    [
        {"token": Secret("another")},
        {"proxy": ProxyUrl("http://proxy.example:3128")},
        {"url": "https://acme.ghe.com/o"},
    ],
)
def test_another_credential_proxy_or_host_has_its_own_connections(
    connector: Connector, other: dict[str, object]
) -> None:
    pool, settings = connector.pool, connector(URL).settings

    assert pool.for_scale_set(settings)[1] is not pool.for_scale_set(settings.model_copy(update=other))[1]


def test_one_kept_connection_serves_call_after_call_of_several_sets(
    connector: Connector, server: WireServer
) -> None:
    server.on("GET", "runnerscalesets", answer({"count": 0, "value": []}), times=10)

    for name in "abc":
        connector(f"{server.url}/my-org", name).service.find_scale_set(name, 1, IDLE)

    assert server.connections == 1


def test_a_closed_pool_ends_its_threads_and_may_be_closed_again(
    connector: Connector, server: WireServer
) -> None:
    server.on("GET", "runnerscalesets", answer({"count": 0, "value": []}))
    connector(f"{server.url}/my-org").service.find_scale_set("a", 1, IDLE)

    connector.pool.close()
    connector.pool.close()


def test_what_cannot_be_connected_is_said_before_any_call(connector: Connector) -> None:
    app = AppSettings(client_id="Iv1", installation_id=1, private_key=Secret("pem"))

    with pytest.raises(ConfigError, match="no token is given"):
        connector(URL, token=None)
    with pytest.raises(ConfigError, match="cannot register runners for an enterprise"):
        connector("https://github.com/enterprises/acme", token=None, app=app)
    with pytest.raises(InvalidUrl):
        connector("github.com/my-org")
    with pytest.raises(HostError, match=r"/nowhere.pem: No such file"):
        connector(URL, ca="/nowhere.pem")


def test_a_ca_file_without_a_certificate_is_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing here\n")

    with pytest.raises(HostError, match="holds no certificate in PEM form"):
        tls_context(str(empty), {})


def test_the_usual_variables_name_the_bundle(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"missing\.pem"):
        tls_context("", {"REQUESTS_CA_BUNDLE": str(tmp_path / "missing.pem")})
    assert tls_context("", {"CURL_CA_BUNDLE": str(tmp_path)}).check_hostname


def test_nothing_listens_where_a_closed_server_was(connector: Connector) -> None:
    with WireServer() as gone:
        client = connector(f"{gone.url}/my-org")

    with pytest.raises(Unreachable):
        client.service.find_scale_set("a", 1, IDLE, 0.0)
