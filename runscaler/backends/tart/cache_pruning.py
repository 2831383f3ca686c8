"""CachePruning Tart's caches, one sweep for each TART_HOME (docs/behaviour.md § 7.2): images and IPSWs, never VMs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.base import Sweep
from runscaler.backends.tart.images import cached, is_remote
from runscaler.backends.tart.output_errors import command_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.home import TartHome
    from runscaler.backends.tart.timings import Timings
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

_DAY = 86_400
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class CachePruning:
    """What the sets of one TART_HOME agree on: the most careful of their wishes."""

    tart: Tart
    days: int
    budget: int
    images: tuple[str, ...]

    @classmethod
    def of(cls, tart: Tart, sets: Sequence[ScaleSetSettings]) -> CachePruning:
        budgets = [one.tart.cache_space_budget for one in sets]
        return cls(
            tart,
            max(int(one.tart.cache_max_age // _DAY) for one in sets),
            max(budgets) if all(budgets) else 0,
            tuple(dict.fromkeys(one.runner_image for one in sets)),
        )

    def arguments(self, kept: int) -> tuple[str, ...]:
        """`--older-than 0` and `--space-budget 0` would empty the cache (docs/tart.md § 5). `kept` is how many bytes
        of images must stay; a smaller budget would have them pruned."""
        assert self.days >= 1, "the configuration allows whole days only"
        budget = max(self.budget, -(-kept // _GIB)) if self.budget else 0
        wanted = ("--space-budget", str(budget)) if budget else ()
        return ("prune", "--entries", "caches", "--older-than", str(self.days), *wanted)

    def run(self, timings: Timings, interrupt: Interrupt) -> str:
        """Nothing is cloned meanwhile: nothing else guards an image against a prune."""
        before = _entries(self.tart.home)
        with self.tart.home.turn(interrupt):
            arguments = self.arguments(self.keep_images())
            output = self.tart.call(*arguments, seconds=timings.prune, interrupt=interrupt)
        if output.code != 0:
            raise command_error(f"prune the caches in {self.tart.home}", output)
        gone = sorted(before - _entries(self.tart.home))
        return f"removed from {self.tart.home}: {', '.join(gone)}" if gone else ""

    def keep_images(self) -> int:
        """What sets are configured with counts as just used: prune goes by the last access, and keeps the
        newest within its budget. Returns how many bytes they take."""
        found = [cached(self.tart.home, image) for image in self.images if is_remote(image)]
        places = {vm.path.resolve() for vm in found if vm is not None}
        for place in places:
            with suppress(OSError):
                os.utime(place, (self.tart.clock.wall(), place.stat().st_mtime))
        return sum(map(_size, places))


def _size(place: Path) -> int:
    """Bytes on the disk."""
    size = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                size += Path(folder, name).lstat().st_blocks * 512
    return size


def _entries(home: TartHome) -> set[str]:
    """Images and restore images in the caches. No image is looked into: that would count as its use."""
    cache = home.path / "cache"
    found = {str(path.relative_to(cache)) for path in cache.glob("IPSWs/*.ipsw")}
    for folder, names, _ in os.walk(home.cache):
        digests = [name for name in names if name.startswith("sha256:")]
        found |= {str(Path(folder, name).relative_to(home.cache)) for name in digests}
        names[:] = [name for name in names if name not in digests]
    return found


def sweeps_for(
    sets: Sequence[ScaleSetSettings],
    tart_of: Callable[[ScaleSetSettings], Tart],
    timings: Timings,
    interrupt: Interrupt,
) -> list[Sweep]:
    """One for each TART_HOME, unless a set of it wants its caches kept."""
    by_home: dict[str, list[ScaleSetSettings]] = {}
    for one in sets:
        by_home.setdefault(str(tart_of(one).home), []).append(one)
    return [
        _sweep(tart_of(together[0]), together, timings, interrupt)
        for together in by_home.values()
        if all(one.tart.cache_cleanup for one in together)
    ]


def _sweep(tart: Tart, sets: Sequence[ScaleSetSettings], timings: Timings, interrupt: Interrupt) -> Sweep:
    pruning, every = CachePruning.of(tart, sets), min(one.tart.cache_cleanup_interval for one in sets)
    return Sweep(
        f"the pruning of Tart's caches in {tart.home}", every, lambda: pruning.run(timings, interrupt)
    )
