"""What a keeper lets its backend do at the end of a stop. docs/behaviour.md § 7.1"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.held_workers import HeldWorkerPool
from support.solo import Solo
from support.world import scale_set

from runscaler.actors.messages import JoinKeeper, LeaveKeeper, SharedStopped, StopKeeper
from runscaler.backends.memory import MemoryBackend
from runscaler.errors import BackendError, Interrupted
from runscaler.testing.probe import InlineWorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt


class Tidying(MemoryBackend):
    """Notes for which scale sets it tidies up, and says or raises `outcome`."""

    outcome: str | Exception = ""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.tidied: list[list[str]] = []

    def tidy_up(self, settings: Sequence[ScaleSetSettings], interrupt: Interrupt) -> str:
        interrupt.wait(0)
        self.tidied.append([one.name for one in settings])
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Engine:
    """A keeper with one scale set, linux, that has left. `held`: its workers wait for the test."""

    def __init__(self, *, held: bool = False) -> None:
        self.pools: list[HeldWorkerPool] = []
        self.solo = Solo(scale_sets=(scale_set("linux"),))
        self.backend = self.solo.backend = Tidying(self.solo.clock)
        if held:
            self.solo.context = replace(self.solo.context, make_worker_pool=self._hold)
        self.keeper = self.solo.keeper()
        (settings,) = self.solo.config.scale_sets
        probe = self.solo.probe("linux")
        self.tell(JoinKeeper(settings.key, probe.actor_ref, settings))
        self.tell(LeaveKeeper(settings.key))

    def tell(self, message: object) -> None:
        self.solo.tell(self.keeper, message)

    def has_ended(self) -> bool:
        return bool(self.solo.heard(SharedStopped))

    def _hold(self, name: str, width: int, tell: Callable[[object], None]) -> HeldWorkerPool:
        self.pools.append(HeldWorkerPool(name, width, tell))
        return self.pools[-1]


@pytest.fixture
def engine() -> Engine:
    return Engine()


def test_a_backend_tidies_up_once_for_the_sets_that_it_served(engine: Engine, log_lines: list[str]) -> None:
    engine.backend.outcome = "removed volume runner-shared"
    engine.tell(StopKeeper(tidy_up=True))

    assert engine.backend.tidied == [["linux"]]
    assert engine.has_ended()
    assert log_lines == ["memory: removed volume runner-shared\n"]


def test_a_second_order_to_stop_waits_for_the_first() -> None:
    """The root gives one each time that another of its children has ended."""
    engine = Engine(held=True)
    engine.tell(StopKeeper(tidy_up=True))
    engine.tell(StopKeeper(tidy_up=True))
    assert not engine.has_ended()

    engine.pools[1].waiting.popleft()  # the preparation of its image
    engine.pools[1].do_one()
    engine.solo.play()
    assert engine.has_ended()
    assert engine.backend.tidied == [["linux"]]
    assert not engine.pools[1].waiting


def test_a_stop_that_is_not_to_tidy_up_does_not(engine: Engine) -> None:
    engine.tell(StopKeeper())

    assert engine.backend.tidied == []
    assert engine.has_ended()


def test_a_failure_is_said_and_the_stop_goes_on(engine: Engine, log_lines: list[str]) -> None:
    engine.backend.outcome = BackendError("the engine is away")
    engine.tell(StopKeeper(tidy_up=True))

    assert engine.has_ended()
    assert log_lines == ["memory: tidying up failed: the engine is away\n"]


def test_nothing_is_said_if_nothing_was_done(engine: Engine, log_lines: list[str]) -> None:
    engine.tell(StopKeeper(tidy_up=True))

    assert log_lines == []


def test_a_stop_waits_half_a_minute_at_most_and_cuts_what_lasts(log_lines: list[str]) -> None:
    engine = Engine(held=True)
    engine.tell(StopKeeper(tidy_up=True))
    engine.solo.advance(29)
    assert not engine.has_ended()

    engine.solo.advance(1)
    assert engine.has_ended()
    assert log_lines == ["memory: tidying up took longer than 30 s, it is left unfinished\n"]

    told: list[object] = []
    call, done, _ = engine.pools[1].waiting.pop()
    InlineWorkerPool("x", 1, told.append).submit(call, done, type)
    assert told == [Interrupted]
    assert engine.backend.tidied == []
