from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.config.load import load_config
from runscaler.config.proxy_url import ProxyUrl, passwords_in, passwords_in_environment, revealed
from runscaler.config.written_secrets import written_secrets
from runscaler.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lines, Load

SINGLE = 'url = "https://github.com/o"\nname = "n"\n'
WITH_PASSWORD = "http://me:hunter2%40@proxy:3128"


def test_a_proxy_is_shown_without_its_password() -> None:
    proxy = ProxyUrl(WITH_PASSWORD)

    shown = f"{proxy} {proxy!r} {[proxy]} {proxy:>40}"

    assert "hunter2" not in shown
    assert str(proxy) == "http://********@proxy:3128"
    assert proxy.reveal() == revealed(proxy) == WITH_PASSWORD
    assert proxy == ProxyUrl(WITH_PASSWORD) != ProxyUrl("http://proxy:3128")


def test_the_password_is_masked_in_each_form_that_it_is_sent_in() -> None:
    found = {secret.reveal() for secret in ProxyUrl(WITH_PASSWORD).secrets()}

    assert found == {"hunter2%40", "hunter2@", "bWU6aHVudGVyMkA="}
    assert passwords_in("http://proxy:3128") == passwords_in("http://me@proxy") == ()


@pytest.mark.parametrize(
    "wrong",
    [
        "proxy:3128",
        "socks5://me:hunter2@proxy:3128",
        "http://",
        "http://me:hunter2/hunter2@proxy:3128",
        "http://me:hunter2@proxy:port",
        "http://me:hunter2@proxy:0",
        "http://me:hunter2@:3128",
        "http://me:hunter2@[proxy:3128",
        "http://me:hunter2#@proxy:3128",
        "http://me:hunter2 @proxy:3128",
        "http://me:hunter2é@proxy:3128",
        "http://me:hunter2@proxy:3128/path",
    ],
)
def test_what_is_no_proxy_is_refused_without_its_password(load: Load, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"proxy: .* is not valid") as caught:
        load(f'{SINGLE}proxy = "{wrong}"\n')

    assert "hunter2" not in str(caught.value)


def test_a_proxy_may_come_from_a_variable_or_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text(f"{WITH_PASSWORD}\n")

    by_variable = load(
        f'{SINGLE}proxy = "env:COMPANY"\n', environ={"RUNNER_TOKEN": "x", "COMPANY": WITH_PASSWORD}
    )
    by_file = load(f'{SINGLE}proxy = "file:{tmp_path}/proxy"\n')

    for config in (by_variable, by_file):
        assert revealed(config.scale_sets[0].proxy) == WITH_PASSWORD


@pytest.mark.parametrize("reference", ["env:COMPANY", "file:nowhere"])
def test_a_proxy_that_is_not_there_is_told_once(error_lines: Lines, reference: str) -> None:
    (line,) = error_lines(f'{SINGLE}proxy = "{reference}"\n')

    assert f"proxy = {reference}: " in line


def test_a_proxy_in_a_variable_of_another_host_is_a_warning_only(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'{SINGLE}proxy = "env:COMPANY"\n')

    config = load_config(path, environ={"RUNNER_TOKEN": "x"}, unset_is_error=False)

    assert ["the variable COMPANY is not set" in one.message for one in config.warnings] == [True]


def test_an_empty_proxy_means_that_of_the_variables_again(load: Load) -> None:
    sets = "".join(f'[[scaleset]]\nurl = "https://github.com/o"\nname = "{name}"\n' for name in "ab")
    config = load(f'proxy = "http://proxy:3128"\n{sets}proxy = ""\n')

    assert [revealed(one.proxy) for one in config.scale_sets] == ["http://proxy:3128", ""]


def test_others_may_read_a_proxy_that_asks_for_no_password(load: Load, tmp_path: Path) -> None:
    warnings = []
    for proxy in ("http://proxy:3128", WITH_PASSWORD):
        path = tmp_path / "readable.toml"
        path.write_text(f'{SINGLE}proxy = "{proxy}"\n')
        path.chmod(0o644)
        config = load_config(path, environ={"RUNNER_TOKEN": "x"})
        warnings.append([str(one.message) for one in config.warnings])

    assert warnings[0] == []
    assert "the proxy is written here in plain text" in warnings[1][0]


def test_a_path_of_ca_starts_beside_the_file(load: Load, tmp_path: Path) -> None:
    (settings,) = load(f'{SINGLE}ca = "certs/company.pem"\n').scale_sets

    assert settings.ca == str(tmp_path / "certs/company.pem")


def test_reports_mask_the_passwords_of_all_proxies(tmp_path: Path) -> None:
    environ = {
        "HTTPS_PROXY": "http://a:from-upper@p",
        "all_proxy": "http://a:from-lower@p",
        "OTHER": "http://a:b@p",
    }

    found = written_secrets({"proxy": "http://me:hunter2 @proxy"}, environ, tmp_path)

    assert {"from-upper", "from-lower", "hunter2 "} <= found
    assert "b" not in {secret.reveal() for secret in passwords_in_environment(environ)}
