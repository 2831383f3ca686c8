"""The result of a benchmark: figures with all their samples and goals, and notes on how to read them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Self

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Goal:
    """What docs/behaviour.md § 15 demands of a figure; `sign` is "<=" or ">="."""

    sign: str
    value: float

    def met_by(self, value: float) -> bool:
        return value <= self.value if self.sign == "<=" else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.sign == '<=' else '≥'} {self.value:,g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured once in every round."""

    name: str
    unit: str
    samples: tuple[float, ...]
    goal: Goal | None = None

    @classmethod
    def of(cls, name: str, unit: str, samples: Iterable[float], goal: Goal | None = None) -> Self:
        return cls(name, unit, tuple(samples), goal)

    @property
    def median(self) -> float:
        return median(self.samples)

    def as_json(self) -> dict[str, object]:
        goal = self.goal
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "low": min(self.samples),
            "high": max(self.samples),
            "samples": list(self.samples),
            "goal": None if goal is None else f"{goal.sign} {goal.value:g}",
            "met": None if goal is None else goal.met_by(self.median),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """`conditions` are the arguments and the circumstances of the run."""

    benchmark: str
    figures: tuple[Figure, ...]
    conditions: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "benchmark": self.benchmark,
            "conditions": {**self.conditions, **_machine()},
            "figures": [figure.as_json() for figure in self.figures],
            "notes": list(self.notes),
        }


def table(report: Report) -> Table:
    """For people: a row for each figure, with the notes below."""
    words = (f"{name} {value}" for name, value in {**report.conditions, **_machine()}.items())
    shown = Table(title=f"{report.benchmark}: {', '.join(words)}", caption="\n".join(report.notes) or None)
    shown.caption_justify = "left"
    shown.add_column("figure", overflow="fold")
    shown.add_column("unit", no_wrap=True)
    for column in ("median", "low", "high", "goal", ""):
        shown.add_column(column, justify="right", no_wrap=True)
    for figure in report.figures:
        goal = figure.goal
        verdict = "" if goal is None else "✓" if goal.met_by(figure.median) else "✗"
        values = [shortened(each) for each in (figure.median, min(figure.samples), max(figure.samples))]
        shown.add_row(figure.name, figure.unit, *values, str(goal or ""), verdict)
    return shown


def shortened(value: float) -> str:
    """With three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _machine() -> dict[str, object]:
    return {"cpus": os.cpu_count() or 0, "python": platform.python_version()}
