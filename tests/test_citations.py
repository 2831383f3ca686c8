"""Every page, section, fault, rule and failure mode that is cited anywhere exists, in this repository."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.citations import Citations, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FOLDERS = ("conf", "docs", "runscaler", "scripts", "tests")
NO_PAGES = ("manual.md",)
"""A file that a job of the demo writes."""


@cache
def texts() -> dict[str, str]:
    """Every text of the repository by its path, but for this one, which has citations that are wrong."""
    found = {}
    for path in sorted(
        [*ROOT.glob("[!.]*"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*"))]
    ):
        if path.is_file() and "__pycache__" not in path.parts and path != Path(__file__):
            with suppress(UnicodeDecodeError):
                found[path.relative_to(ROOT).as_posix()] = path.read_text("utf-8")
    return found


def pictures() -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.png")}


@cache
def pages() -> dict[str, Page]:
    return {path: Page(text) for path, text in texts().items() if path.endswith(".md")}


def citations() -> Iterator[Citations]:
    return (Citations(path, text, pages()) for path, text in texts().items())


def test_there_are_pages_and_code_to_look_at() -> None:
    assert {"README.md", "docs/behaviour.md", "docs/protocol.md", "docs/tart.md"} <= pages().keys()
    assert {
        "setup.cfg",
        "scripts/bench",
        "runscaler/errors.py",
        "tests/conformance/main.go",
    } <= texts().keys()


def test_every_cited_section_exists() -> None:
    assert [wrong for one in citations() for wrong in one.wrong_sections()] == []


def test_every_page_that_is_named_is_in_the_repository() -> None:
    assert [wrong for one in citations() for wrong in one.missing_pages(NO_PAGES)] == []


def test_every_fault_rule_and_failure_mode_has_its_row() -> None:
    assert [wrong for one in citations() for wrong in one.missing_rows()] == []


def test_no_link_is_dead() -> None:
    assert [wrong for one in citations() for wrong in one.dead_links({*texts(), *pictures()})] == []


def test_every_file_and_module_that_a_page_names_exists() -> None:
    assert [wrong for one in citations() for wrong in one.missing_code(texts())] == []


# -- the checker itself ---------------------------------------------------------------------------------

GUIDE = """\
# Guide

## 1 Start

## 5 Life of a `runner`

### 5.1 One

### 5.2 Two

### 5.2a Two and a half

### 5.4 Four

## A slot's life

```sh
# 9 no heading
```
"""
FAULTS = """\
## 9 Others

| F2 | not a fault |

### 9.2 Rules

| V1 | a rule |

### 9.3 More

| V2 | not a rule |

## 10 Faults

### 10.1 On the wire

| fault | what |
| --- | --- |
| F1 | silence |

## 11 More

