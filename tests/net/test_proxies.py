from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.net.proxies import (
    address_of,
    goes_direct,
    is_loopback,
    proxy_for,
    runner_variables,
    unreachable_proxy,
)
from runscaler.net.trusted_roots import bundle_with

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
PROXY = "http://proxy:3128"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("ghes.example", "*"),
        ("ghes.example", "other.example, ghes.example"),
        ("ghes.example", "other.example ghes.example"),
        ("GHES.Example.", "ghes.example"),
        ("ghes.example", "GHES.EXAMPLE"),
        ("ghes.example", ".ghes.example"),
        ("api.ghes.example", "ghes.example"),
        ("api.ghes.example", ".ghes.example"),
        ("api.ghes.example", "*.ghes.example"),
        ("ghes.example", "ghes.example:8443"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/8"),
        ("fd00::1", "fd00::1"),
        ("fd00::1", "FD00:0::1"),
        ("fd00::1", "[fd00::1]"),
        ("fd00::1", "[fd00::1]:8443"),
        ("fd00::1", "fd00::/8"),
    ],
)
def test_no_proxy_excepts(host: str, no_proxy: str) -> None:
    assert goes_direct(host, 8443, no_proxy)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("ghes.example", ""),
        ("ghes.example", ",, ,"),
        ("badghes.example", "ghes.example"),
        ("example", "ghes.example"),
        ("ghes.example", "ghes.example:443"),
        ("ghes.example", "."),
        ("10.1.2.3", "1.2.3"),
        ("10.1.2.3", "2.3"),
        ("11.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.0.0.0/99"),
        ("10.1.2.3", "fd00::/8"),
        ("fd00::1", "10.0.0.0/8"),
        ("fd00::1", "fd00::2"),
        ("ghes.example", "10.0.0.0/8"),
    ],
)
def test_no_proxy_does_not_except(host: str, no_proxy: str) -> None:
    assert not goes_direct(host, 8443, no_proxy)


@given(st.text(), st.integers(1, 65535), st.text())
def test_no_text_in_no_proxy_is_an_error(host: str, port: int, no_proxy: str) -> None:
    goes_direct(host, port, no_proxy)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/x", "http://127.9.9.9/", "http://[::1]:9/", "https://a.localhost/"]
)
def test_nothing_on_loopback_takes_a_proxy(url: str) -> None:
    assert proxy_for(url, PROXY) == ""


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "::2", "", "local"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("upper", [False, True])
def test_the_variables_name_the_proxy_for_each_scheme(monkeypatch: pytest.MonkeyPatch, upper: bool) -> None:
    for name in VARIABLES[:2]:
        monkeypatch.setenv(name.upper() if upper else name, f"http://{name}:1")

    assert proxy_for("http://a.example/") == "http://http_proxy:1"
    assert proxy_for("https://a.example/") == "http://https_proxy:1"


def test_all_proxy_stands_for_both_and_lower_case_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("HTTPS_PROXY", "http://upper:1")
    monkeypatch.setenv("https_proxy", "http://lower:1")

    assert proxy_for("http://a.example/") == PROXY
    assert proxy_for("https://a.example/") == "http://lower:1"


def test_a_chosen_proxy_takes_the_place_of_the_variables_but_for_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://other:1")
    monkeypatch.setenv("no_proxy", "inside.example,fd00::/8,plain.example:80")

    assert proxy_for("https://a.example/", PROXY) == PROXY
    assert proxy_for("https://inside.example:8443/", PROXY) == ""
    assert proxy_for("https://[fd00::2]:8443/", PROXY) == ""
    assert proxy_for("http://plain.example/", PROXY) == ""
    assert proxy_for("https://plain.example/", PROXY) == PROXY


def test_a_runner_is_told_of_no_proxy_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "inside.example")

    assert runner_variables("", shares_loopback=True) == {}


def test_a_runner_reaches_itself_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "inside.example localhost")

    told = runner_variables(PROXY, shares_loopback=False)

    assert told["NO_PROXY"] == told["no_proxy"] == "inside.example,localhost,127.0.0.1,::1"
    assert told["HTTPS_PROXY"] == told["http_proxy"] == PROXY


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:3128", "http://me:pw@localhost:3128", "http://[::1]:3128"]
)
def test_a_proxy_on_loopback_is_left_out_where_the_runner_has_its_own(proxy: str) -> None:
    assert runner_variables(proxy, shares_loopback=False) == {}
    assert runner_variables(proxy, shares_loopback=True)["https_proxy"] == proxy
    assert unreachable_proxy(proxy) == address_of(proxy)


def test_a_proxy_elsewhere_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unreachable_proxy(PROXY) == unreachable_proxy("") == ""
    monkeypatch.setenv("http_proxy", "http://localhost:1")
    assert unreachable_proxy(PROXY) == ""
    assert unreachable_proxy("") == "localhost:1"


def test_a_bundle_has_what_the_variables_name_and_the_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"{name}\n")
    environ = {"SSL_CERT_FILE": str(tmp_path / "one"), "REQUESTS_CA_BUNDLE": str(tmp_path / "two")}

    assert bundle_with(b"own\n", environ) == b"own\none\ntwo\n"
    assert bundle_with(b"one\n", environ) == b"one\ntwo\n"


def test_a_bundle_has_the_public_authorities() -> None:
    assert bundle_with(b"own", {}).count(b"BEGIN CERTIFICATE") > 50
