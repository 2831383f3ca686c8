from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.config import features
from runscaler.config.features import missing_features
from runscaler.config.schema import top_level_keys
from runscaler.findings import Level

if TYPE_CHECKING:
    from conftest import Load

SINGLE = 'url = "https://github.com/o"\nname = "n"\nrunner-image = "x"\n'


def found(load: Load, text: str) -> list[tuple[Level, str]]:
    return [(finding.level, finding.message) for finding in missing_features(load(text))]


def test_defaults_use_no_missing_feature(load: Load) -> None:
    assert found(load, SINGLE) == []
    assert found(load, f"{SINGLE}[docker]\npool-size = 0\nbuildx-cleanup = true\n") == []


def test_a_missing_feature_is_an_error(load: Load) -> None:
    assert found(load, f"{SINGLE}[docker]\npool-size = 2\n") == [
        (Level.ERROR, "[docker] pool-size is not available in this version")
    ]


@pytest.mark.parametrize("backend", sorted(features.REFUSED_BACKENDS))
def test_a_missing_backend_is_an_error(load: Load, backend: str) -> None:
    assert (Level.ERROR, f"backend {backend} is not available in this version") in found(
        load, f'{SINGLE}backend = "{backend}"\n'
    )


def test_no_feature_of_tart_is_missing(load: Load) -> None:
    keys = 'cpu = 4\nmemory = 8192\npool-size = 1\ncache-max-age = "48h"\nmax-vms = 3\nhome = "/v"\n'

    assert found(load, f'{SINGLE}backend = "tart"\n[tart]\n{keys}') == []


def test_tables_of_other_backends_are_ignored(load: Load) -> None:
    assert found(load, f'{SINGLE}backend = "process"\n[docker]\npool-size = 2\ndind = "sidecar"\n') == []


def test_each_row_of_the_tables_is_a_key() -> None:
    for path in features.REFUSED:
        assert path in top_level_keys()


def test_turning_off_a_missing_feature_is_accepted(load: Load) -> None:
    assert found(load, f"update-check = false\n{SINGLE}") == []