| F3 | not a fault |
"""
MADE_UP = {"docs/guide.md": Page(GUIDE), "docs/protocol.md": Page(FAULTS), "README.md": Page("# Read me")}


def cited(text: str, path: str = "code.py") -> Citations:
    return Citations(path, text, MADE_UP)


@pytest.mark.parametrize(
    "text",
    [
        "docs/guide.md § 1",
        "(docs/guide.md § 1, 5.1).",
        "docs/guide.md § 5.1 and 5.2, step 3",
        "docs/guide.md § 5.1–5.2; docs/protocol.md § 10",
        "docs/guide.md § 5.1 to 5.2, 5.2a",
        "docs/guide.md § 5.2's rule",
        "docs/guide.md § A slot's life, and more",
        "docs/guide.md § 5.1, F41",
        "docs/guide.md § 5\n    # .1 is no section, but 5 is",
        "`docs/guide.md` § 5",
    ],
)
def test_a_section_that_exists_is_found(text: str) -> None:
    assert list(cited(text).wrong_sections()) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("docs/guide.md § 2", ["2"]),
        ("docs/guide.md § 5.3", ["5.3"]),
        ("docs/guide.md § 5.2b", ["5.2b"]),
        ("docs/guide.md § 1, 5.7, 5.8", ["5.7", "5.8"]),
        ("docs/guide.md § 5.1 and 5.9", ["5.9"]),
        ("docs/guide.md § 5.1–5.4", ["5.3"]),
        ("docs/guide.md § 5.1 to 5.3", ["5.3"]),
        ("docs/guide.md § 9", ["9"]),
        ("docs/guide.md §\n    # 5.3", ["5.3"]),
        ("// docs/guide.md\n// § 1,\n// 5.3", ["5.3"]),
    ],
)
def test_a_section_that_does_not_exist_is_named(text: str, missing: list[str]) -> None:
    found = list(cited(text).wrong_sections())

    assert found == [f"code.py:1: docs/guide.md has no § {number}" for number in missing]


@pytest.mark.parametrize("heading", ["A slot", "A slot's lifetime", "Supervision"])
def test_a_heading_that_does_not_exist_is_named(heading: str) -> None:
    (found,) = cited(f"docs/guide.md § {heading}").wrong_sections()

    assert found == f"code.py:1: docs/guide.md has no § {heading!r}"


def test_a_section_of_an_unknown_page_and_of_none_is_wrong() -> None:
    found = list(cited("one\ndocs/gone.md § 1\n(§ 1)").wrong_sections())

    assert found == ["code.py:2: a section of docs/gone.md", "code.py:3: a section of no page"]


def test_in_a_page_a_section_alone_is_its_own_and_neighbours_may_be_named() -> None:
    text = "see § 5.1 and [guide.md](guide.md) § 5.3, 1; § 5.3"

    assert list(cited(text, "docs/guide.md").wrong_sections()) == [
        "docs/guide.md:1: guide.md has no § 5.3",
        "docs/guide.md:1: docs/guide.md has no § 5.3",
    ]


@pytest.mark.parametrize("name", ["spec.md", "Spec.md", "guide.md", "docs/gone.md", "../shared/spec.md"])
def test_a_page_outside_the_repository_is_named(name: str) -> None:
    found = list(cited(f"\nas {name} says").missing_pages())

    assert f"code.py:2: no page {name}" in found


@pytest.mark.parametrize("words", ["spec 4.2", "Spec 5", "design 3", "../shared/x"])
def test_words_about_pages_outside_the_repository_are_named(words: str) -> None:
    assert list(cited(words).missing_pages()) != []


def test_pages_that_exist_and_files_that_are_no_pages_are_fine() -> None:
    text = 'docs/guide.md, README.md, docs/*.md, https://example.com/spec.md, notes.md, docs / "guide.md"'

    assert list(cited(text).missing_pages(["notes.md"])) == []


def test_a_fault_without_a_row_is_named_wherever_it_stands() -> None:
    found = list(cited('fault F1, (F2)\nfaults F1–F3, "F100"').missing_rows())

    assert found == [
        "code.py:1: docs/protocol.md § 10 has no row F2",
        "code.py:2: docs/protocol.md § 10 has no row F3",
        "code.py:2: docs/protocol.md § 10 has no row F100",
    ]


def test_the_row_of_a_rule_stands_in_its_subsection() -> None:
    assert list(cited("V1, V2").missing_rows()) == ["code.py:1: docs/protocol.md § 9.2 has no row V2"]


def test_a_failure_mode_without_its_page_is_named() -> None:
    assert list(cited('"""T7"""').missing_rows()) == ["code.py:1: docs/tart.md § 17 has no row T7"]


def test_links_to_nothing_are_dead() -> None:
    text = (
        "[a](guide.md) [b](guide.md#a-slots-life) [c](#5-life-of-a-runner) [d](../README.md) [e](https://x.y)"
    )
    dead = "[f](gone.md) [g](guide.md#gone) [h](../LICENSE#x)"
    files = [*MADE_UP, "LICENSE"]

    assert list(cited(text, "docs/guide.md").dead_links(files)) == []
    assert list(cited(dead, "docs/guide.md").dead_links(files)) == [
        "docs/guide.md:1: dead link gone.md",
        "docs/guide.md:1: dead link guide.md#gone",
        "docs/guide.md:1: dead link ../LICENSE#x",
    ]


def test_code_that_does_not_exist_is_named_where_a_page_speaks_of_it() -> None:
    files = ["runscaler/files.py", "runscaler/cli/__init__.py", "runscaler/cli/run.py"]
    fine = "`files.py`, cli/run.py, runscaler.cli.run, runscaler.cli.run.start, runscaler.json, `cli/NAME.py`"
    wrong = "`cli/files.py`, `un.py`, runscaler.cli.gone"

    assert list(cited(fine, "README.md").missing_code(files)) == []
    assert list(cited(wrong).missing_code(files)) == []
    assert list(cited(wrong, "README.md").missing_code(files)) == [
        "README.md:1: no file cli/files.py",
        "README.md:1: no file un.py",
        "README.md:1: no module runscaler.cli.gone",
    ]
