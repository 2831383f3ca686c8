"""The sweeps of all backends by hand, for `runner clean` (docs/behaviour.md § 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendContext, SweepResult
from runscaler.backends.registry import factory_for
from runscaler.errors import BackendDown, BackendError
from runscaler.names import new_owner_id
from runscaler.ops.owner import read_owner
from runscaler.ops.state_path import existing_state_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runscaler.backends.base import Backend, Sweep, SweepTarget
    from runscaler.clock import Clock
    from runscaler.config.model import Config, ScaleSetSettings


@dataclass(frozen=True, slots=True)
class Cleaned:
    """One sweep of one backend. `targets` is what it removes, None where that cannot be told beforehand;
    `done` what it did, as it says, and `freed` at least how many bytes; `error` why it failed. `sweep` is
    empty if the backend cannot be used."""

    backend: str
    sweep: str = ""
    targets: tuple[SweepTarget, ...] | None = ()
    done: str = ""
    freed: int = 0
    error: str = ""
    fixes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of the targets whose size is known."""
        return _size(self.targets)


def context_of(config: Config, clock: Clock) -> BackendContext:
    """That of the daemon with this configuration, of whose notes some sweeps make use; without the lock, as a
    sweep may run beside those of the daemon."""
    state_dir = existing_state_dir(config)
    owner = read_owner(state_dir) if state_dir is not None else None
    return BackendContext(owner or new_owner_id(), state_dir, clock)


def clean(
    scale_sets: Sequence[ScaleSetSettings],
    context: BackendContext,
    *,
    dry_run: bool,
    wanted: Callable[[Backend], bool] = lambda _: True,
) -> Iterator[Cleaned]:
    """Run the sweeps that these scale sets ask for, or with `dry_run` only plan them. Yields each when it has
    ended. Backends that are not `wanted` are left out."""
    by_location: dict[str, list[ScaleSetSettings]] = {}
    for settings in scale_sets:
        try:
            location = factory_for(settings.backend).location(settings)
        except BackendError as error:
            yield Cleaned(settings.backend, error=str(error), fixes=error.fixes)
        else:
            by_location.setdefault(location, []).append(settings)
    for together in by_location.values():
        backend = factory_for(together[0].backend).create(together[0], context)
        try:
            for sweep in backend.sweeps(together) if wanted(backend) else ():
                yield _clean(backend, sweep, dry_run=dry_run)
        except BackendDown as error:  # said once, for all its sweeps
            yield Cleaned(backend.name, error=str(error), fixes=error.fixes)
        finally:
            backend.close()


def _clean(backend: Backend, sweep: Sweep, *, dry_run: bool) -> Cleaned:
    try:
        targets = tuple(sweep.plan()) if sweep.plan is not None else None
        done = "" if dry_run or targets == () else sweep.run()
    except BackendDown:
        raise
    except BackendError as error:
        return Cleaned(backend.name, sweep.name, error=str(error), fixes=error.fixes)
    return Cleaned(backend.name, sweep.name, targets, str(done), _freed(done, targets))


def _freed(done: SweepResult | str, targets: tuple[SweepTarget, ...] | None) -> int:
    """What the sweep tells; else what was planned, if it removed all of that."""
    if isinstance(done, str):
        return _size(targets) if done else 0
    return done.bytes or (_size(targets) if done.removed >= len(targets or ()) else 0)


def _size(targets: tuple[SweepTarget, ...] | None) -> int:
    return sum(target.bytes or 0 for target in targets or ())
