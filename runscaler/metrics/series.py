"""What is stored: the counts and observations of one family, with their text kept until they change.

Any thread may count; a short lock orders the writers. Readers take no lock: a table of label sets is replaced
as a whole when one is added, and a text belongs to the value that it was written for.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Generic, TypeVar

from runscaler.metrics.numbers import go_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.metrics.family import Family

Labels = tuple[str, ...]
_writing = threading.Lock()
"""Held for a microsecond."""


def label_text(names: Iterable[str], values: Iterable[str]) -> str:
    """`name="value",…`, with what the format cannot bear escaped."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in zip(names, values, strict=True))


def escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def in_braces(*texts: str) -> str:
    """Label texts together, as they stand behind a name."""
    inside = ",".join(text for text in texts if text)
    return f"{{{inside}}}" if inside else ""


class _Counter:
    __slots__ = ("_prefix", "_written", "value")

    def __init__(self) -> None:
        self._prefix = ""
        self.value = 0.0
        self._written: tuple[float, str] = (-1.0, "")

    def call(self, name: str, labels: str) -> None:
        self._prefix, self._written = f"{name}{in_braces(labels)} ", (-1.0, "")

    def text(self) -> str:
        value = self.value
        of_value, line = self._written
        if of_value != value:
            line = f"{self._prefix}{go_number(value)}\n"
            self._written = value, line
        return line


class _Histogram:
    __slots__ = ("_bounds", "_bucket", "_count", "_sum", "_written", "changes", "counts", "total")

    def __init__(self, bounds: tuple[str, ...]) -> None:
        self._bounds = bounds
        self._bucket = self._sum = self._count = ""
        self.counts = [0] * len(bounds)
        self.total = 0.0
        self.changes = 0
        self._written: tuple[int, str] = (-1, "")

    def call(self, name: str, labels: str) -> None:
        self._bucket = f"{name}_bucket{{{labels}," if labels else f"{name}_bucket{{"
        self._sum, self._count = f"{name}_sum{in_braces(labels)} ", f"{name}_count{in_braces(labels)} "
        self._written = -1, ""

    def text(self) -> str:
        changes = self.changes  # before the values: what comes meanwhile is written again next time
        of_changes, lines = self._written
        if of_changes != changes:
            lines = self._lines(self.counts.copy(), self.total)
            self._written = changes, lines
        return lines

    def _lines(self, counts: list[int], total: float) -> str:
        begin, seen = self._bucket, 0
        lines = []
        for bound, count in zip(self._bounds, counts, strict=True):
            seen += count
            lines.append(f"{begin}{bound}{seen}\n")
        return f"{''.join(lines)}{self._sum}{go_number(total)}\n{self._count}{seen}\n"


_Child = TypeVar("_Child", _Counter, _Histogram)


class _Series(Generic[_Child]):
    """The children of one family, by the values of its labels. `constant` is the text of further labels,
    which all of them have."""

    def __init__(self, family: Family, constant: str = "") -> None:
        self.family, self.constant = family, constant
        self._names = tuple(one.name for one in family.labels)
        self._children: dict[Labels, _Child] = {}
        for labels in family.starting_labels():
            self._child(labels)

    def __len__(self) -> int:
        return len(self._children)

    def __contains__(self, labels: Labels) -> bool:
        return labels in self._children

    def text(self, constant: str) -> str:
        """All lines, with these further labels. For one reader at a time."""
        if constant != self.constant:
            self._rename(constant)
        return "".join([one.text() for one in self._children.values()])

    def _make(self) -> _Child:
        raise NotImplementedError

    def _child(self, labels: Labels) -> _Child:
        """The child with these labels, made if there is none. For a writer that holds the lock."""
        child = self._children.get(labels)
        if child is None:
            child = self._make()
            self._call(child, labels)
            self._children = {**self._children, labels: child}
        return child

    def _call(self, child: _Child, labels: Labels) -> None:
        texts = (self.constant, label_text(self._names, labels))
        child.call(self.family.name, ",".join(text for text in texts if text))

    def _rename(self, constant: str) -> None:
        with _writing:
            self.constant = constant
            for labels, child in self._children.items():
                self._call(child, labels)


class CounterSeries(_Series[_Counter]):
    def count(self, labels: Labels, by: float = 1) -> None:
        with _writing:
            self._child(labels).value += by

    def value(self, labels: Labels) -> float:
        child = self._children.get(labels)
        return 0.0 if child is None else child.value

    def _make(self) -> _Counter:
        return _Counter()


class HistogramSeries(_Series[_Histogram]):
    """Of seconds."""

    def __init__(self, family: Family, constant: str = "") -> None:
        super().__init__(family, constant)
        bounds = (*map(go_number, family.buckets), "+Inf")
        self._bounds = tuple(f'le="{bound}"}} ' for bound in bounds)
        """The end of each bucket's line, but for the number: the same for all children."""

    def observe(self, labels: Labels, value: float) -> None:
        bucket = bisect_left(self.family.buckets, value)
        with _writing:
            child = self._child(labels)
            child.counts[bucket] += 1
            child.total += value
            child.changes += 1

    def observations(self, labels: Labels) -> tuple[int, float]:
        """How many, and their sum."""
        child = self._children.get(labels)
        return (0, 0.0) if child is None else (sum(child.counts), child.total)

    def _make(self) -> _Histogram:
        return _Histogram(self._bounds)
