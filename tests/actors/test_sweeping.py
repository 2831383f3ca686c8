"""The part of a keeper that runs the backend's periodic housekeeping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.world import scale_set

from runscaler.actors.messages import SweepDue, Swept
from runscaler.actors.sweeping import Sweeping
from runscaler.backends.base import Sweep, SweepResult
from runscaler.backends.memory import MemoryBackend
from runscaler.errors import BackendError
from runscaler.metrics import own
from runscaler.metrics.metrics import Metrics
from runscaler.testing.clock import FakeClock
from runscaler.testing.probe import InlineWorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.config.model import ScaleSetSettings

SETS = (scale_set("linux"),)


class SweepingBackend(MemoryBackend):
    """Offers a sweep of each name in `names`, every 60 s; `run` is what each does."""

    def __init__(self, run: Callable[[], SweepResult | str]) -> None:
        super().__init__(FakeClock())
        self.names = ["images"]
        self._run = run

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        return [Sweep(name, 60.0, self._run, kind="images") for name in self.names]


class Harness:
    """`planned` lists the deadlines, `told` the results; neither is passed on to the sweeping by itself."""

    def __init__(self, run: Callable[[], SweepResult | str] = lambda: "removed 2 images") -> None:
        self.planned: list[tuple[float, SweepDue]] = []
        self.told: list[object] = []
        self.backend = SweepingBackend(run)
        workers = InlineWorkerPool("sweep", 1, self.told.append)
        self.metrics = Metrics()
        self.sweeping = Sweeping(
            lambda seconds, due: self.planned.append((seconds, due)),
            self.backend,
            workers,
            self.metrics,
            FakeClock(),
        )


def test_a_sweep_is_planned_one_interval_ahead_and_only_once() -> None:
    harness = Harness()
    harness.sweeping.plan(SETS)
    harness.sweeping.plan(SETS)

    assert (harness.planned, harness.told) == ([(60.0, SweepDue("images"))], [])


def test_a_sweep_is_planned_again_after_it_has_run(log_lines: list[str]) -> None:
    harness = Harness()
    harness.sweeping.plan(SETS)
    harness.sweeping.run("images")
    assert harness.told == [Swept("images", "removed 2 images")]

    harness.sweeping.swept(Swept("images", "removed 2 images"))
    assert len(harness.planned) == 2
    assert log_lines == ["images: removed 2 images\n"]


def test_a_sweep_that_fails_is_logged_and_planned_again(log_lines: list[str]) -> None:
    def fail() -> str:
        raise BackendError("the disk is broken")

    harness = Harness(fail)
    harness.sweeping.plan(SETS)
    harness.sweeping.run("images")
    (swept,) = harness.told
    assert isinstance(swept, Swept)
    harness.sweeping.swept(swept)

    assert len(harness.planned) == 2
    assert log_lines == ["images failed: the disk is broken; it is tried again next time\n"]


def test_a_sweep_that_no_scale_set_asks_for_any_more_is_not_run_or_planned() -> None:
    harness = Harness()
    harness.sweeping.plan(SETS)
    harness.backend.names = []
    harness.sweeping.plan(())
    harness.sweeping.run("images")
    harness.sweeping.swept(Swept("images", ""))

    assert (len(harness.planned), harness.told) == (1, [])


def test_each_sweep_is_counted_by_its_kind_and_a_good_one_dated() -> None:
    harness = Harness()
    harness.sweeping.plan(SETS)
    harness.sweeping.swept(Swept("images", "removed 2 images"))
    harness.sweeping.swept(Swept("images", "the engine is away", failed=True))

    counted = harness.metrics.counters[own.SWEEPS_DONE]
    assert (counted.value(("images", "ok")), counted.value(("images", "error"))) == (1, 1)
    assert harness.metrics.published()[own.SWEEP_AT] == {("images",): FakeClock().wall()}


def test_what_a_sweep_removed_and_freed_is_counted_by_its_kind(log_lines: list[str]) -> None:
    harness = Harness(lambda: SweepResult("removed 2 images", 2, 4096))
    harness.sweeping.plan(SETS)
    for _ in range(2):
        harness.sweeping.run("images")
    for told in harness.told:
        assert isinstance(told, Swept)
        harness.sweeping.swept(told)

    counters = harness.metrics.counters
    assert counters[own.SWEEP_REMOVED].value(("images",)) == 4
    assert counters[own.SWEEP_BYTES].value(("images",)) == 8192
    assert log_lines == ["images: removed 2 images\n"] * 2
