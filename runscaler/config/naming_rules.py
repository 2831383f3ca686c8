"""Rules for the name and labels of a scale set: what jobs write in runs-on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runscaler.config.problems import shown

if TYPE_CHECKING:
    from runscaler.config.problems import Problems
    from runscaler.config.rules import Checked

LONGEST = 128
"""Characters. GitHub documents no limit; nothing longer has been seen to work."""
_HOSTED = re.compile(r"(ubuntu|windows|macos)-(latest|slim|\d[\w.]*)(-[\w-]+)?", re.IGNORECASE)
"""GitHub's own runners: ubuntu-latest, windows-2025, macos-15-intel, ubuntu-24.04-arm."""


def _length(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    for key, values in (("name", (settings.name,)), ("labels", settings.labels)):
        for value in values:
            if checked.has(key) and len(value) > LONGEST:
                text = f"{key}: {shown(value)} has {len(value)} characters"
                fixes = [f"use at most {LONGEST}: GitHub may refuse or shorten it"]
                problems.warn(checked.origin(key), text, fixes=fixes, scale_set=shown(settings.name)[1:-1])


def _hosted(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    for key, values in (("name", (settings.name,)), ("labels", settings.labels)):
        for value in values:
            if checked.has(key) and _HOSTED.fullmatch(value):
                text = f"{key}: jobs with runs-on: {value} run at GitHub, on its own runners of that name"
                fixes = [f"use another, such as my-{value}"]
                problems.warn(checked.origin(key), text, fixes=fixes, scale_set=settings.name)


def _commas(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    wrong = [label for label in settings.labels if "," in label]
    if checked.has("labels") and wrong:
        parts = ", ".join(f'"{part.strip()}"' for part in wrong[0].split(",") if part.strip())
        text = f"labels: {shown(wrong[0])} has a comma, which no label at GitHub has"
        problems.error(
            checked.origin("labels"), text, fixes=[f"write labels = [{parts}]"], scale_set=settings.name
        )
    if checked.has("name") and "," in settings.name:
        text = f"name: {shown(settings.name)} has a comma, which runs-on cannot name"
        problems.error(
            checked.origin("name"), text, fixes=["a scale set has one name"], scale_set=settings.name
        )


def _repeated(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    if not checked.has("labels"):
        return
    known: set[str] = set()
    for label in settings.labels:
        if label.lower() in known:
            text = f"labels: {shown(label)} is given twice: GitHub ignores case in labels"
            problems.warn(checked.origin("labels"), text, scale_set=settings.name)
        known.add(label.lower())


def _without_name(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    if not checked.has("labels") or not checked.has("name"):
        return
    labels = [label.lower() for label in settings.labels]
    if settings.name.lower() not in labels:
        wanted = ", ".join(settings.labels)
        text = f"labels does not contain the name: jobs must use runs-on [{wanted}], not {settings.name}"
        problems.warn(checked.origin("labels"), text, scale_set=settings.name)


NAMING_RULES = (_length, _hosted, _commas, _repeated, _without_name)
