"""Prunes Tart's caches, one sweep per TART_HOME (docs/behaviour.md § 7.2): images and IPSWs, never VMs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.base import Sweep, SweepResult, SweepTarget
from runscaler.backends.tart.images import cached, is_remote
from runscaler.backends.tart.output_errors import command_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.home import TartHome
    from runscaler.backends.tart.timings import Timings
    from runscaler.backends.tart.vm import Vm
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

_DAY = 86_400
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class CachePruning:
    """For the scale sets of one TART_HOME: of their settings, those that keep the most.

    `days` is the age from which unused entries go, `budget` the cache's size in GiB (0: unlimited).
    """

    tart: Tart
    days: int
    budget: int
    images: tuple[str, ...]

    @classmethod
    def of(cls, tart: Tart, sets: Sequence[ScaleSetSettings]) -> CachePruning:
        budgets = [settings.tart.cache_space_budget for settings in sets]
        return cls(
            tart,
            max(int(settings.tart.cache_max_age // _DAY) for settings in sets),
            max(budgets) if all(budgets) else 0,
            tuple(dict.fromkeys(settings.runner_image for settings in sets)),
        )

    def arguments(self, kept: int) -> tuple[str, ...]:
        """`kept` is the size in bytes of the images that must stay: the budget is never smaller than that.

        `--older-than 0` and `--space-budget 0` would empty the cache (docs/tart.md § 5).
        """
        assert self.days >= 1, "the configuration allows whole days only"
        budget = max(self.budget, -(-kept // _GIB)) if self.budget else 0
        budget_option = ("--space-budget", str(budget)) if budget else ()
        return ("prune", "--entries", "caches", "--older-than", str(self.days), *budget_option)

    def run(self, timings: Timings, interrupt: Interrupt) -> SweepResult:
        """No clone runs at the same time: nothing else protects its image from being pruned.

        Tells no sizes, as to look into an image counts as its use. Raises `BackendError` and `Interrupted`.
        """
        before = _entries(self.tart.home)
        with self.tart.home.exclusive(interrupt):
            arguments = self.arguments(self.keep_images())
            output = self.tart.call(*arguments, seconds=timings.prune, interrupt=interrupt)
        if output.code != 0:
            raise command_error(f"prune the caches in {self.tart.home}", output)
        gone = sorted(before - _entries(self.tart.home))
        words = f"removed from {self.tart.home}: {', '.join(gone)}" if gone else ""
        return SweepResult(words, len(gone))

    def plan(self) -> list[SweepTarget]:
        """What was not used for too long. Sizes are left out: to look into an image counts as its use."""
        configured = {vm.path.resolve() for vm in self._cached_images()}
        before = self.tart.clock.wall() - self.days * _DAY
        return [
            SweepTarget("cache entry", name)
            for name, path in sorted(_entry_paths(self.tart.home).items())
            if path.resolve() not in configured and _last_use(path) < before
        ]

    def keep_images(self) -> int:
        """Mark the configured images as just used: prune goes by last access, and fills its budget with the
        entries used last. Returns their size in bytes."""
        paths = {vm.path.resolve() for vm in self._cached_images()}
        for path in paths:
            with suppress(OSError):
                os.utime(path, (self.tart.clock.wall(), path.stat().st_mtime))
        return sum(map(_allocated_bytes, paths))

    def _cached_images(self) -> list[Vm]:
        """The configured ones that are in the cache."""
        found = (cached(self.tart.home, image) for image in self.images if is_remote(image))
        return [vm for vm in found if vm is not None]


def _allocated_bytes(path: Path) -> int:
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += Path(folder, name).lstat().st_blocks * 512
    return size


def _entries(home: TartHome) -> set[str]:
    return set(_entry_paths(home))


def _entry_paths(home: TartHome) -> dict[str, Path]:
    """The images and IPSWs in the caches. Does not look into the images: that would count as their use."""
    cache = home.path / "cache"
    found = {str(path.relative_to(cache)): path for path in cache.glob("IPSWs/*.ipsw")}
    for folder, names, _ in os.walk(home.cache):
        digests = [name for name in names if name.startswith("sha256:")]
        paths = (Path(folder, name) for name in digests)
        found |= {str(path.relative_to(home.cache)): path for path in paths}
        names[:] = [name for name in names if name not in digests]
    return found


def _last_use(path: Path) -> float:
    """In wall-clock seconds; infinity for what is gone."""
    try:
        return path.stat().st_atime
    except OSError:
        return float("inf")


def sweeps_for(
    sets: Sequence[ScaleSetSettings],
    tart_of: Callable[[ScaleSetSettings], Tart],
    timings: Timings,
    interrupt: Interrupt,
) -> list[Sweep]:
    """One for each TART_HOME, unless one of its scale sets wants the caches kept."""
    by_home: dict[str, list[ScaleSetSettings]] = {}
    for settings in sets:
        by_home.setdefault(str(tart_of(settings).home), []).append(settings)
    return [
        _sweep(tart_of(together[0]), together, timings, interrupt)
        for together in by_home.values()
        if all(settings.tart.cache_cleanup for settings in together)
    ]


def _sweep(tart: Tart, sets: Sequence[ScaleSetSettings], timings: Timings, interrupt: Interrupt) -> Sweep:
    pruning = CachePruning.of(tart, sets)
    interval = min(settings.tart.cache_cleanup_interval for settings in sets)
    return Sweep(
        f"the pruning of Tart's caches in {tart.home}",
        interval,
        lambda: pruning.run(timings, interrupt),
        pruning.plan if not pruning.budget else None,  # what a budget prunes, only tart knows
        "tart_cache",
    )
