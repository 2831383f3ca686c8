"""The public names for embedding programs; everything else may change."""

from __future__ import annotations

import pytest

import runscaler

PUBLIC = ["Autoscaler", "Config", "__version__", "errors", "events", "load_config"]


def test_the_public_names_are_these_and_no_others() -> None:
    assert sorted(runscaler.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(runscaler, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Autoscalar"):
        getattr(runscaler, "Autoscalar")  # noqa: B009 - the name is wrong on purpose
