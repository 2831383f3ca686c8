"""Which pages, sections and table rows a text cites, and which of them do not exist.

A citation names a page and sections of it, by number or heading (docs/protocol.md § 4.2, 5.1–5.3). In a
page, sections without the name of another page are its own. A citation may be wrapped over lines, comment
signs in between. Faults (F43), rules for clients (V9) and failure modes of Tart (T7) are rows of tables.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_HEADING = re.compile(r"^(#+) +(.*?) *$", re.MULTILINE)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_NUMBER = r"\d+(?:\.\d+)*[a-z]?(?!\w)"
_RANGE = rf"({_NUMBER})(?:(?: ?[–-] ?| to )({_NUMBER}))?"
_SEPARATOR = re.compile(r" ?, ?(?:and )?| and ")
_PAGE = r"(?<![\w.:/-])[\w.:/-]*[\w-]\.md\b"
_SIGN = "\N{SECTION SIGN}"
_CITATION = re.compile(rf"(?:({_PAGE})[)`]* ?)?{_SIGN} ?")
_NAMED = re.compile(rf'(?<!/ "){_PAGE}')
"""Not what code makes a path of: `folder / "NAME.md"`."""
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FILE = re.compile(r"(?<![\w./-])[a-z_/]+\.(?:py|go)\b")
_MODULE = re.compile(r"(?<![\w./-])runscaler(?:\.[a-z_]+){2,}\b")
_OUTSIDE = re.compile(r"\b(?:spec|design|style) \d+(?:\.\d+)*|\.\./shared\b", re.IGNORECASE)
_TABLES = {
    "F": ("docs/protocol.md", "10"),
    "V": ("docs/protocol.md", "9.2"),
    "T": ("docs/tart.md", "17"),
}
"""Page and section of the table that has the rows with this letter."""
_ROW = re.compile(rf"\b[{''.join(_TABLES)}]\d{{1,3}}\b")


class Page:
    """The sections of a Markdown page."""

    def __init__(self, text: str) -> None:
        self._text = _FENCED.sub(lambda block: "\n" * block[0].count("\n"), text)

    @cached_property
    def headings(self) -> list[str]:
        return [found[2].replace("`", "") for found in _HEADING.finditer(self._text)]

    @cached_property
    def numbers(self) -> set[str]:
        """Of all numbered sections: "4", "4.2"."""
        return {found[0] for heading in self.headings if (found := re.match(_NUMBER, heading))}

    @cached_property
    def anchors(self) -> set[str]:
        """As GitHub makes them for links."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    def has_heading(self, text: str) -> bool:
        """Does `text` begin with a heading?"""
        return any(re.match(rf"{re.escape(heading)}(?!\w)", text) for heading in self.headings)

    def rows(self, number: str) -> set[str]:
        """First cells of the tables in the section with that number, subsections included."""
        level = 2 + number.count(".")
        pattern = rf"^#{{{level}}} {re.escape(number)} .*?(?=^#{{1,{level}}} |\Z)"
        section = re.search(pattern, self._text, re.MULTILINE | re.DOTALL)
        return set(re.findall(r"^\| *(\w+) *\|", section[0], re.MULTILINE)) if section else set()


