from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Lines

MINIMAL = 'url = "https://github.com/my-org"\nname = "linux"\n'
URL = 'url = "https://github.com/my-org"\n'


@pytest.mark.parametrize("name", ["ubuntu-latest", "Ubuntu-24.04-arm", "windows-2025", "macos-15-xlarge"])
def test_the_names_of_githubs_own_runners_are_warned_about(warning_lines: Lines, name: str) -> None:
    (as_name, as_label) = warning_lines(f'{URL}name = "{name}"\nlabels = ["{name}"]\n')

    assert f"name: jobs with runs-on: {name} run at GitHub, on its own runners of that name" in as_name
    assert f"labels: jobs with runs-on: {name} run at GitHub" in as_label


def test_other_names_that_begin_like_these_are_fine(warning_lines: Lines) -> None:
    assert warning_lines(f'{URL}name = "ubuntu-large"\n') == []


def test_a_long_name_or_label_is_warned_about(warning_lines: Lines) -> None:
    (name, label) = warning_lines(f'{URL}name = "{"n" * 300}"\nlabels = ["{"n" * 300}"]\n')

    assert name.startswith('config.toml:2: name: "nnn')
    assert name.endswith("… has 300 characters")
    assert label.endswith("… has 300 characters")
    assert warning_lines(f'{URL}name = "{"n" * 128}"\n') == []


def test_a_comma_in_a_label_is_an_error(error_lines: Lines) -> None:
    assert error_lines(f'{MINIMAL}labels = ["linux", "a,b"]\n') == [
        'config.toml:3: labels: "a,b" has a comma, which no label at GitHub has'
    ]
    assert error_lines(f'{URL}name = "a, b"\n') == [
        'config.toml:2: name: "a, b" has a comma, which runs-on cannot name'
    ]


def test_a_label_given_twice_is_warned_about(warning_lines: Lines) -> None:
    assert warning_lines(f'{MINIMAL}labels = ["linux", "big", "Big", "big"]\n') == [
        'config.toml:3: labels: "Big" is given twice: GitHub ignores case in labels',
        'config.toml:3: labels: "big" is given twice: GitHub ignores case in labels',
    ]
