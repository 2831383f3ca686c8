"""Which release is the newest (https://semver.org, precedence)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from runscaler.ops.update.versions import Release, newest, parse_version

IN_ORDER = (
    *("0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
    *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0", "10.0.0"),
)


def releases(*versions: str) -> list[Release]:
    return [Release(f"v{version}", parse_version(version)) for version in versions]


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(IN_ORDER)))
def test_versions_are_ordered_as_semantic_versions(lower: str, higher: str) -> None:
    assert parse_version(lower) < parse_version(higher)


def test_the_highest_version_is_the_newest_whatever_the_order_of_the_list() -> None:
    found = newest(releases("1.9.0", "1.10.0", "1.2.0"), parse_version("1.0.0"))

    assert found is not None
    assert found.tag == "v1.10.0"


def test_who_runs_a_release_is_offered_no_pre_release() -> None:
    previews = [*releases("2.0.0-rc.1"), Release("v3.0.0", parse_version("3.0.0"), is_preview=True)]

    assert newest([*previews, *releases("1.1.0")], parse_version("1.0.0")) == releases("1.1.0")[0]
    assert newest(previews, parse_version("1.0.0")) is None


def test_who_runs_a_pre_release_is_offered_the_next_one_and_the_release() -> None:
    current = parse_version("2.0.0-rc.1")

    assert newest(releases("2.0.0-rc.1", "2.0.0-rc.2"), current) == releases("2.0.0-rc.2")[0]
    assert newest(releases("2.0.0-rc.2", "2.0.0"), current) == releases("2.0.0")[0]


@pytest.mark.parametrize(
    ("text", "version"), [("v1.2.3", "1.2.3"), ("1.2.0rc1", "1.2.0-rc.1"), ("1.2.0b2", "1.2.0-beta.2")]
)
def test_other_ways_to_write_a_version(text: str, version: str) -> None:
    assert str(parse_version(text)) == version


@pytest.mark.parametrize(
    "text", ["", "v", "1.2", "01.2.3", "latest", "1.2.3 ", "../1.2.3", "1.2.3-" + "a" * 200]
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError):
        parse_version(text)
