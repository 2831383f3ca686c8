from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from runscaler.config.load import load_config
from runscaler.config.sources import Locations
from runscaler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runscaler.config.model import Config

TOKEN = {"RUNNER_TOKEN": "ghp_s3cr3t_of_the_environment"}
MINIMAL = 'url = "https://github.com/my-org"\nname = "linux"\n'


class Load(Protocol):
    def __call__(
        self,
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config: ...


class Lines(Protocol):
    def __call__(
        self,
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]: ...


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    """Default locations in the test's directory; none of the files exists yet."""
    return Locations(
        tmp_path / "here/config.toml",
        tmp_path / "home/config.toml",
        tmp_path / "etc/runner/config.toml",
        tmp_path / "etc/runscaler/config.toml",
    )


@pytest.fixture
def load(tmp_path: Path, locations: Locations) -> Load:
    """Loads a text as config.toml. The environment contains a token unless `environ` is given."""

    def _load(
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        path = tmp_path / "config.toml"
        path.write_text(text)
        path.chmod(0o600)
        return load_config(
            path, flags=flags, environ=TOKEN if environ is None else environ, locations=locations
        )

    return _load


@pytest.fixture
def error_lines(load: Load, tmp_path: Path) -> Lines:
    """The error messages for a text, with the name of the file instead of its path."""

    def _error_lines(
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, flags=flags, environ=environ)
        return [finding.message.replace(f"{tmp_path}/", "") for finding in caught.value.findings]

    return _error_lines


@pytest.fixture
def warning_lines(load: Load, tmp_path: Path) -> Lines:
    """The warnings for a text, with the name of the file instead of its path."""

    def _warning_lines(
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        config = load(text, flags=flags, environ=environ)
        return [finding.message.replace(f"{tmp_path}/", "") for finding in config.warnings]

    return _warning_lines
