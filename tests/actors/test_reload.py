"""A changed configuration under running actors (docs/behaviour.md § 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.world import ScaleSetActor, World, scale_set

from runscaler.actors.host import HostActor
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.messages import Prepared, Reload, Reloaded
from runscaler.actors.runner import RunnerActor
from runscaler.backends.memory import MemoryBackend
from runscaler.config.secrets import Secret
from runscaler.errors import AccessDenied, ImageMissing
from runscaler.status import SetState

if TYPE_CHECKING:
    from runscaler.backends.base import Resource, RunnerOrder
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt


class Noting(MemoryBackend):
    """Notes the image that each runner was started with."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.images: dict[str, str] = {}

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        self.images[order.runner] = order.settings.runner_image
        return super().start(order, interrupt)


class TwoEngines(World):
    """The engine that a scale set is on is named by its `docker.socket`."""

    def __init__(self, **options: Any) -> None:
        self.engines: dict[str, MemoryBackend] = {}
        super().__init__(**options)

    def backend_id_of(self, settings: ScaleSetSettings) -> str:
        return settings.docker.socket

    def open_backend(self, settings: ScaleSetSettings) -> MemoryBackend:
        first = self.backend if not self.engines else MemoryBackend(self.clock, on_start=self._agent_starts)
        return self.engines.setdefault(settings.docker.socket, first)

    def _lives(self, resource: Resource) -> bool:
        found = [engine.engine.find(resource.id) for engine in self.engines.values()]
        return any(one is not None and one.ending is None for one in found)


def reload(world: World, *sets: ScaleSetSettings, **host: Any) -> Reloaded:
    given = {"scale_sets": sets or world.config.scale_sets}
    settings = world.config.host.model_copy(update=host)
    world.config = world.config.model_copy(update={**given, "host": settings})
    answer = world.root.receive(Reload(world.config))
    assert isinstance(answer, Reloaded)
    world.play()
    return answer


def changed(world: World, number: int = 0, **settings: Any) -> ScaleSetSettings:
    return world.config.scale_sets[number].model_copy(update=settings)


def names(world: World) -> list[str]:
    return [one.name for one in world.board.read().scale_sets]


def busy_and_idle(**settings: Any) -> tuple[World, str]:
    """One busy runner and one idle one; the busy one's name."""
    world = World(max_runners=4, min_runners=1, backend=Noting, **settings)
    world.queue(1)
    world.play()
    (busy,) = world.working()
    return world, busy


# -- limits -------------------------------------------------------------------------------------------


def test_a_higher_maximum_starts_what_waits_at_once() -> None:
    world = World(max_runners=1)
    world.queue(3)
    world.play()
    assert len(world.working()) == 1

    reload(world, changed(world, max_runners=3))

    assert len(world.working()) == 3
    assert world.status().max == 3


def test_a_lower_maximum_touches_no_busy_runner() -> None:
    world = World(max_runners=3)
    world.queue(5)
    world.play()
    busy = world.working()

    reload(world, changed(world, max_runners=1))
    world.advance(60)
    assert world.working() == busy

    for runner in busy:
        world.finish(runner)
        world.advance(15)
    assert len(world.working()) == 1
    assert world.cut_down == []


def test_a_higher_minimum_starts_and_a_lower_one_retires() -> None:
    world = World(max_runners=4, min_runners=1, idle_timeout=30.0)
    world.play()

    reload(world, changed(world, min_runners=3))
    assert world.status().idle == 3

    reload(world, changed(world, min_runners=0))
    world.advance(60)
    assert world.resources() == []


# -- what runners are made of -------------------------------------------------------------------------


def test_idle_runners_are_replaced_and_a_busy_one_goes_on(log_lines: list[str]) -> None:
    world, busy = busy_and_idle()
    before = set(world.backend.images)

    reload(world, changed(world, runner_image="new"))
    world.advance(15)

    assert world.working() == [busy]
    started = set(world.backend.images) - before
    assert {world.backend.images[one] for one in started} == {"new"}
    assert {one.runner for one in world.resources()} == {busy, *started}
    assert [line for line in log_lines if "replacing idle runners (1): made with earlier settings" in line]
    assert world.cut_down == []


