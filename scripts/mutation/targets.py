"""Which packages are mutated, and which tests judge the mutants of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mutation.operators import mutants_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random

    from mutation.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Target:
    """Paths are relative to the source tree, with forward slashes; `tests` are folders and files."""

    package: str
    tests: tuple[str, ...]

    def owns(self, mutant: Mutant) -> bool:
        return mutant.path.startswith(f"{self.package}/")


TARGETS = {
    "policy": Target("runscaler/policy", ("tests/policy", "tests/actors")),
    "actors": Target("runscaler/actors", ("tests/actors",)),
    "github": Target("runscaler/github", ("tests/github",)),
    "docker": Target("runscaler/backends/docker", ("tests/backends/docker", "tests/ops/test_demo_image.py")),
}


def all_mutants(tree: Path, targets: Iterable[Target]) -> list[Mutant]:
    """In the order of paths and lines."""
    paths = sorted(path for target in targets for path in (tree / target.package).rglob("*.py"))
    return [
        mutant
        for path in paths
        for mutant in mutants_of(path.relative_to(tree).as_posix(), path.read_bytes())
    ]


def sample(mutants: list[Mutant], count: int, random: Random) -> list[Mutant]:
    """`count` of them (all, if there are fewer), still in their order."""
    chosen = random.sample(range(len(mutants)), min(count, len(mutants)))
    return [mutants[index] for index in sorted(chosen)]
