"""Whatever happens, in whatever order: nothing leaks, no runner too many, every job is done once.

Hypothesis plays GitHub, the engine, the crashes and the clock, and also decides which actor handles
its next message when, as threads would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from loguru import logger
from support.world import World

from runscaler.actors.health import HealthActor
from runscaler.actors.host import HostActor
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.listener import ListenerActor
from runscaler.actors.runner import RunnerActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.errors import BackendError, RateLimited, ServerError, StartFailed, Unreachable
from runscaler.github.messages import JobCompleted, JobStarted
from runscaler.testing.memory_records import JobState, MemoryJob
from runscaler.testing.probe import deliver_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")
KINDS = (RunnerActor, ListenerActor, ScaleSetActor, KeeperActor, HostActor, HealthActor)
BACKEND_CALLS = ("start", "remove", "inventory", "prepare", "logs", "runs_a_job")
GITHUB_CALLS = (
    "poll",
    "acknowledge",
    "jit_config",
    "remove_runner",
    "find_runner",
    "refresh_session",
    "find_scale_set",
    "close_session",
)
GITHUB_ERRORS = (
    Unreachable("no answer"),
    ServerError("502"),
    RateLimited("slow down", retry_after=20.0),
)


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Thousands of lives say more than a report can hold."""
    logger.disable("runscaler")
    yield
    logger.enable("runscaler")


