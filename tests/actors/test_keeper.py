"""The keeper alone: its scale sets are probes, its backend is in memory, its workers work at once."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from support.held_workers import HeldWorkerPool
from support.newer_images import NewerImages
from support.solo import Solo
from support.world import scale_set

from runscaler.actors.keeper import refresh_seconds
from runscaler.actors.messages import (
    BackendDown,
    BackendUp,
    ChildCrashed,
    ImageAbsent,
    ImagePrepared,
    Inventory,
    JoinKeeper,
    LeaveKeeper,
    ListResources,
    Prepared,
    RetryPrepare,
    SharedStopped,
    StopKeeper,
    VersionRefused,
)
from runscaler.backends.base import Ending, Resource, ResourceEnded, WatchCrashed
from runscaler.backends.memory import TEST_OWNER, MemoryBackend
from runscaler.errors import BackendError, ImageMissing, Interrupted
from runscaler.names import RunnerName, SlotNumber
from runscaler.testing.probe import InlineWorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.keeper import KeeperActor
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey
    from runscaler.testing.probe import Probe

T = TypeVar("T")


class PullingBackend(NewerImages):
    """Reports `steps` (what, done, total) as the progress of a pull; counts calls, and fails if told to."""

    steps: tuple[tuple[str, int, int], ...] = ()
    pulls = listings = 0
    prepare_fails = inventory_fails = False

    def prepare(self, settings: ScaleSetSettings, progress: Any, interrupt: Any) -> None:
        self.pulls += 1
        if self.prepare_fails:
            raise ImageMissing("no such image")
        for step in self.steps:
            progress(*step)
        super().prepare(settings, progress, interrupt)

    def inventory(self) -> list[Resource]:
        self.listings += 1
        if self.inventory_fails:
            raise BackendError("the list is broken")
        return super().inventory()


class Engine:
    """A keeper with two scale sets on it: linux and windows. `held`: its workers wait for the test."""

    def __init__(self, *, held: bool = False) -> None:
        self.workers: list[HeldWorkerPool] = []
        self.sets = (scale_set("linux"), scale_set("windows"))
        self.solo = Solo(scale_sets=self.sets)
        self.backend = self.solo.backend = PullingBackend(self.solo.clock)
        if held:
            self.solo.context = replace(self.solo.context, make_worker_pool=self._hold)
        self.keeper: KeeperActor = self.solo.keeper()
        self.scale_sets = [self.solo.probe(one.name) for one in self.sets]

    def _hold(self, name: str, width: int, tell: Callable[[object], None]) -> HeldWorkerPool:
        self.workers.append(HeldWorkerPool(name, width, tell))
        return self.workers[-1]

    @property
    def lister(self) -> HeldWorkerPool:
        return self.workers[0]

    @property
    def preparers(self) -> HeldWorkerPool:
        return self.workers[1]

    def tell(self, *messages: object) -> None:
        self.solo.tell(self.keeper, *messages)

    def join(self, number: int = 0) -> Probe:
        """That scale set's actor, which has joined."""
        self.tell(JoinKeeper(self.key(number), self.scale_sets[number].actor_ref, self.sets[number]))
        return self.scale_sets[number]

    def key(self, number: int = 0) -> ScaleSetKey:
        return self.sets[number].key

    def run(self, number: int = 0, slot: int = 0) -> Resource:
        """A runner of that scale set is on the engine."""
        runner = RunnerName(f"runner-{number}{slot:07x}")
        made = Resource(f"memory-{runner}", TEST_OWNER, self.key(number), SlotNumber(slot), runner, 1, 0.0)
        self.backend.engine.add(made)
        return made


@pytest.fixture
def engine() -> Engine:
    return Engine()


# -- what happens at the backend --------------------------------------------------------------------------


def test_the_end_of_a_runner_is_reported_to_its_own_scale_set_only(engine: Engine) -> None:
    linux, windows = engine.join(0), engine.join(1)
    ended = engine.run(0)
    engine.backend.end(ended.id, 3)
    engine.solo.play()

    assert [one.resource_id for one in linux.of(ResourceEnded)] == [ended.id]
    assert windows.of(ResourceEnded) == []


def test_an_end_that_the_backend_cannot_assign_is_reported_to_all(engine: Engine) -> None:
    scale_sets = [engine.join(0), engine.join(1)]
    ended = ResourceEnded("somebody", Ending(0))
    engine.tell(ended)

    assert [one.of(ResourceEnded) for one in scale_sets] == [[ended], [ended]]


