"""What a service needs, read from its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.errors import ConfigError
from runscaler.ops.service.host import locations
from runscaler.ops.service.layout import Layout
from runscaler.ops.service.needs import missing_variables, read_needs

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.ops.service.spec import Needs

HEAD = 'url = "https://github.com/my-org"\nname = "linux"\n'


def needs(tmp_path: Path, text: str, **environ: str) -> Needs:
    path = tmp_path / "config.toml"
    path.write_text(HEAD + text)
    path.chmod(0o600)
    return read_needs(path, environ, locations(Layout.of_this_process(is_user=False)))


def test_a_variable_that_only_the_service_has_is_named_and_no_error(tmp_path: Path) -> None:
    found = needs(tmp_path, 'token = "env:MY_TOKEN"\n')

    assert missing_variables(found, {}) == ["MY_TOKEN"]
    assert missing_variables(found, {"MY_TOKEN": "t"}) == []


def test_without_a_token_the_service_needs_the_standard_variable(tmp_path: Path) -> None:
    assert needs(tmp_path, "").variables == ("RUNNER_TOKEN",)
    assert needs(tmp_path, 'token = "t"\n').variables == ()


@pytest.mark.parametrize("key", ["env:APP_KEY", "file:$CREDENTIALS_DIRECTORY/app"])
def test_a_key_that_only_the_service_has_is_no_error(tmp_path: Path, key: str) -> None:
    found = needs(tmp_path, f'[app]\nclient-id = "Iv1.0a"\nprivate-key = "{key}"\n')

    assert missing_variables(found, {}) == (["APP_KEY"] if key.startswith("env:") else [])


def test_another_error_is_not_hidden_by_that(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max-runers"):
        needs(tmp_path, "max-runers = 3\n")


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("", True),
        ('[docker]\nsocket = "/run/docker.sock"\n', True),
        ('[docker]\nhost = "tcp://10.0.0.1:2375"\n', False),
        ('[docker]\nhosts = ["tcp://10.0.0.1:2375", "unix:///var/run/docker.sock"]\n', True),
        ('[docker]\nsocket = "/run/user/1000/docker.sock"\n', False),
    ],
)
def test_only_the_standard_socket_is_that_of_dockers_service(tmp_path: Path, text: str, local: bool) -> None:
    assert needs(tmp_path, 'token = "t"\n' + text).local_docker is local


def test_the_shells_engine_is_not_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")

    assert needs(tmp_path, 'token = "t"\n').local_docker


def test_the_rest_is_taken_from_the_keys(tmp_path: Path) -> None:
    found = needs(
        tmp_path,
        'token = "t"\nbackend = "process"\ndrain-timeout = "5m"\nhealth-host = "::"\nhealth-port = 9\n',
    )

    assert (found.process, found.local_docker, found.drain_timeout) == (True, False, 300.0)
    assert found.health == "http://[::1]:9"
    assert needs(tmp_path, 'token = "t"\nhealth-port = 0\n').health == ""
