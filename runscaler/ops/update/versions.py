"""Versions of this program, compared as semantic versions (https://semver.org)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semver import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LENGTH = 100
_PYTHON_FORM = re.compile(r"(\d+\.\d+\.\d+)(a|b|rc)(\d+)")
_PYTHON_WORDS = {"a": "alpha", "b": "beta", "rc": "rc"}


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the program under its tag; `is_preview`: the publisher marked it as a pre-release."""

    tag: str
    version: Version
    is_preview: bool = False


def parse_version(text: str) -> Version:
    """A version with or without `v`; also 1.2.0rc1, as Python's packages write 1.2.0-rc.1.

    Raises ValueError.
    """
    number = text.removeprefix("v")
    if len(number) > MAX_LENGTH:
        raise ValueError("a version is not that long")
    if match := _PYTHON_FORM.fullmatch(number):
        number = f"{match[1]}-{_PYTHON_WORDS[match[2]]}.{match[3]}"
    return Version.parse(number)


def newest(releases: Iterable[Release], current: Version) -> Release | None:
    """The highest version. Pre-releases count only for who runs one already."""
    with_previews = bool(current.prerelease)
    wanted = [
        release
        for release in releases
        if with_previews or not (release.is_preview or release.version.prerelease)
    ]
    return max(wanted, key=lambda release: release.version, default=None)