def test_all_scale_sets_are_told_when_the_backend_goes_down_and_comes_back(engine: Engine) -> None:
    scale_sets = [engine.join(0), engine.join(1)]
    engine.backend.engine.down("the engine does not answer")
    engine.solo.play()
    assert [one.of(BackendDown) for one in scale_sets] == [[BackendDown("the engine does not answer")]] * 2

    engine.backend.engine.up()
    engine.solo.play()
    assert [len(one.of(BackendUp)) for one in scale_sets] == [1, 1]


def test_a_scale_set_that_joins_while_the_backend_is_down_is_told_so(engine: Engine) -> None:
    engine.backend.engine.down("the engine does not answer")
    engine.solo.play()

    assert engine.join().received[0] == BackendDown("the engine does not answer")


def test_a_scale_set_that_has_left_is_told_nothing_more(engine: Engine) -> None:
    linux = engine.join()
    engine.tell(LeaveKeeper(engine.key()), LeaveKeeper(engine.key()))
    before = len(linux.received)
    engine.backend.engine.down("gone")
    engine.tell(ListResources(engine.key()), Prepared(engine.key()))

    assert len(linux.received) == before


# -- listing -----------------------------------------------------------------------------------------


def test_a_scale_set_gets_its_own_resources_as_of_when_the_listing_began(engine: Engine) -> None:
    linux = engine.join(0)
    engine.join(1)
    mine = engine.run(0)
    engine.run(1)
    began = engine.solo.clock.monotonic()
    engine.tell(ListResources(engine.key()))

    assert linux.of(Inventory) == [Inventory(began, (mine,))]


def test_a_scale_set_that_asks_during_a_listing_gets_the_next_one() -> None:
    engine = Engine(held=True)
    linux, windows = engine.join(0), engine.join(1)
    engine.tell(ListResources(engine.key(0)))
    engine.solo.advance(1)
    engine.tell(ListResources(engine.key(1)), ListResources(engine.key(0)))
    assert len(engine.lister.waiting) == 1

    engine.lister.do_one()
    engine.solo.play()
    assert [one.as_of for one in linux.of(Inventory)] == [1000.0]
    assert windows.of(Inventory) == []

    engine.lister.do_one()
    engine.solo.play()
    assert [one.as_of for one in linux.of(Inventory)] == [1000.0, 1001.0]
    assert [one.as_of for one in windows.of(Inventory)] == [1001.0]
    assert not engine.lister.waiting


def test_a_failed_listing_is_not_an_empty_inventory_and_is_retried(engine: Engine) -> None:
    linux = engine.join()
    for _ in range(2):
        engine.backend.fail_next("inventory", BackendError("the list is broken", fixes=("mend it",)))
    engine.tell(ListResources(engine.key()))
    assert linux.of(Inventory) == []
    now = engine.solo.clock.monotonic()
    assert linux.of(BackendDown) == [BackendDown("the list is broken", ("mend it",), now + 2)]

    engine.solo.advance(2)
    assert linux.of(Inventory) == []
    engine.solo.advance(4)
    assert len(linux.of(Inventory)) == 1
    assert [one.retry_at for one in linux.of(BackendDown)] == [now + 2, now + 6]


def test_all_scale_sets_are_told_when_listings_succeed_again(engine: Engine) -> None:
    scale_sets = [engine.join(0), engine.join(1)]
    engine.backend.fail_next("inventory", BackendError("the list is broken"))
    engine.tell(ListResources(engine.key()))
    assert [one.of(BackendUp) for one in scale_sets] == [[], []]

    engine.solo.advance(2)
    assert [one.of(BackendUp) for one in scale_sets] == [[BackendUp()], [BackendUp()]]


def test_a_failed_listing_is_not_reported_while_the_backend_is_known_to_be_down(engine: Engine) -> None:
    linux = engine.join()
    engine.backend.engine.down("gone")
    engine.tell(ListResources(engine.key()))

    assert linux.of(BackendDown) == [BackendDown("gone")]


def test_an_error_that_no_backend_may_raise_crashes_the_keeper(engine: Engine) -> None:
    engine.join()
    engine.backend.fail_next("inventory", KeyError("a bug"))
    engine.tell(ListResources(engine.key()))

    (crash,) = engine.solo.heard(ChildCrashed)
    assert crash.handling == "WorkerCrashed"
    assert "KeyError: 'a bug'" in crash.error


