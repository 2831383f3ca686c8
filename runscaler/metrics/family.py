"""What a metric is: its name, type, help, labels and buckets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Label:
    """`values` are all that there are; empty: they come from the configuration, or from GitHub."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric. `labels` stand beside those that tell scale sets apart.

    `buckets` are the upper bounds of a histogram, rising, without +Inf. `of_scale_set`: each scale set has
    its own. `from_start`: a counter whose series exist at 0 from the first second. `only_above_zero`: a gauge
    that is served only while it is not 0.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    of_scale_set: bool = False
    from_start: bool = False
    only_above_zero: bool = False

    @property
    def header(self) -> str:
        """The lines that introduce its samples."""
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"

    def starting_labels(self) -> tuple[tuple[str, ...], ...]:
        """The label sets that exist from the start."""
        return tuple(product(*(one.values for one in self.labels))) if self.from_start else ()
