"""The sweeps by hand, with backends in memory that have some."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runscaler.backends.base import BackendContext, Sweep, SweepResult, SweepTarget
from runscaler.backends.memory import MemoryBackend
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.errors import BackendDown, BackendError
from runscaler.names import new_owner_id
from runscaler.ops import clean as ops
from runscaler.ops.clean import Cleaned, clean, context_of
from runscaler.ops.clean_forecast import bytes_to_free
from runscaler.ops.state_dir import StateDir
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOUND = [SweepTarget("volume", "a", 1000), SweepTarget("volume", "b")]


class Swept(MemoryBackend):
    """Its sweeps are noted in `runs` when they run."""

    def __init__(self, sets: list[Sequence[ScaleSetSettings]], sweeps: Sequence[Sweep]) -> None:
        super().__init__(FakeClock())
        self._sets, self._sweeps = sets, sweeps
        self.closed = 0
        self.elsewhere: BackendError | None = None

    def disk_paths(self) -> list[Path]:
        if self.elsewhere is not None:
            raise self.elsewhere
        return [Path("/")]

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        self._sets.append(settings)
        return list(self._sweeps)

    def close(self) -> None:
        self.closed += 1


class Factory:
    """For one backend to each host that the settings name."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.error: BackendError | None = None
        self.count = 1
        self.sets: list[Sequence[ScaleSetSettings]] = []
        self.backends: list[Swept] = []
        self.plan: list[SweepTarget] | None = FOUND
        self.done: SweepResult | str = "removed two volumes"
        self.plans: Callable[[], list[SweepTarget]] = lambda: self.plan or []
        self.elsewhere: BackendError | None = None

    def location(self, settings: ScaleSetSettings) -> str:
        return settings.docker.host

    def create(self, settings: ScaleSetSettings, context: BackendContext) -> Swept:
        plan = None if self.plan is None else self.plans
        self.backends.append(Swept(self.sets, [Sweep("the sweep", 60.0, self._run, plan)] * self.count))
        self.backends[-1].elsewhere = self.elsewhere
        return self.backends[-1]

    def _run(self) -> SweepResult | str:
        if self.error is not None:
            raise self.error
        self.runs.append("ran")
        return self.done


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Factory:
    made = Factory()

    def factory_for(name: str) -> Factory:
        if name == "absent":
            raise BackendError("there is no backend 'absent'")
        return made

    monkeypatch.setattr(ops, "factory_for", factory_for)
    return made


def settings(name: str = "a", **keys: object) -> ScaleSetSettings:
    return ScaleSetSettings.model_validate({"url": "https://github.com/o", "name": name, **keys})


def cleaned(*sets: ScaleSetSettings, dry_run: bool = False) -> list[Cleaned]:
    context = BackendContext(new_owner_id(), None, FakeClock())
    return list(clean(sets, context, dry_run=dry_run))


def test_it_uses_the_notes_of_the_daemon_whose_lock_it_does_not_need(tmp_path: Path) -> None:
    config = Config(scale_sets=(settings(),), state_dir=tmp_path / "state")
    assert context_of(config, FakeClock()).state_dir is None

    with StateDir.open(tmp_path / "state", FakeClock()) as held:
        context = context_of(config, FakeClock())
        assert (context.owner, context.state_dir) == (held.owner, held.path)


def test_a_sweep_is_planned_and_run(factory: Factory) -> None:
    (one,) = cleaned(settings())

    assert one == Cleaned("memory", "the sweep", tuple(FOUND), "removed two volumes", 1000)
    assert one.bytes == 1000
    assert factory.runs == ["ran"]
    assert [backend.closed for backend in factory.backends] == [1]


@pytest.mark.parametrize(
    ("done", "freed"),
    [
        (SweepResult("removed a, b", 2, 400), 400),
        (SweepResult("removed a, b", 2), 1000),
        (SweepResult("removed b", 1), 0),
        (SweepResult(), 0),
        ("", 0),
    ],
)
def test_what_was_freed_is_what_went_not_what_was_planned(
    factory: Factory, done: SweepResult | str, freed: int
) -> None:
    factory.done = done
    (one,) = cleaned(settings())

    assert (one.bytes, one.freed) == (1000, freed)


def test_a_dry_run_only_plans(factory: Factory) -> None:
    (one,) = cleaned(settings(), dry_run=True)

    assert one == Cleaned("memory", "the sweep", tuple(FOUND))
    assert factory.runs == []


def test_a_sweep_that_cannot_tell_beforehand_is_run_all_the_same(factory: Factory) -> None:
    factory.plan = None
    (planned,), (done,) = cleaned(settings(), dry_run=True), cleaned(settings())

    assert planned == Cleaned("memory", "the sweep", None)
    assert done == Cleaned("memory", "the sweep", None, "removed two volumes")


def test_a_failure_is_told_and_the_backend_closed(factory: Factory) -> None:
    factory.error = BackendError("the engine is away", fixes=("start it",))
    (one,) = cleaned(settings())

    assert one == Cleaned("memory", "the sweep", error="the engine is away", fixes=("start it",))
    assert [backend.closed for backend in factory.backends] == [1]


def test_an_engine_that_is_down_is_said_once_for_all_its_sweeps(factory: Factory) -> None:
    factory.error, factory.count = BackendDown("nobody listens"), 2

    assert cleaned(settings()) == [Cleaned("memory", error="nobody listens")]


def test_sets_at_one_place_are_swept_together(factory: Factory) -> None:
    here, there = ({"docker": {"host": f"tcp://{name}:2376"}} for name in ("here", "there"))
    cleaned(settings("a", **here), settings("b", **there), settings("c", **here))

    assert [[one.name for one in together] for together in factory.sets] == [["a", "c"], ["b"]]


def test_a_backend_that_there_is_not_keeps_no_other_from_its_sweeps(factory: Factory) -> None:
    first, second = cleaned(settings(backend="absent"), settings())

    assert first == Cleaned("absent", error="there is no backend 'absent'")
    assert second.done == "removed two volumes"


# -- the forecast of `runner why` -----------------------------------------------------------------------


def forecast_of(*sets: ScaleSetSettings, seconds: float = 20.0) -> int | None:
    return bytes_to_free(Config(scale_sets=sets), FakeClock(), seconds)


def test_a_forecast_only_plans_and_closes_the_backend(factory: Factory) -> None:
    factory.count = 2

    assert forecast_of(settings()) == 2000
    assert factory.runs == []
    assert [backend.closed for backend in factory.backends] == [1]


def test_a_forecast_that_takes_too_long_is_none(factory: Factory) -> None:
    over = threading.Event()

    def plan() -> list[SweepTarget]:
        over.wait()
        return FOUND

    factory.plans = plan
    told = forecast_of(settings(), seconds=0.01)
    over.set()

    assert told is None


@pytest.mark.parametrize("error", [BackendError("on another host"), BackendDown("nobody listens")])
def test_a_forecast_is_of_the_disks_of_this_host(factory: Factory, error: BackendError) -> None:
    factory.elsewhere = error

    assert forecast_of(settings()) is None
    assert [backend.closed for backend in factory.backends] == [1]


def test_a_forecast_that_fails_or_cannot_be_planned_is_none(factory: Factory) -> None:
    assert forecast_of(settings(backend="absent")) is None

    factory.plan = None
    assert forecast_of(settings()) is None

    def crash() -> list[SweepTarget]:
        raise RuntimeError("a bug")

    factory.plan, factory.plans = FOUND, crash
    assert forecast_of(settings()) is None