def test_a_scale_set_that_leaves_during_a_listing_gets_no_inventory() -> None:
    engine = Engine(held=True)
    linux = engine.join()
    engine.tell(ListResources(engine.key()), LeaveKeeper(engine.key()))
    engine.lister.do_one()
    engine.solo.play()

    assert linux.of(Inventory) == []


def test_listings_that_fail_for_long_do_not_become_more_frequent(engine: Engine) -> None:
    engine.join()
    engine.backend.inventory_fails = True
    for second in range(1200):
        if second % 7 == 0:
            engine.tell(ListResources(engine.key()))
        if second == 1140:
            engine.backend.listings = 0
        engine.solo.advance(1)

    assert engine.backend.listings <= 12, "one for each of nine requests, and the retries"


# -- images -------------------------------------------------------------------------------------------


def test_an_image_is_prepared_when_a_scale_set_joins(engine: Engine) -> None:
    linux = engine.join()

    absent, prepared = linux.received
    assert isinstance(absent, ImageAbsent)
    assert absent.reason.startswith("preparing ghcr.io/")
    assert not absent.failed
    assert prepared == ImagePrepared()


def test_progress_is_reported_in_steps_of_five_percent(engine: Engine) -> None:
    engine.backend.steps = (
        ("pulling an image", 0, 0),
        *[("pulling an image", done, 1000) for done in (0, 10, 49, 50, 51, 400, 2000)],
    )
    linux = engine.join()

    assert [one.reason for one in linux.of(ImageAbsent)][1:] == [
        "pulling an image",
        *[f"pulling an image ({percent} %)" for percent in (0, 5, 40, 100)],
    ]


def test_an_image_that_cannot_be_prepared_is_retried_with_growing_delays(engine: Engine) -> None:
    for _ in range(2):
        engine.backend.fail_next("prepare", ImageMissing("no such image", fixes=("look at runner-image",)))
    linux = engine.join()
    now = engine.solo.clock.monotonic()
    failed = ImageAbsent("no such image", ("look at runner-image",), retry_at=now + 2)
    assert linux.received[-1] == failed

    engine.solo.advance(2)
    assert linux.received[-1] == replace(failed, retry_at=now + 6)
    engine.solo.advance(3)
    assert ImagePrepared() not in linux.received
    engine.solo.advance(1)
    assert linux.received[-1] == ImagePrepared()


def test_progress_does_not_replace_the_reason_of_an_earlier_failure(engine: Engine) -> None:
    engine.backend.steps = (("an image", 1, 2),)
    for _ in range(3):
        engine.backend.fail_next("prepare", BackendError("no space left"))
    linux = engine.join()
    engine.solo.advance(2)
    engine.solo.advance(4)

    told = linux.of(ImageAbsent)
    first = next(at for at, one in enumerate(told) if one.failed)
    assert {one.reason for one in told[first:]} == {"no space left"}


def test_an_image_that_failed_is_prepared_at_once_when_the_backend_is_back(engine: Engine) -> None:
    engine.backend.engine.down("gone")
    engine.solo.play()
    linux = engine.join()
    assert linux.of(ImagePrepared) == []

    engine.backend.engine.up()
    engine.solo.play()

    assert len(linux.of(ImagePrepared)) == 1


def test_an_image_that_is_ready_is_prepared_again_hourly_without_progress_reports(engine: Engine) -> None:
    linux = engine.join()
    engine.backend.steps = (("a newer image", 1, 2),)
    engine.solo.advance(3599)
    assert engine.backend.pulls == 1

    engine.solo.advance(1)
    assert engine.backend.pulls == 2
    assert len(linux.of(ImageAbsent)) == 1
    assert len(linux.of(ImagePrepared)) == 2


@pytest.mark.parametrize(
    ("interval", "seconds"), [(600.0, 600), (5400.0, 2700), (7 * 3600.0, 3600), (86400.0, 3600), (inf, 3600)]
)
def test_an_image_is_prepared_when_a_pull_may_be_due(interval: float, seconds: float) -> None:
    """Every interval is a multiple of it, so that no pull comes late by a part of an hour."""
    assert refresh_seconds(interval) == seconds


def test_an_image_is_prepared_again_at_an_interval_below_an_hour(engine: Engine) -> None:
    engine.backend.interval = 60.0
    engine.join()

    engine.solo.advance(60)
    engine.solo.advance(60)

    assert engine.backend.pulls == 3


