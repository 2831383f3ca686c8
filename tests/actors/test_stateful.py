"""Whatever happens, in whatever order: nothing leaks, no runner too many, every job is done once.

Hypothesis plays GitHub, the engine, the crashes and the clock, loses and delays messages, and also decides
which actor handles its next message when, as threads would. What must hold once the world is left alone:
`support.left_alone`. `--hypothesis-profile=long` lives 2,000 lives instead of 100.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from loguru import logger
from support.left_alone import LeftAlone, by_hand
from support.world import World

from runscaler.actors.health import HealthActor
from runscaler.actors.host import HostActor
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.listener import ListenerActor
from runscaler.actors.runner import RunnerActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.config.model import ScheduleWindow
from runscaler.errors import BackendError, RateLimited, ServerError, StartFailed, Unreachable
from runscaler.github.messages import JobAvailable, JobCompleted, JobStarted
from runscaler.policy.host_guard import Measurement
from runscaler.simulator.options import Flavour
from runscaler.testing.probe import deliver_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")
BOTH = (JobStarted, JobCompleted)
LOST = ((JobStarted,), (JobCompleted,), BOTH, (JobAvailable,), (*BOTH, JobAvailable))
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
    "open_session",
    "close_session",
    "runner",
    "acquire_jobs",
    "acquirable_jobs",
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


class Life(LeftAlone):
    @initialize(
        max_runners=st.integers(1, 4),
        min_runners=st.integers(0, 2),
        host_cap=st.sampled_from([0, 0, 2]),
        idle_timeout=st.sampled_from([5.0, 60.0]),
        flavour=st.sampled_from(Flavour),
        at_times=st.none() | st.integers(1, 5),
        guarded=st.booleans(),
    )
    def begin(
        self,
        max_runners: int,
        min_runners: int,
        host_cap: int,
        idle_timeout: float,
        flavour: Flavour,
        at_times: int | None,
        guarded: bool,
    ) -> None:
        """`at_times`: the maximum in every second minute."""
        least = min(min_runners, max_runners)
        most = max_runners if at_times is None else max(at_times, least)
        window = ScheduleWindow(cron="*/2 * * * *", duration=60.0, max_runners=most)
        self.max_runners = max(max_runners, most)
        self.world = World(
            max_runners=max_runners,
            min_runners=least,
            schedule=() if at_times is None else (window,),
            idle_timeout=idle_timeout,
            host_cap=host_cap,
            host={"max_load": 4.0} if guarded else {},
            flavour=flavour,
        )

    # -- GitHub -----------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def queue(self, count: int) -> None:
        self.jobs += self.world.queue(count, self.name)

    @rule()
    def poll(self) -> None:
        self.world.poll()

    @precondition(lambda self: self.is_there())
    @rule()
    def redeliver(self) -> None:
        self.world.github.say_again(self.name)

    @precondition(lambda self: self.is_there())
    @rule(name=st.sampled_from(["", "nobody", "line\nbreak \x1b[31m", "x" * 300]))
    def talk_of_strangers(self, name: str) -> None:
        self.world.github.say(
            self.name,
            JobStarted("no-such-job", runner_name=name, display_name=name),
            JobCompleted("no-such-job", runner_name=name, display_name=name),
        )

    @precondition(lambda self: self.is_there())
    @rule(what=st.sampled_from(["token", "session", "steal"]))
    def trouble_the_session(self, what: str) -> None:
        github = self.world.github
        if what == "token":
            github.expire_queue_token(self.name)
        elif what == "session":
            github.end_session(self.name)
        else:
            github.hold_session(self.name)

    @precondition(lambda self: self.is_there())
    @rule(ends=st.booleans())
    def delete_the_scale_set(self, ends: bool) -> None:
        """`ends`: idle agents notice that their registration is gone."""
        self.world.github.delete_scale_set(self.name)
        if ends:
            self.world.end_unregistered()

    @precondition(lambda self: self.is_there())
    @rule(relabel=st.booleans())
    def change_the_scale_set_by_hand(self, relabel: bool) -> None:
        """It gets one more label, or another name."""
        self.changed_by_hand += 1
        labels = (self.name, "other-label") if relabel else ()
        name = "" if relabel else by_hand(self.changed_by_hand)
        self.world.github.change_scale_set(self.name, name=name, labels=labels)

    @rule()
    def rename_in_the_configuration(self) -> None:
        """The process is killed, and the next one has another name for its scale set."""
        self.name, self.renamed = "other" if self.name == "linux" else "linux", True
        world = self.world
        world.kill()
        renamed = world.config.scale_sets[0].model_copy(update={"name": self.name, "labels": (self.name,)})
        world.config = world.config.model_copy(update={"scale_sets": (renamed,)})
        world.start()
        self.crashed = True

    # -- messages ---------------------------------------------------------------------------------

    @rule(kinds=st.sampled_from(LOST))
    def lose_messages(self, kinds: tuple[Any, ...]) -> None:
        self.world.withheld = kinds

    @precondition(lambda self: self.world.withheld)
    @rule()
    def lose_no_more(self) -> None:
        self.world.withheld = ()

    @rule(kinds=st.sampled_from(LOST))
    def delay_messages(self, kinds: tuple[Any, ...]) -> None:
        self.world.delayed = kinds

    @precondition(lambda self: self.world.late and self.is_there())
    @rule()
    def deliver_late(self) -> None:
        self.world.deliver_late(self.name)

    @rule(count=st.integers(1, 3))
    def garble_messages(self, count: int) -> None:
        self.world.unreadable = count

    @rule(call=st.sampled_from(GITHUB_CALLS), error=st.sampled_from(GITHUB_ERRORS), after=st.booleans())
    def fail_at_github(self, call: str, error: Any, after: bool) -> None:
        """`after`: it took effect, and only the answer was lost."""
        unclear = after and call != "poll" and not isinstance(error, RateLimited)
        self.world.github.fail_next(call, error, after=unclear)
        self.failed |= call == "jit_config"

    # -- runners ----------------------------------------------------------------------------------

    @rule()
    def agents_go_on(self) -> None:
        self.world.live_agents()

    @rule(count=st.integers(1, 3))
    def the_next_ones_never_connect(self, count: int) -> None:
        self.world.deaf_next, self.failed = count, True

    @rule(every=st.integers(1, 3), first=st.integers(0, 2), ends=st.booleans())
    def registrations_vanish(self, every: int, first: int, ends: bool) -> None:
        """A share of all, whatever the runners do. `ends`: idle agents notice."""
        github = self.world.github
        for number in list(github.runners)[first::every]:
            github.deregister(number)
        if ends:
            self.world.end_unregistered()

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
        """In its job, its lease runs on (fault F97)."""
        world, self.failed = self.world, True
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

    # -- the host ---------------------------------------------------------------------------------

    @rule(load=st.sampled_from([None, 1.0, 3.9, 9.0]))
    def be_busy(self, load: float | None) -> None:
        """Without a limit that changes nothing."""
        self.world.measured = Measurement(load=load)

    # -- the backend ------------------------------------------------------------------------------

    @rule()
    def backend_goes_down(self) -> None:
        """A start that finds that out has failed."""
        self.failed = True
        self.world.backend.engine.down("the engine is away")

    @rule()
    def backend_comes_up(self) -> None:
        self.world.backend.engine.up()

    @rule(call=st.sampled_from(BACKEND_CALLS))
    def fail_at_the_backend(self, call: Any) -> None:
        error = StartFailed("no space") if call == "start" else BackendError("broken")
        self.world.backend.fail_next(call, error)
        self.failed |= call == "start"

    @rule(times=st.integers(2, 8))
    def refuse_removals(self, times: int) -> None:
        for _ in range(times):
            self.world.backend.fail_next("remove", BackendError("device or resource busy"))

    # -- actors -----------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS), number=st.integers(0, 3))
    def crash(self, kind: type[Any], number: int) -> None:
        if living := self.world.harness.alive(kind):
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
        self.revive()

    @rule()
    def play(self) -> None:
        self.world.play()
        self.revive()

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0, 31.0]))
    def let_time_pass(self, seconds: float) -> None:
        """Nobody acts: an agent that has not connected yet may be late, and so may reports of what runs."""
        self.failed |= bool(self.world.unconnected())
        self.reports_late |= any(host._waits for host in self.world.harness.alive(HostActor))
        self.world.clock.advance(seconds)

    @rule(seconds=st.sampled_from([2.0, 12.0, 35.0, 70.0]))
    def advance(self, seconds: float) -> None:
        for _ in range(4):
            self.world.clock.advance(seconds / 4)
            self.world.play()
        self.revive()

    # -- what always holds --------------------------------------------------------------------------

    @invariant()
    def never_more_than_max(self) -> None:
        if hasattr(self, "world"):
            engine = self.world.backend.engine
            assert all(peak <= self.max_runners for peak in engine.peaks.values())

    @invariant()
    def under_the_hosts_cap(self) -> None:
        """But late reports of what is held hold nothing up for more than 30 s (docs/behaviour.md § 6.4)."""
        if hasattr(self, "world") and not self.reports_late and (cap := self.world.config.host.max_runners):
            assert self.world.backend.engine.peak <= cap

    @invariant()
    def no_job_is_cut_down(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.cut_down

    @invariant()
    def no_name_is_used_twice(self) -> None:
        if hasattr(self, "world"):
            assert len(set(self.world.started)) == len(self.world.started)


def one_of(choices: Sequence[T], number: int) -> T:
    return choices[number % len(choices)]


Life.TestCase.settings = settings(stateful_step_count=40, deadline=None)
TestLife = pytest.mark.timeout(1200)(Life.TestCase)
