"""What must hold once the world is left alone: every job ends, nothing is stuck, nothing is left.

`Life` in `tests/actors/test_stateful.py` adds what may happen before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis.stateful import RuleBasedStateMachine

from runscaler.policy.host_guard import Measurement
from runscaler.simulator.records import Job, JobState
from runscaler.status import SetState

if TYPE_CHECKING:
    from support.world import World

STEP_SECONDS = 5.0
JOBS_SECONDS = 1200.0
"""Within so long every job is served: what is called busy for no known job is asked about within 10 min."""
CALM_SECONDS = 480.0
"""So long after the last job only what is wanted is left: lost registrations and lost ends of jobs are
proved within 3 min, and what failed is replaced at the backoff's pace."""
RENAMED_SECONDS = 720.0
"""The same where a scale set was renamed. At GitHub: that is undone within 10 min. In the configuration: the
old one has no session that would tell of the end of a job, and its busy runners are asked about in 10 min."""
STOP_SECONDS = 200.0


def by_hand(number: int) -> str:
    """The name that somebody gave to a scale set at GitHub."""
    return f"by-hand-{number}"


class LeftAlone(RuleBasedStateMachine):
    """`lost`: jobs whose runner the rules killed. `orphaned`: ids of their runners, whose lease runs on.
    `failed`: some runner or start did fail. `crashed`: what an actor knew may be lost. `reports_late`: the
    host may have been shared out before all was known that runs."""

    world: World
    name: str

    def __init__(self) -> None:
        super().__init__()
        self.name = "linux"
        self.jobs: list[Job] = []
        self.lost: set[str] = set()
        self.cancelled: set[str] = set()
        self.orphaned: list[int] = []
        self.lingering: list[str] = []
        self.changed_by_hand = 0
        self.crashed = self.failed = self.reports_late = self.renamed = False

    def is_there(self) -> bool:
        """Does GitHub have our scale set by its configured name?"""
        return self.world.github.scale_set(self.name) is not None

    def revive(self) -> None:
        """A program that gave up is started again, as systemd would."""
        if self.world.ended:
            self.world.ended.clear()
            self.world.kill()
            self.world.start()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._heal()
            self._let_all_jobs_run(JOBS_SECONDS)
            self._check_results()
            self._calm_down()
            self._serve_one_more()
            self._check_state()
            self._stop()

    def _heal(self) -> None:
        """What was broken works again, and sessions that nobody holds have expired. What was lost stays lost,
        deaf agents stay deaf, and what lingers lingers."""
        world = self.world
        world.withheld = world.delayed = ()
        world.unreadable = world.deaf_next = 0
        world.measured = Measurement()
        world.backend.engine.up()
        world.backend._failures.clear()
        world.github.failures.clear()
        ours = {session_id for _, session_id in world.state_store.sessions.values()}
        for name in ("linux", "other", *map(by_hand, range(1, self.changed_by_hand + 1))):
            scale_set = world.github.scale_set(name)
            if scale_set is not None and scale_set.session and scale_set.session.id not in ours:
                world.github.end_session(name)
        while self.orphaned:
            world.github.lease_over(self.orphaned.pop())
        self._cancel_what_nobody_serves()

    def _cancel_what_nobody_serves(self) -> None:
        """Jobs for a name that is not configured any more would wait for ever."""
        for job in self.jobs:
            if job.spec.labels != (self.name,) and job.state not in (JobState.RUNNING, JobState.COMPLETED):
                self.world.github.cancel(job)
                self.cancelled.add(job.id)

    def _pass(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.play()
        self.revive()

    def _let_all_jobs_run(self, seconds: float) -> None:
        for _ in range(int(seconds / STEP_SECONDS)):
            self.world.play()
            self.revive()
            self.world.finish_all()
            if all(job.state is JobState.COMPLETED for job in self.jobs):
                return
            self.world.clock.advance(STEP_SECONDS)

    def _check_results(self) -> None:
        done = {job.id: job.result for job in self.jobs}
        assert done == {job.id: self._expected(job) for job in self.jobs}
        begun = list(self.world.begun.values())
        assert len(begun) == len(set(begun))

    def _expected(self, job: Job) -> str:
        if job.id in self.cancelled:
            return "canceled"
        return "failed" if job.id in self.lost else "succeeded"

    def _calm_down(self) -> None:
        """Only the warm ones are left, and everybody agrees about them."""
        seconds = RENAMED_SECONDS if self.changed_by_hand or self.renamed else CALM_SECONDS
        for _ in range(int(seconds / STEP_SECONDS)):
            self._pass(STEP_SECONDS)
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
        assert [one.name for one in world.board.read().scale_sets] == [self.name]

    def _serve_one_more(self) -> None:
        """A job is served at once: nothing holds the scale set up any more."""
        self.jobs += self.world.queue(1, self.name)
        self._let_all_jobs_run(60.0)
        self._check_results()

    def _check_state(self) -> None:
        """What ran proves that all is well, and nothing is said to have failed where nothing did."""
        self._pass(STEP_SECONDS)
        status = self.world.status()
        assert (status.state, status.reason) == (SetState.OK, "")
        counters = status.counters
        assert max(counters.jobs_started, counters.jobs_completed) <= len(self.jobs)
        if not self.failed:
            assert (counters.runners_failed, counters.runners_lost) == (0, 0), status

    def _check_registrations(self, runners: set[str]) -> None:
        """One whose runner ended unseen, or of which a crashed actor knew, is GitHub's to remove."""
        registered = {one.name for one in self.world.github.runners.values()}
        assert runners <= registered
        assert self.crashed or registered == runners

    def _stop(self) -> None:
        world = self.world
        world.shut_down()
        for _ in range(int(STOP_SECONDS / STEP_SECONDS)):
            world.play()
            world.clock.advance(STEP_SECONDS)
        assert world.ended == [""]
        assert not world.resources()
        self._check_registrations(set())
        assert world.github.scale_set(self.name) is None
        assert all(actor.actor_stopped.is_set() for actor in world.harness.actors)