def test_a_refused_version_prepares_the_image_at_once_where_the_backend_looks(engine: Engine) -> None:
    engine.join()
    engine.tell(VersionRefused(engine.key()))
    assert engine.backend.pulls == 2

    engine.backend.looks = False
    engine.tell(VersionRefused(engine.key()), VersionRefused(engine.key(1)))
    assert engine.backend.pulls == 2


def test_an_image_is_prepared_at_once_when_a_scale_set_misses_it(engine: Engine) -> None:
    engine.join()
    engine.tell(RetryPrepare(engine.key()))

    assert engine.backend.pulls == 2


def test_an_image_is_not_prepared_twice_at_the_same_time() -> None:
    engine = Engine(held=True)
    engine.join()
    engine.tell(RetryPrepare(engine.key()))
    assert len(engine.preparers.waiting) == 1

    engine.preparers.do_one()
    engine.solo.play()
    engine.tell(RetryPrepare(engine.key()))
    assert len(engine.preparers.waiting) == 1


def test_a_backend_that_is_back_prepares_no_image_that_is_ready(engine: Engine) -> None:
    engine.join()
    engine.backend.engine.down("gone")
    engine.backend.engine.up()
    engine.solo.play()

    assert engine.backend.pulls == 1


def test_attempts_at_an_image_that_fails_for_long_do_not_become_more_frequent(engine: Engine) -> None:
    engine.backend.prepare_fails = True
    engine.join()
    for _ in range(20):
        engine.backend.engine.down("away")
        engine.backend.engine.up()
        for _ in range(60):
            engine.solo.advance(1)
    engine.backend.pulls = 0
    for _ in range(600):
        engine.solo.advance(1)

    assert engine.backend.pulls <= 11, "once a minute"


# -- stopping ------------------------------------------------------------------------------------------


def test_a_stop_ends_the_event_stream_and_the_workers_and_is_reported(engine: Engine) -> None:
    linux = engine.join()
    engine.tell(StopKeeper())
    assert engine.solo.heard(SharedStopped) == [SharedStopped("keeper memory")]
    assert engine.keeper.actor_stopped.is_set()

    before = len(linux.received)
    engine.backend.engine.down("gone")
    engine.solo.play()
    assert len(linux.received) == before


def test_a_stop_closes_all_worker_pools() -> None:
    engine = Engine(held=True)
    engine.tell(StopKeeper())

    assert [pool.closed for pool in engine.workers] == [True, True, True]


def test_a_stop_cuts_a_pull_in_progress() -> None:
    engine = Engine(held=True)
    linux = engine.join()
    engine.tell(StopKeeper())

    cut: list[type] = []
    call, done, _ = engine.preparers.waiting.popleft()
    InlineWorkerPool("x", 1, cut.append).submit(call, done, type)
    engine.solo.play()

    assert cut == [Interrupted]
    assert linux.of(ImagePrepared) == []


def test_an_event_stream_that_cannot_be_opened_is_a_crash() -> None:
    solo = Solo()

    class Streamless(MemoryBackend):
        def watch(self, since: float, report: Any) -> Any:
            raise OSError("too many open files")

    solo.backend = Streamless(solo.clock)
    with pytest.raises(Exception, match="keeper memory"):
        solo.keeper()
    solo.play()

    (crash,) = solo.heard(ChildCrashed)
    assert crash.handling == "start"


class StreamRecorder:
    """Something to stop; `reported` tells at each stop whether the actor had reported its own end already."""

    def __init__(self, solo: Solo) -> None:
        self._solo = solo
        self.reported: list[bool] = []

    def stop(self) -> None:
        self._solo.harness.deliver_all()
        self.reported.append(bool(self._solo.heard(SharedStopped)))


def test_the_event_stream_has_stopped_before_the_keeper_reports_its_end() -> None:
    """Else the root actor would close the backend while the stream still runs."""
    solo = Solo()
    stream = StreamRecorder(solo)

    class Streaming(MemoryBackend):
        def watch(self, *_: Any) -> Any:
            return stream

    solo.backend = Streaming(solo.clock)
    solo.tell(solo.keeper(), StopKeeper())

    assert stream.reported[0] is False


def test_a_watch_that_crashed_takes_its_keeper_down(engine: Engine) -> None:
    """Its successor watches anew."""
    engine.tell(WatchCrashed("ZeroDivisionError: a bug"))

    (crash,) = engine.solo.heard(ChildCrashed)
    assert crash.handling == "WatchCrashed"
    assert "ZeroDivisionError: a bug" in crash.error
