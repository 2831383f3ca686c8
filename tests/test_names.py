from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.names import OWNER_ID, RUNNER_NAME, ScaleSetKey, new_owner_id, new_runner_name

TEXTS = st.text(string.ascii_letters + string.digits + "-_ .", min_size=1, max_size=20)
URLS = TEXTS.map(lambda text: f"https://github.com/{text}")


def test_a_new_runner_is_called_runner_and_eight_hex_digits() -> None:
    assert RUNNER_NAME.match(new_runner_name())


def test_a_new_owner_is_thirty_two_hex_digits() -> None:
    assert OWNER_ID.match(new_owner_id())


def test_new_names_are_new() -> None:
    assert len({new_runner_name() for _ in range(100)}) == 100
    assert len({new_owner_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "name",
    [
        "",
        "runner-",
        "runner-0123456",
        "runner-012345678",
        "runner-0123456G",
        "runner-ABCDEF01",
        "my-runner-01234567",
        "runner_01234567",
        "runner-01234567 ",
        "runner-01234567\n",
    ],
)
def test_other_names_are_not_runner_names(name: str) -> None:
    assert not RUNNER_NAME.match(name)


@pytest.mark.parametrize("owner", ["", "0" * 31, "0" * 33, "g" * 32, "A" * 32, "0" * 32 + "\n"])
def test_other_texts_are_not_owner_ids(owner: str) -> None:
    assert not OWNER_ID.match(owner)


@given(URLS, TEXTS, TEXTS)
def test_a_scale_set_is_the_same_however_its_parts_are_capitalised(url: str, group: str, name: str) -> None:
    key = ScaleSetKey.of(url, group, name)

    assert ScaleSetKey.of(url.swapcase(), group.upper(), name.title()) == key
    assert hash(ScaleSetKey.of(url.upper(), group.lower(), name.upper())) == hash(key)


@given(URLS, TEXTS, TEXTS)
def test_a_slash_at_the_urls_end_makes_no_difference(url: str, group: str, name: str) -> None:
    assert ScaleSetKey.of(url + "/", group, name) == ScaleSetKey.of(url, group, name)


@pytest.mark.parametrize(
    "other",
    [
        ScaleSetKey.of("https://github.com/other", "default", "linux"),
        ScaleSetKey.of("https://github.com/my-org", "big", "linux"),
        ScaleSetKey.of("https://github.com/my-org", "default", "windows"),
    ],
)
def test_url_group_and_name_each_tell_scale_sets_apart(other: ScaleSetKey) -> None:
    assert other != ScaleSetKey.of("https://github.com/my-org", "default", "linux")


def test_a_key_is_printed_as_url_group_and_name() -> None:
    key = ScaleSetKey.of("https://github.com/My-Org/", "Default", "Linux")

    assert str(key) == "https://github.com/my-org default/linux"
