"""Counts and indexes stay consistent, whatever happens in whatever order."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runscaler.simulator.machine import Machine
from runscaler.simulator.options import Flavour, Options
from runscaler.simulator.records import AgentSession, JobSpec, JobState, RunnerState, ScaleSet
from runscaler.simulator.refusals import Refusal
from runscaler.simulator.scale_sets import ScaleSetSpec
from runscaler.simulator.timers import FAST
from runscaler.testing.clock import FakeClock

NAMES = ("one", "two")
PICK = st.integers(0, 50)


class GitHubLife(RuleBasedStateMachine):
    """Random actions of clients, agents and users on two scale sets."""

    flavour = Flavour.ASSIGN

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.machine = Machine(self.clock, Random(7), Options(timers=FAST, flavour=self.flavour))
        self.store = self.machine.store
        self.sets = [self._new_set(name) for name in NAMES]
        self.agents: list[AgentSession] = []
        self.assigned_before = Counter[int]()

    def _new_set(self, name: str) -> ScaleSet:
        return self.machine.scale_sets.create("my-org", ScaleSetSpec(name=name, group_id=1))

    @rule(which=st.integers(0, 1), capacity=st.integers(0, 5))
    def poll(self, which: int, capacity: int) -> None:
        scale_set = self.sets[which]
        session = scale_set.session or self.machine.sessions.create(scale_set, "host")
        self.machine.sessions.poll_begins(session, session.cursor, capacity)
        message = self.machine.sessions.next_message(session, session.cursor)
        self.machine.sessions.poll_ends(session)
        if message is not None:
            self.machine.message_queue.delete(scale_set, message.id)

    @rule(which=st.integers(0, 1), count=st.integers(1, 4))
    def queue(self, which: int, count: int) -> None:
        spec = JobSpec("my-org", (self.sets[which].name,), count=count, repository="my-org/demo")
        self.machine.jobs.queue(spec)

    @rule(which=st.integers(0, 1), numbers=st.lists(st.integers(95, 130), max_size=5))
    def acquire(self, which: int, numbers: list[int]) -> None:
        self.machine.dispatch.acquire(self.sets[which], numbers)

    @rule(which=st.integers(0, 1))
    def start_agent(self, which: int) -> None:
        name = f"runner-{len(self.store.runners)}"
        runner = self.machine.runners.register(self.sets[which], name, "", repeated=False)
        agent = self.machine.agents.register(runner.id, (runner.client_id, runner.secret), "1")
        self.machine.agents.poll_begins(agent)
        self.agents.append(agent)

    @rule(pick=PICK, lost=st.booleans())
    def hang_up(self, pick: int, lost: bool) -> None:
        polling = [agent for agent in self.agents if agent.polls]
        if polling:
            self.machine.agents.poll_ends(polling[pick % len(polling)], lost=lost)

    @rule(pick=PICK)
    def poll_again(self, pick: int) -> None:
        idle = [agent for agent in self.agents if not agent.polls]
        if idle:
            self.machine.agents.poll_begins(idle[pick % len(idle)])

    @rule(pick=PICK)
    def start_job(self, pick: int) -> None:
        offered = [agent.runner for agent in self.agents if agent.runner.job is not None]
        if offered:
            runner = offered[pick % len(offered)]
            assert runner.job is not None
            self._try(lambda: self.machine.leases.start(runner, runner.job.id if runner.job else ""))

    @rule(pick=PICK)
    def complete(self, pick: int) -> None:
        running = [job for job in self.store.jobs.values() if job.state is JobState.RUNNING]
        if running:
            job = running[pick % len(running)]
            assert job.runner is not None
            self.machine.leases.complete(job.runner, job.id, "succeeded")

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        jobs = list(self.store.jobs.values())
        if jobs:
            self.machine.jobs.cancel(jobs[pick % len(jobs)])

    @rule(pick=PICK)
    def remove_runner(self, pick: int) -> None:
        self._try(lambda: self.machine.runners.remove("my-org", 1024 + pick))

    @rule(which=st.integers(0, 1))
    def replace_set(self, which: int) -> None:
        self.machine.scale_sets.end(self.sets[which])
        self.sets[which] = self._new_set(NAMES[which])

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0, 11.0, 61.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.machine.tick()

    @invariant()
    def counts_are_those_of_the_states(self) -> None:
        for one in self.store.scale_sets.values():
            jobs = [job.state for job in self.store.jobs.values() if job.scale_set is one]
            runners = [runner.state for runner in self.store.runners.values() if runner.scale_set is one]
            assert one.jobs == Counter(jobs)
            assert one.runners == Counter(runners)

    @invariant()
    def statistics_are_consistent(self) -> None:
        for one in self.store.scale_sets.values():
            counts = one.statistics
            assert min(astuple(counts)) >= 0
            assert counts.running <= counts.assigned
            assert counts.idle + counts.busy <= counts.registered
            assert counts.busy == counts.running

    @invariant()
    def nothing_new_is_assigned_beyond_the_capacity(self) -> None:
        for one in self.store.scale_sets.values():
            assert one.assigned <= max(one.capacity, self.assigned_before[one.id])
            self.assigned_before[one.id] = one.assigned

    @invariant()
    def job_and_runner_know_each_other(self) -> None:
        for job in self.store.jobs.values():
            if job.state in (JobState.ASSIGNED, JobState.RUNNING) and job.runner is not None:
                assert job.runner.job is job
            if job.state is JobState.QUEUED:
                assert job.runner is None
                assert job.scale_set is None

    @invariant()
    def a_waiting_job_and_a_ready_runner_of_one_set_always_meet(self) -> None:
        for one in self.store.scale_sets.values():
            assert not (one.waiting and one.ready)
            assert all(runner.state is RunnerState.IDLE for runner in one.ready.values())

    @invariant()
    def nothing_is_queued_that_a_set_has_room_for(self) -> None:
        for one in self.sets:
            if one.session is not None and one.room > 0:
                assert not any(
                    one.matches(job) for job in self.store.jobs.values() if job.state is JobState.QUEUED
                )

    @staticmethod
    def _try(call: object) -> None:
        try:
            assert callable(call)
            call()
        except Refusal:
            return


class OfferingGitHubLife(GitHubLife):
    flavour = Flavour.ACQUIRE


TestAssigning = GitHubLife.TestCase
TestOffering = OfferingGitHubLife.TestCase
TestAssigning.settings = TestOffering.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