class Life(RuleBasedStateMachine):
    """`self.lost`: jobs whose runner the test killed under them."""

    @initialize(
        max_runners=st.integers(1, 4),
        min_runners=st.integers(0, 2),
        host_cap=st.sampled_from([0, 0, 2]),
        idle_timeout=st.sampled_from([5.0, 60.0]),
    )
    def begin(self, max_runners: int, min_runners: int, host_cap: int, idle_timeout: float) -> None:
        self.max_runners = max_runners
        self.world = World(
            max_runners=max_runners,
            min_runners=min(min_runners, max_runners),
            idle_timeout=idle_timeout,
            host_cap=host_cap,
        )
        self.jobs: list[MemoryJob] = []
        self.lost: set[str] = set()
        self.orphaned: list[int] = []
        self.lingering: list[str] = []
        self.crashed = False

    # -- GitHub -----------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def queue(self, count: int) -> None:
        self.jobs += self.world.queue(count)

    @rule()
    def poll(self) -> None:
        self.world.poll()

    @rule()
    def redeliver(self) -> None:
        if self.world.github.scale_set("linux"):
            self.world.github.say_again("linux")

    @rule(name=st.sampled_from(["", "nobody", "line\nbreak \x1b[31m", "x" * 300]))
    def talk_of_strangers(self, name: str) -> None:
        if self.world.github.scale_set("linux"):
            self.world.github.say(
                "linux",
                JobStarted("no-such-job", runner_name=name, display_name=name),
                JobCompleted("no-such-job", runner_name=name, display_name=name),
            )

    @rule(what=st.sampled_from(["token", "session", "steal"]))
    def trouble_the_session(self, what: str) -> None:
        github = self.world.github
        if not github.scale_set("linux"):
            return
        if what == "token":
            github.expire_queue_token("linux")
        elif what == "session":
            github.end_session("linux")
        else:
            github.hold_session("linux")

    @rule(call=st.sampled_from(GITHUB_CALLS), error=st.sampled_from(GITHUB_ERRORS), after=st.booleans())
    def fail_at_github(self, call: str, error: Any, after: bool) -> None:
        """`after`: it took effect, and only the answer was lost."""
        unclear = after and call != "poll" and not isinstance(error, RateLimited)
        self.world.github.fail_next(call, error, after=unclear)

    # -- runners ----------------------------------------------------------------------------------

    @rule()
    def agents_go_on(self) -> None:
        self.world.live_agents()

    @precondition(lambda self: self.world.working())
    @rule(number=st.integers(0, 3), ends=st.booleans())
    def finish(self, number: int, ends: bool) -> None:
        runner = one_of(self.world.working(), number)
        if not ends:
            self.lingering.append(self.world.running[runner].id)
        self.world.finish(runner, ends=ends)

    @precondition(lambda self: self.lingering)
    @rule()
    def a_lingering_one_ends(self) -> None:
        self.world.backend.end(self.lingering.pop(), 0)

    @precondition(lambda self: self.world.running)
    @rule(number=st.integers(0, 3), how=st.sampled_from(["gone", 0, 1, 137]))
    def die(self, number: int, how: str | int) -> None:
        world = self.world
        runner = one_of(list(world.running), number)
        if job := world.begun.get(runner):
            self.lost.add(job)
            self.orphaned.append(world.running[runner].runner_id)
        if isinstance(how, str):
            world.vanish(runner)
        else:
            world.end(runner, how, out_of_memory=how == 137)

    @precondition(lambda self: self.orphaned)
    @rule()
    def a_lease_ends(self) -> None:
        self.world.github.lease_over(self.orphaned.pop())

    # -- the backend ------------------------------------------------------------------------------

    @rule()
    def backend_goes_down(self) -> None:
        self.world.backend.engine.down("the engine is away")

    @rule()
    def backend_comes_up(self) -> None:
        self.world.backend.engine.up()

    @rule(call=st.sampled_from(BACKEND_CALLS))
    def fail_at_the_backend(self, call: Any) -> None:
        error = StartFailed("no space") if call == "start" else BackendError("broken")
        self.world.backend.fail_next(call, error)

    # -- actors -----------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS), number=st.integers(0, 3))
    def crash(self, kind: type[Any], number: int) -> None:
        if living := self.world.stage.living(kind):
            one_of(living, number).actor_ref.tell(object())
            self.crashed = True

    @rule()
    def restart_the_process(self) -> None:
        self.crashed = True
        self.world.kill()
        self.world.start()

    @rule(choices=st.lists(st.integers(0, 20), min_size=1, max_size=12))
    def deliver_some(self, choices: list[int]) -> None:
        for choice in choices:
            if due := self.world.due():
                deliver_one(due[choice % len(due)])
        self._revive()

    @rule()
    def play(self) -> None:
        self.world.play()
        self._revive()

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0, 31.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(seconds=st.sampled_from([2.0, 12.0, 35.0, 70.0]))
    def advance(self, seconds: float) -> None:
        for _ in range(4):
            self.world.clock.advance(seconds / 4)
            self.world.play()
        self._revive()

    def _revive(self) -> None:
        """A program that gave up is started again, as systemd would."""
        if self.world.ended:
            self.world.ended.clear()
            self.world.kill()
            self.world.start()

    # -- what always holds --------------------------------------------------------------------------

    @invariant()
    def never_more_than_max(self) -> None:
        if hasattr(self, "world"):
            engine = self.world.backend.engine
            assert all(peak <= self.max_runners for peak in engine.peaks.values())

    @invariant()
    def under_the_hosts_cap(self) -> None:
        if hasattr(self, "world") and (cap := self.world.config.host.max_runners):
            assert self.world.backend.engine.peak <= cap

    @invariant()
    def no_job_is_cut_down(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.cut_down

    @invariant()
    def no_name_is_used_twice(self) -> None:
        if hasattr(self, "world"):
            assert len(set(self.world.started)) == len(self.world.started)

    # -- in the end -----------------------------------------------------------------------------------

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._heal()
            self._let_all_jobs_run()
            self._settle_down()
            self._stop()

    def _heal(self) -> None:
        world = self.world
        world.backend.engine.up()
        world.backend._failures.clear()
        world.github.failures.clear()
        scale_set = world.github.scale_set("linux")
        if scale_set is not None and scale_set.session and scale_set.session.owner == "somebody-else":
            world.github.end_session("linux")
        while self.orphaned:
            world.github.lease_over(self.orphaned.pop())

    def _let_all_jobs_run(self) -> None:
        for _ in range(100):
            self.world.play()
            self._revive()
            self.world.finish_all()
            if all(job.state is JobState.COMPLETED for job in self.jobs):
                break
            self.world.clock.advance(5.0)
        done = {job.id: job.result for job in self.jobs}
        assert done == {job.id: "failed" if job.id in self.lost else "succeeded" for job in self.jobs}
        begun = list(self.world.begun.values())
        assert len(begun) == len(set(begun))

    def _settle_down(self) -> None:
        """Only the warm ones are left, and everybody agrees about them."""
        for _ in range(60):
            self.world.clock.advance(5.0)
            self.world.play()
            self._revive()
        world, status = self.world, self.world.status()
        cap = world.config.host.max_runners or 99
        warm = min(world.config.scale_sets[0].min_runners, cap)
        running = [one for one in world.resources() if one.ending is None]
        assert status.total >= warm
        assert {slot.state for slot in status.slots} <= {"idle", "adopted", "waiting"}, status
        assert len(world.resources()) == len(running) == warm, (world.resources(), status)
        assert {slot.runner for slot in status.slots if slot.state != "waiting"} == {
            r.runner for r in running
        }
        self._check_registrations({one.runner for one in running})

    def _check_registrations(self, runners: set[str]) -> None:
        """One whose runner ended unseen, or of which a crashed actor knew, is GitHub's to remove."""
        registered = {one.name for one in self.world.github.runners.values()}
        assert runners <= registered
        assert self.crashed or registered == runners

    def _stop(self) -> None:
        world = self.world
        world.shut_down()
        for _ in range(40):
            world.play()
            world.clock.advance(5.0)
        assert world.ended == [""]
        assert not world.resources()
        self._check_registrations(set())
        assert world.github.scale_set("linux") is None
        assert all(actor.actor_stopped.is_set() for actor in world.stage.actors)


def one_of(choices: Sequence[T], number: int) -> T:
    return choices[number % len(choices)]


Life.TestCase.settings = settings(stateful_step_count=40, deadline=None)
TestLife = pytest.mark.timeout(1200)(Life.TestCase)
