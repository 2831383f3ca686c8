"""Reads what `GET /metrics` answers, as strictly as Prometheus does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscaler.metrics.exposition import Exposition

if TYPE_CHECKING:
    from support.world import World

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_ENDS = ("_bucket", "_sum", "_count")


@dataclass
class Scrape:
    """`types` and `helps` by family; `samples` by name and labels."""

    types: dict[str, str] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    """The families of the samples, as they follow each other."""

    @classmethod
    def of(cls, text: str) -> Scrape:
        """Raises `AssertionError` for what Prometheus would not take."""
        found = cls()
        assert text.endswith("\n")
        for line in text.removesuffix("\n").split("\n"):
            found._take(line)
        assert len(found.order) == len(set(found.order)), "the samples of a family stand together"
        return found

    def _take(self, line: str) -> None:
        if line.startswith("# "):
            _, kind, name, rest = line.split(" ", 3)
            table = {"HELP": self.helps, "TYPE": self.types}[kind]
            assert name not in table, f"{name} is introduced twice"
            table[name] = rest
            return
        match = _SAMPLE.match(line)
        assert match, line
        name, inside, value = match.groups()
        family = self.family_of(name)
        assert family in self.types, f"{name} was not introduced"
        if not self.order or self.order[-1] != family:
            self.order.append(family)
        pairs = _LABEL.findall(inside or "")
        assert ",".join(f'{key}="{text}"' for key, text in pairs) == (inside or ""), line
        key = name, frozenset(pairs)
        assert len(dict(pairs)) == len(pairs), line
        assert key not in self.samples, f"twice: {line}"
        self.samples[key] = float(value)

    def family_of(self, sample: str) -> str:
        for end in _ENDS:
            base = sample.removesuffix(end)
            if base != sample and self.types.get(base) == "histogram":
                return base
        return sample

    def value(self, name: str, /, **labels: str) -> float:
        """Of the one sample with these labels, whatever others it has. Raises `LookupError`."""
        wanted = frozenset(labels.items())
        found = [value for (one, its), value in self.samples.items() if one == name and wanted <= its]
        if len(found) != 1:
            raise LookupError(f"{name} {labels}: {len(found)} samples")
        return found[0]

    def total(self, name: str, /, **labels: str) -> float:
        """The sum of all with these labels."""
        wanted = frozenset(labels.items())
        return sum(value for (one, its), value in self.samples.items() if one == name and wanted <= its)

    def labels(self, name: str) -> list[dict[str, str]]:
        """The labels of each sample of that name."""
        return [dict(its) for one, its in self.samples if one == name]

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


def scrape(world: World) -> Scrape:
    """What a world without threads would serve."""
    return Scrape.of(Exposition(world.metrics).text(world.board.read(), world.clock.wall(), {}))
