from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Lines

SET = 'url = "https://github.com/o"\nname = "n"\ntoken = "t"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[docker.registry-auth."ghcr.io"]\nuser = "me"\n', "ghcr.io has no password"),
        ('[docker.registry-auth."ghcr.io"]\npassword = "hunter2"\n', "ghcr.io has no user"),
        (
            (
                '[docker.registry-auth]\n"docker.io" = { user = "a", password = "hunter2" }\n'
                '"index.docker.io" = { user = "a", password = "hunter2" }\n'
            ),
            "names one registry twice: docker.io and index.docker.io",
        ),
        ('[docker]\nregistry-mirror = "https://me:hunter2@mirror"\n', "holds a login, which is not used"),
    ],
)
def test_a_login_that_cannot_be_meant_is_an_error_without_it(error_lines: Lines, text: str, why: str) -> None:
    (line,) = error_lines(SET + text)

    assert why in line
    assert "hunter2" not in line