class Citations:
    """What one text cites. `path` is the text's own, `pages` all pages; both relative to the repository."""

    def __init__(self, path: str, text: str, pages: Mapping[str, Page]) -> None:
        self._path, self._pages = path, pages
        lines = [_without_comment_sign(line) for line in text.splitlines()]
        self._text = " ".join(lines).replace("`", "")
        self._starts = [0, *accumulate(len(line.replace("`", "")) + 1 for line in lines)]

    def wrong_sections(self) -> Iterator[str]:
        for found in _CITATION.finditer(self._text):
            name = found[1] or (self._path if self._is_page else "")
            page = self._pages.get(self._resolved(name))
            if page is None:
                yield self._complaint(found.start(), f"a section of {name or 'no page'}")
                continue
            for section in _sections(self._text[found.end() :], page):
                yield self._complaint(found.start(), f"{name} has no {_SIGN} {section}")

    def missing_pages(self, others: Collection[str] = ()) -> Iterator[str]:
        """Pages that are not in the repository; files called as in `others` are no pages."""
        for found in _NAMED.finditer(self._text):
            name = found[0]
            if "://" not in name and name not in others and self._resolved(name) not in self._pages:
                yield self._complaint(found.start(), f"no page {name}")
        for found in _OUTSIDE.finditer(self._text):
            yield self._complaint(found.start(), f"no page of this repository: {found[0]}")

    def missing_rows(self) -> Iterator[str]:
        """Faults, rules and failure modes without a row."""
        for found in _ROW.finditer(self._text):
            name, number = _TABLES[found[0][0]]
            page = self._pages.get(name)
            if page is None or found[0] not in page.rows(number):
                yield self._complaint(found.start(), f"{name} {_SIGN} {number} has no row {found[0]}")

    def dead_links(self, files: Collection[str]) -> Iterator[str]:
        """Relative links of a page to what is not among `files`, or to an anchor that is not there."""
        for found in _LINK.finditer(self._text) if self._is_page else ():
            target, _, anchor = found[1].partition("#")
            place = self._beside(target) if target else self._path
            page = self._pages.get(place)
            if "://" in found[1] or found[1].startswith("mailto:"):
                continue
            if place not in files or (anchor and (page is None or anchor not in page.anchors)):
                yield self._complaint(found.start(), f"dead link {found[1]}")

    def missing_code(self, files: Collection[str]) -> Iterator[str]:
        """Files (by the end of their path) and modules that a page names and that are not among `files`."""
        if not self._is_page:
            return
        for found in _FILE.finditer(self._text):
            if not any(f"/{path}".endswith(f"/{found[0]}") for path in files):
                yield self._complaint(found.start(), f"no file {found[0]}")
        for found in _MODULE.finditer(self._text):
            module = found[0].replace(".", "/")
            names = {f"{module}.py", f"{module}/__init__.py", f"{posixpath.dirname(module)}.py"}
            if not names & set(files):
                yield self._complaint(found.start(), f"no module {found[0]}")

    @property
    def _is_page(self) -> bool:
        return self._path.endswith(".md")

    def _beside(self, name: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(self._path), name))

    def _resolved(self, name: str) -> str:
        """Code names pages from the root of the repository; pages may name their neighbours, too."""
        if self._is_page and self._beside(name) in self._pages:
            return self._beside(name)
        return name

    def _complaint(self, offset: int, what: str) -> str:
        return f"{self._path}:{bisect_right(self._starts, offset)}: {what}"


def _without_comment_sign(line: str) -> str:
    return re.sub(r"^(?:#|//|>)+ *", "", line.strip())


def _sections(text: str, page: Page) -> Iterator[str]:
    """Those that `text` begins with and that the page lacks."""
    found = re.match(_RANGE, text)
    if found is None:
        if not page.has_heading(text):
            yield repr(text[:30])
        return
    while found is not None:
        yield from (number for number in _expanded(found[1], found[2]) if number not in page.numbers)
        text = text[found.end() :]
        separator = _SEPARATOR.match(text)
        text = text[separator.end() :] if separator else ""
        found = re.match(_RANGE, text)


def _expanded(first: str, last: str | None) -> list[str]:
    """5.2–5.5 means 5.2, 5.3, 5.4 and 5.5; of another kind of range only the ends are known."""
    if last is None:
        return [first]
    (parent, _, start), (other, _, end) = first.rpartition("."), last.rpartition(".")
    if parent != other or not (start.isdecimal() and end.isdecimal()):
        return [first, last]
    return [f"{parent}.{number}".lstrip(".") for number in range(int(start), int(end) + 1)] or [first, last]
