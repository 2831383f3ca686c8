from __future__ import annotations

import pytest
from pydantic import ValidationError

from runscaler.config.model import Config, DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.names import ScaleSetKey


def test_a_scale_set_can_be_made_with_defaults() -> None:
    settings = ScaleSetSettings(url="http://127.0.0.1:9001/my-org", name="Linux", token=Secret("x"))

    assert settings.labels == ("Linux",)
    assert settings.key == ScaleSetKey("http://127.0.0.1:9001/my-org", "default", "linux")
    assert Config(scale_sets=(settings,)).scale_sets[0].docker.memory == 0


def test_settings_cannot_be_changed() -> None:
    settings = DockerSettings()

    with pytest.raises(ValidationError):
        settings.memory = 1  # type: ignore[misc]


def test_settings_compare_by_value_including_the_token() -> None:
    def made(token: str) -> ScaleSetSettings:
        return ScaleSetSettings(url="u", name="n", token=Secret(token))

    assert made("x") == made("x")
    assert made("x") != made("y")


def test_a_secret_is_masked_in_every_rendering() -> None:
    settings = ScaleSetSettings(url="u", name="n", token=Secret("hunter2"))

    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump()}"


def test_an_invalid_value_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValidationError) as caught:
        ScaleSetSettings(url="u", name="n", token="hunter2")  # type: ignore[arg-type]

    assert "hunter2" not in str(caught.value)