def test_many_idle_runners_are_replaced_a_quarter_at_a_time() -> None:
    world = World(max_runners=8, min_runners=8, backend=Noting, runner_image="old")
    world.play()
    reload(world, changed(world, runner_image="new"))
    fewest = 8
    for _ in range(300):
        world.advance(1)
        fewest = min(fewest, world.states().count("idle"))

    assert fewest == 6
    assert {world.backend.images[one.runner] for one in world.resources()} == {"new"}


def test_a_new_image_that_cannot_be_had_keeps_no_job_waiting() -> None:
    world, _ = busy_and_idle(runner_image="old")
    for _ in range(3):
        world.backend.fail_next("prepare", ImageMissing("new is not there"))

    reload(world, changed(world, runner_image="new"))
    world.queue(1)
    world.play()

    status = world.status()
    assert (status.state, status.busy) == (SetState.DEGRADED, 2)
    assert status.reason == "new is not there; until then runners are made with the earlier settings"
    assert set(world.backend.images.values()) == {"old"}

    world.advance(60)
    status = world.status()
    assert (status.state, status.idle) == (SetState.OK, 1)
    (idle,) = {one.runner for one in world.resources()} - set(world.working())
    assert world.backend.images[idle] == "new"


def test_what_was_being_prepared_for_the_old_image_does_not_count_for_the_new_one() -> None:
    world, _ = busy_and_idle(runner_image="old")
    (keeper,) = world.harness.alive(KeeperActor)
    (attached,) = keeper.scale_sets.values()
    attached.preparing = True  # the hourly look for a newer image
    reload(world, changed(world, runner_image="new"))
    assert world.status().idle == 1
    assert set(world.backend.images.values()) == {"old"}

    world.backend.fail_next("prepare", ImageMissing("new is not there"))
    keeper.actor_ref.tell(Prepared(world.config.scale_sets[0].key))
    world.play()
    assert set(world.backend.images.values()) == {"old"}
    assert world.status().state is SetState.DEGRADED


def test_timeouts_replace_nothing() -> None:
    world, _ = busy_and_idle()
    before = {one.runner for one in world.resources()}

    reload(world, changed(world, start_timeout=1.0, job_timeout=7200.0))
    world.advance(60)

    assert {one.runner for one in world.resources()} == before


def test_a_runner_that_was_being_started_meanwhile_is_replaced_once_it_is_idle() -> None:
    world = World(max_runners=2, min_runners=1, backend=Noting, runner_image="old")
    world.hanging = (RunnerActor,)
    world.play()
    reload(world, changed(world, runner_image="new"))
    world.hanging = ()
    world.advance(60)

    assert [world.backend.images[one.runner] for one in world.resources()] == ["new"]


# -- what GitHub is asked with ------------------------------------------------------------------------


def test_labels_are_changed_at_github_in_the_same_session() -> None:
    world, _ = busy_and_idle()
    world.github.let_clients_change_labels()
    session = world.github.scale_set("linux").session

    reload(world, changed(world, labels=("linux", "big")))

    found = world.github.scale_set("linux")
    assert found is not None
    assert {name for name, _ in found.labels} == {"linux", "big"}
    assert found.session is session


def test_another_token_is_used_at_once_and_heals_a_set_that_github_refuses() -> None:
    world = World(max_runners=2)
    world.github.fail_next("open_session", AccessDenied("bad credentials"), times=1)
    world.play()
    assert world.status().state is SetState.DEGRADED
    connected: list[str] = []
    connect = world._connect
    world._connect = None  # type: ignore[assignment,method-assign]

    def note(settings: ScaleSetSettings, report: Any) -> Any:
        connected.append(settings.token.reveal() if settings.token else "")
        return connect(settings, report)

    object.__setattr__(world.root._context, "connect", note)
    reload(world, changed(world, token=Secret("ghp_new")))

    assert world.status().state is SetState.OK
    assert connected == ["ghp_new"]


# -- scale sets that come and go ----------------------------------------------------------------------


