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

TOKEN = {"RUNNER_TOKEN": "ghp_of_the_environment"}
MINIMAL = 'url = "https://github.com/my-org"\nname = "linux"\n'


class Load(Protocol):
    def __call__(
        self,
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Config: ...


class Complaints(Protocol):
    def __call__(
        self,
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]: ...


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    """Places of our own, none of which holds a file yet."""
    return Locations(
        tmp_path / "here/config.toml",
        tmp_path / "home/config.toml",
        tmp_path / "etc/runner/config.toml",
        tmp_path / "etc/runscaler/config.toml",
    )


@pytest.fixture
def load(tmp_path: Path, locations: Locations) -> Load:
    """Loads a text as config.toml; the environment holds a token unless told otherwise."""

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
def complaints(load: Load, tmp_path: Path) -> Complaints:
    """The error lines about a text, with the file's name without its folder."""

    def _complaints(
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, flags=flags, environ=environ)
        return [finding.message.replace(f"{tmp_path}/", "") for finding in caught.value.findings]

    return _complaints


@pytest.fixture
def murmurs(load: Load, tmp_path: Path) -> Complaints:
    """The warnings about a text, with the file's name without its folder."""

    def _murmurs(
        text: str,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        config = load(text, flags=flags, environ=environ)
        return [finding.message.replace(f"{tmp_path}/", "") for finding in config.warnings]

    return _murmurs