def test_an_added_one_starts_and_the_order_is_that_of_the_file() -> None:
    world, _ = busy_and_idle()
    other = scale_set("other", max_runners=2)

    reload(world, other, world.config.scale_sets[0])
    world.queue(1, "other")
    world.play()
    world.status()

    assert names(world) == ["other", "linux"]
    assert world.status(0).busy == 1


def test_a_removed_one_takes_no_job_waits_for_its_busy_runner_and_is_deleted(log_lines: list[str]) -> None:
    world, busy = busy_and_idle()
    reload(world, scale_set("other"))
    world.queue(1)
    world.advance(3600)

    assert world.working() == [busy]
    old = world.status(1)
    assert (old.name, old.state, old.reason) == ("linux", SetState.DRAINING, "not configured any more")
    assert [one.runner for one in world.resources()] == [busy]

    world.finish_all()
    world.advance(30)
    assert names(world) == ["other"]
    assert world.github.scale_set("linux") is None
    assert (world.resources(), world.cut_down) == ([], [])


def test_a_removed_one_that_crashes_goes_on_leaving() -> None:
    world, busy = busy_and_idle()
    reload(world, scale_set("other"))
    leaving = [one for one in world.harness.alive(ScaleSetActor) if one.name == "scale-set linux"]
    leaving[0].actor_ref.tell(object())
    world.advance(60)
    assert world.working() == [busy]

    world.finish_all()
    world.advance(60)
    assert names(world) == ["other"]
    assert world.github.scale_set("linux") is None


def test_one_that_is_taken_out_and_put_back_begins_anew_once_its_runners_have_ended() -> None:
    world, _ = busy_and_idle()
    linux = world.config.scale_sets[0]
    reload(world, scale_set("other"))
    answer = reload(world, scale_set("other"), linux)
    assert answer.returning == {linux.key}
    assert world.status(1).state is SetState.DRAINING

    world.finish_all()
    world.advance(30)
    world.queue(1)
    world.play()
    assert names(world) == ["other", "linux"]
    assert (world.status(1).state, world.status(1).busy) == (SetState.OK, 1)


def test_one_that_moves_to_another_engine_drains_there_and_begins_anew_here() -> None:
    world = TwoEngines(max_runners=3, min_runners=1)
    world.queue(1)
    world.play()
    (busy,) = world.working()
    number = world.github.scale_set("linux").id  # type: ignore[union-attr]
    docker = world.config.scale_sets[0].docker.model_copy(update={"socket": "/other.sock"})

    answer = reload(world, changed(world, docker=docker))
    assert answer.moving == {world.config.scale_sets[0].key}
    world.queue(1)
    world.advance(120)
    assert world.working() == [busy]
    assert world.status().state is SetState.DRAINING

    world.finish(busy)
    world.advance(60)
    first, second = world.engines.values()
    assert first.inventory() == []
    assert len(world.harness.alive(KeeperActor)) == 1
    assert len(second.inventory()) == 2
    assert (world.status().state, world.status().busy) == (SetState.OK, 1)
    assert world.github.scale_set("linux").id == number  # type: ignore[union-attr]
    assert world.cut_down == []


def test_a_stop_while_one_leaves_ends_all() -> None:
    world, _ = busy_and_idle()
    reload(world, scale_set("other"))
    world.shut_down()
    world.advance(60)

    assert world.ended == [""]
    assert world.resources() == []


def test_a_configuration_that_changes_nothing_changes_nothing() -> None:
    world, _ = busy_and_idle()
    calls = world.github.calls.copy()

    assert not reload(world).changes
    assert {name: n for name, n in (world.github.calls - calls).items() if name != "poll"} == {}


# -- the host's cap -----------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
def test_a_cap_that_is_new_counts_what_runs_already(crash: bool) -> None:
    world = World(scale_sets=(scale_set("a", max_runners=4), scale_set("b", max_runners=4)))
    world.queue(2, "a")
    world.play()

    reload(world, max_runners=3)
    if crash:
        world.crash(HostActor)
    world.queue(4, "b")
    world.advance(45)

    assert len(world.resources()) == 3
    reload(world, max_runners=0)
    world.advance(5)
    assert len(world.resources()) == 6
