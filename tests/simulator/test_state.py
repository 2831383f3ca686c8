from __future__ import annotations

from random import Random
from typing import Any

import pytest

from runscaler.github.messages import JobCompleted, Statistics
from runscaler.simulator.machine import Machine
from runscaler.simulator.options import Flavour, Options
from runscaler.simulator.records import (
    AgentSession,
    Job,
    JobSpec,
    JobState,
    Runner,
    RunnerState,
    ScaleSet,
    Session,
)
from runscaler.simulator.refusals import AgentRefusal, ServiceRefusal
from runscaler.simulator.scale_sets import ScaleSetSpec
from runscaler.testing.clock import FakeClock

SCOPE = "my-org"


class Rig:
    """A machine on a fake clock with one scale set and its client's session."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.machine = Machine(self.clock, Random(1), Options(**options))
        self.scale_set = self.new_set("my-runners")
        self.session = self.machine.sessions.create(self.scale_set, "host-a")

    def new_set(self, name: str) -> ScaleSet:
        return self.machine.scale_sets.create(SCOPE, ScaleSetSpec(name=name, group_id=1))

    def poll(self, capacity: int, session: Session | None = None, cursor: int = 0) -> None:
        session = session or self.session
        self.machine.sessions.poll_begins(session, cursor, capacity)
        self.machine.sessions.poll_ends(session)

    def queue(self, count: int = 1, label: str = "my-runners") -> list[Job]:
        return self.machine.jobs.queue(JobSpec(SCOPE, (label,), count=count, repository="my-org/demo"))

    def runner(self, name: str = "runner-1") -> Runner:
        return self.machine.runners.register(self.scale_set, name, "", repeated=False)

    def agent(self, name: str = "runner-1") -> AgentSession:
        runner = self.runner(name)
        agent = self.machine.agents.register(runner.id, (runner.client_id, runner.secret), "1")
        self.machine.agents.poll_begins(agent)
        return agent

    def run(self, agent: AgentSession) -> Job:
        job = self.machine.agents.next_job(agent)
        assert job is not None
        self.machine.agents.poll_ends(agent, lost=False)
        return self.machine.leases.start(agent.runner, job.id)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.machine.tick()

    def take_events(self) -> list[object]:
        """The types of all job messages that wait; the messages are deleted."""
        kinds: list[object] = []
        while (message := self.machine.message_queue.next(self.scale_set, 0)) is not None:
            kinds += [type(event).__name__ for event in message.events]
            self.machine.message_queue.delete(self.scale_set, message.id)
        return kinds


def states(jobs: list[Job]) -> list[str]:
    return [job.state.value for job in jobs]


def test_jobs_are_assigned_up_to_the_announced_capacity() -> None:
    rig = Rig()
    jobs = rig.queue(3)
    assert states(jobs) == ["queued"] * 3

    rig.poll(2)

    assert states(jobs) == ["assigned", "assigned", "queued"]
    assert rig.take_events() == ["JobAssigned", "JobAssigned"]


def test_a_lowered_capacity_takes_nothing_back() -> None:
    rig = Rig()
    rig.poll(2)
    jobs = rig.queue(2)

    rig.poll(0)

    assert states(jobs) == ["assigned", "assigned"]


def test_a_job_whose_label_no_scale_set_has_stays_queued() -> None:
    rig = Rig()
    rig.poll(5)

    assert states(rig.queue(label="other")) == ["queued"]


def test_labels_match_without_regard_to_case() -> None:
    rig = Rig()
    rig.poll(5)

    assert states(rig.queue(label="My-Runners")) == ["assigned"]


def test_the_oldest_matching_scale_set_gets_the_job() -> None:
    rig = Rig()
    second = rig.new_set("second")
    second.labels = (("my-runners", "System"),)
    rig.poll(1)
    rig.poll(1, rig.machine.sessions.create(second, "host-b"))

    first_job, second_job = rig.queue(2)

    assert first_job.scale_set is rig.scale_set
    assert second_job.scale_set is second


def test_spread_gives_the_job_to_the_scale_set_with_the_fewest() -> None:
    rig = Rig(spread=True)
    second = rig.new_set("second")
    second.labels = (("my-runners", "System"),)
    rig.poll(5)
    rig.poll(5, rig.machine.sessions.create(second, "host-b"))

    rig.queue(4)

    assert (rig.scale_set.assigned, second.assigned) == (2, 2)


def test_a_job_runs_on_a_polling_idle_runner_and_ends_its_registration() -> None:
    rig = Rig()
    rig.poll(1)
    (job,) = rig.queue()
    agent = rig.agent()

    assert rig.run(agent) is job
    assert agent.runner.state is RunnerState.BUSY
    rig.machine.leases.complete(agent.runner, job.id, "succeeded")

    assert (job.state, job.result) == (JobState.COMPLETED, "succeeded")
    assert agent.runner.state is RunnerState.GONE
    assert rig.take_events() == ["JobAssigned", "JobStarted", "JobCompleted"]


def test_the_oldest_idle_runner_gets_the_job() -> None:
    rig = Rig()
    rig.poll(1)
    agents = [rig.agent(f"runner-{number}") for number in range(3)]

    (job,) = rig.queue()

    assert job.runner is agents[0].runner


def test_a_completion_may_be_repeated_with_the_same_result_only() -> None:
    rig = Rig()
    rig.poll(1)
    (job,) = rig.queue()
    agent = rig.agent()
    rig.run(agent)
    rig.machine.leases.complete(agent.runner, job.id, "failed")

    rig.machine.leases.complete(agent.runner, job.id, "failed")
    with pytest.raises(AgentRefusal, match="completed as failed"):
        rig.machine.leases.complete(agent.runner, job.id, "succeeded")


def test_a_job_that_is_completed_without_having_been_started_counts_as_started() -> None:
    rig = Rig()
    rig.poll(1)
    (job,) = rig.queue()
    agent = rig.agent()

    rig.machine.leases.complete(agent.runner, job.id, "failed")

    assert (job.state, job.result, job.runner) == (JobState.COMPLETED, "failed", agent.runner)
    assert job.runner_assigned_at > 0
    assert agent.runner.state is RunnerState.GONE


def test_a_job_that_its_runner_does_not_start_is_offered_to_the_next_one() -> None:
    rig = Rig()
    rig.poll(1)
    first, second = rig.agent("runner-1"), rig.agent("runner-2")
    (job,) = rig.queue()
    assert job.runner is first.runner

    rig.pass_time(rig.machine.store.timers.pick_up)

    assert first.runner.state is RunnerState.OFFLINE
    assert job.runner is second.runner


def test_a_job_offered_to_an_agent_that_hung_up_is_offered_to_the_next_one_at_once() -> None:
    rig = Rig()
    rig.poll(1)
    first, second = rig.agent("runner-1"), rig.agent("runner-2")
    (job,) = rig.queue()

    rig.machine.agents.poll_ends(first, lost=True)

    assert job.runner is second.runner


def test_a_job_that_no_runner_starts_is_withdrawn_twice_and_fails_the_third_time() -> None:
    rig = Rig()
    rig.poll(1)
    (job,) = rig.queue()

    for attempt in range(1, 4):
        assert (job.state, job.attempts) == (JobState.ASSIGNED, attempt)
        for _ in range(10):
            rig.pass_time(rig.machine.store.timers.start / 10)
            rig.poll(1)

    assert (job.state, job.result, job.attempts) == (JobState.COMPLETED, "failed", 3)
    assert rig.take_events() == ["JobAssigned", "JobCompleted"] * 3


def test_a_withdrawn_job_names_no_runner_and_was_canceled() -> None:
    rig = Rig()
    rig.poll(1)
    rig.queue()
    rig.take_events()
    rig.pass_time(rig.machine.store.timers.start)

    message = rig.machine.message_queue.next(rig.scale_set, 0)

    assert message is not None
    withdrawn = message.events[0]
    assert isinstance(withdrawn, JobCompleted)
    assert (withdrawn.result, withdrawn.runner_id, withdrawn.runner_name) == ("canceled", 0, "")
    assert withdrawn.runner_assigned_at is None


def test_a_job_whose_runner_stops_renewing_fails_when_the_lease_expires() -> None:
    rig = Rig()
    rig.poll(1)
    (job,) = rig.queue()
    agent = rig.agent()
    rig.run(agent)
    lease = rig.machine.store.timers.lease

    rig.pass_time(lease * 0.9)
    rig.machine.leases.renew(agent.runner, job.id)
    rig.pass_time(lease * 0.9)
    assert job.state is JobState.RUNNING
    rig.pass_time(lease * 0.2)

    assert (job.state, job.result) == (JobState.COMPLETED, "failed")
    assert agent.runner.state is RunnerState.GONE


def test_removing_a_runner_is_refused_while_it_is_offered_or_runs_a_job() -> None:
    rig = Rig()
    rig.poll(1)
    agent = rig.agent()
    rig.queue()

    with pytest.raises(ServiceRefusal, match="cannot be removed") as offered:
        rig.machine.runners.remove(SCOPE, agent.runner.id)
    rig.run(agent)
    with pytest.raises(ServiceRefusal):
        rig.machine.runners.remove(SCOPE, agent.runner.id)

    assert (offered.value.status, offered.value.kind) == (400, "TaskAgentJobStillRunningException")


def test_removing_an_idle_runner_tells_its_agent_and_removing_it_again_is_fine() -> None:
    rig = Rig()
    agent = rig.agent()

    rig.machine.runners.remove(SCOPE, agent.runner.id)
    rig.machine.runners.remove(SCOPE, agent.runner.id)

    with pytest.raises(AgentRefusal) as gone:
        rig.machine.agents.next_job(agent)
    assert gone.value.kind == "RunnerNotFound"


def test_a_silent_runner_is_offline_until_it_polls_and_removed_after_a_day() -> None:
    rig = Rig()
    agent = rig.agent()
    rig.machine.agents.poll_ends(agent, lost=False)
    timers = rig.machine.store.timers

    rig.pass_time(timers.agent_silence)
    assert agent.runner.state is RunnerState.OFFLINE
    rig.machine.agents.poll_begins(agent)
    assert agent.runner.state is RunnerState.IDLE
    rig.machine.agents.poll_ends(agent, lost=False)
    rig.pass_time(timers.agent_silence)
    rig.pass_time(timers.registration)

    assert agent.runner.state is RunnerState.GONE


def test_an_unused_registration_is_removed_after_a_day() -> None:
    rig = Rig()
    runner = rig.runner()

    rig.pass_time(rig.machine.store.timers.registration)

    assert runner.state is RunnerState.GONE


def test_a_ghost_goes_on_polling_and_gets_no_job() -> None:
    rig = Rig()
    rig.poll(1)
    agent = rig.agent()
    rig.machine.agents.vanish(agent.runner)

    (job,) = rig.queue()

    assert rig.machine.agents.next_job(agent) is None
    assert job.runner is None


def test_a_session_without_poll_or_refresh_expires_and_events_outlive_it() -> None:
    rig = Rig()
    rig.poll(1)
    rig.queue()

    rig.pass_time(rig.machine.store.timers.session)
    with pytest.raises(ServiceRefusal) as gone:
        rig.machine.sessions.refresh(rig.scale_set, rig.session.id)
    rig.machine.sessions.create(rig.scale_set, "host-a")

    assert (gone.value.status, gone.value.kind) == (404, "RunnerAdminException")
    assert rig.take_events() == ["JobAssigned"]


def test_a_second_session_is_refused_while_the_first_lives() -> None:
    rig = Rig()

    with pytest.raises(ServiceRefusal) as conflict:
        rig.machine.sessions.create(rig.scale_set, "host-b")

    assert (conflict.value.status, conflict.value.kind) == (409, "RunnerScaleSetSessionConflictException")


def test_an_undeleted_message_is_delivered_again_unless_last_message_id_excludes_it() -> None:
    rig = Rig()
    rig.poll(1)
    rig.queue()

    first = rig.machine.message_queue.next(rig.scale_set, 0)
    again = rig.machine.message_queue.next(rig.scale_set, 0)

    assert first is not None
    assert first is again
    assert first.id == 100_000_001
    assert rig.machine.message_queue.next(rig.scale_set, first.id) is None


def test_a_message_holds_at_most_fifty_events() -> None:
    rig = Rig()
    rig.poll(120)
    rig.queue(120)

    sizes = []
    while (message := rig.machine.message_queue.next(rig.scale_set, 0)) is not None:
        sizes.append(len(message.events))
        rig.machine.message_queue.delete(rig.scale_set, message.id)

    assert sizes == [50, 50, 20]


def test_deleting_a_scale_set_requeues_its_waiting_jobs_and_removes_its_idle_runners() -> None:
    rig = Rig()
    rig.poll(2)
    agent, idle = rig.agent("runner-1"), rig.agent("runner-2")
    running, waiting, queued = rig.queue(3)
    rig.run(agent)

    rig.machine.scale_sets.end(rig.scale_set)

    assert states([running, waiting, queued]) == ["running", "queued", "queued"]
    assert (agent.runner.state, idle.runner.state) == (RunnerState.BUSY, RunnerState.GONE)
    assert not rig.session.live


def test_deleting_a_scale_set_with_a_busy_runner_is_refused() -> None:
    rig = Rig()
    rig.poll(1)
    rig.queue()
    rig.run(rig.agent())

    with pytest.raises(ServiceRefusal, match="runners with jobs"):
        rig.machine.scale_sets.delete(rig.scale_set)


def test_a_scale_set_without_a_session_is_deleted_after_a_week() -> None:
    rig = Rig()
    rig.machine.sessions.delete(rig.scale_set, rig.session.id)

    rig.pass_time(rig.machine.store.timers.dormant)

    assert not rig.scale_set.live


def test_cancelling_ends_a_waiting_job_at_once_and_tells_the_agent_of_a_running_one() -> None:
    rig = Rig()
    rig.poll(2)
    agent = rig.agent()
    running, waiting = rig.queue(2)
    rig.run(agent)

    rig.machine.jobs.cancel(waiting)
    rig.machine.jobs.cancel(running)

    assert (waiting.state, waiting.result) == (JobState.COMPLETED, "canceled")
    assert rig.machine.leases.renew(agent.runner, running.id).cancel


def test_a_job_that_is_queued_too_long_fails() -> None:
    rig = Rig()
    (job,) = rig.queue(label="nobody")

    rig.pass_time(rig.machine.store.timers.queue)

    assert (job.state, job.result) == (JobState.COMPLETED, "failed")


def test_with_the_capacity_trap_a_job_queued_at_capacity_0_is_never_offered() -> None:
    rig = Rig()
    rig.poll(0)
    (lost,) = rig.queue()
    rig.poll(5)
    (had,) = rig.queue()
    rig.machine.sessions.delete(rig.scale_set, rig.session.id)
    rig.poll(5, rig.machine.sessions.create(rig.scale_set, "host-a"))

    assert states([lost, had]) == ["queued", "assigned"]


def test_without_the_capacity_trap_a_job_queued_at_capacity_0_is_assigned_later() -> None:
    rig = Rig(capacity_trap=False)
    rig.poll(0)
    (job,) = rig.queue()

    rig.poll(1)

    assert job.state is JobState.ASSIGNED


def test_offered_jobs_wait_to_be_acquired_and_are_assigned_up_to_the_capacity() -> None:
    rig = Rig(flavour=Flavour.ACQUIRE)
    rig.poll(1)
    jobs = rig.queue(3)
    assert states(jobs) == ["available"] * 3

    acquired = rig.machine.dispatch.acquire(rig.scale_set, [jobs[0].number, jobs[1].number, 999])

    assert acquired == [jobs[0].number, jobs[1].number]
    assert states(jobs) == ["assigned", "acquired", "available"]
    assert rig.take_events() == ["JobAvailable"] * 3 + ["JobAssigned"]


def test_statistics_count_jobs_and_runners_by_their_states() -> None:
    rig = Rig(flavour=Flavour.ACQUIRE)
    rig.poll(2)
    jobs = rig.queue(5)
    rig.machine.dispatch.acquire(rig.scale_set, [job.number for job in jobs[:4]])
    gone, busy, silent = rig.agent("gone"), rig.agent("busy"), rig.agent("silent")
    rig.machine.leases.complete(gone.runner, rig.run(gone).id, "succeeded")
    rig.run(busy)
    rig.machine.agents.go_offline(silent.runner)
    rig.runner("unused")
    rig.queue(1)
    rig.machine.jobs.cancel(jobs[4])
    idle = rig.agent("idle")

    assert idle.runner.job is not None
    assert rig.scale_set.statistics == Statistics(
        available=1, acquired=1, assigned=2, running=1, registered=4, busy=1, idle=1
    )


def test_a_jit_configuration_registers_once_unless_reuse_is_allowed() -> None:
    strict, real = Rig(), Rig(jit_reuse=True)

    for rig in (strict, real):
        agent = rig.agent()
        rig.machine.agents.poll_ends(agent, lost=False)
        rig.machine.agents.close(agent)
    runner = strict.machine.store.runners[1024]
    with pytest.raises(AgentRefusal) as refused:
        strict.machine.agents.register(runner.id, (runner.client_id, runner.secret), "1")
    again = real.machine.store.runners[1024]
    real.machine.agents.register(again.id, (again.client_id, again.secret), "1")

    assert refused.value.kind == "AlreadyUsed"
    assert [one.rule for one in strict.machine.store.violations.all()] == [10]
    assert again.state is RunnerState.IDLE


def test_a_second_agent_beside_a_live_one_is_a_conflict() -> None:
    rig = Rig()
    runner = rig.agent().runner

    with pytest.raises(AgentRefusal) as refused:
        rig.machine.agents.register(runner.id, (runner.client_id, runner.secret), "1")

    assert refused.value.kind == "SessionConflict"


def test_a_job_that_is_assigned_again_has_another_job_id_and_the_same_run_id() -> None:
    rig = Rig()
    rig.poll(1)
    (job,) = rig.queue()
    first, run_id = job.job_id, job.run_id

    rig.machine.dispatch.withdraw(job)

    assigned, withdrawn, again = rig.scale_set.events
    assert (assigned.job_id, withdrawn.job_id, again.job_id) == (first, first, job.job_id)
    assert (job.job_id != first, job.id) == (True, first)
    assert {one.run_id for one in rig.scale_set.events} == {run_id}


def test_a_job_that_is_offered_again_after_its_set_was_deleted_has_another_job_id() -> None:
    rig = Rig(flavour=Flavour.ACQUIRE)
    rig.poll(1)
    (job,) = rig.queue()
    first = job.job_id

    rig.machine.scale_sets.end(rig.scale_set)

    assert (job.state, job.job_id != first, job.id) == (JobState.QUEUED, True, first)


def test_an_agent_knows_a_job_by_its_present_job_id_only() -> None:
    rig = Rig()
    rig.poll(1)
    (job,) = rig.queue()
    former = job.job_id
    rig.machine.dispatch.withdraw(job)
    agent = rig.agent()

    with pytest.raises(AgentRefusal, match="no longer available"):
        rig.machine.leases.start(agent.runner, former)
    assert rig.machine.leases.start(agent.runner, job.job_id) is job


def test_the_name_of_a_set_is_no_label_of_it_unless_it_has_no_others() -> None:
    rig = Rig()
    gpu = ScaleSetSpec(name="builders", group_id=1, labels=(("gpu", "System"),))
    labelled = rig.machine.scale_sets.create(SCOPE, gpu)

    assert rig.scale_set.serves(frozenset({"my-runners"}))
    assert labelled.serves(frozenset({"gpu"}))
    assert not labelled.serves(frozenset({"builders"}))


def test_a_session_ends_fifty_seconds_after_its_client_was_last_heard() -> None:
    rig = Rig()
    rig.poll(1)

    rig.pass_time(49)
    assert rig.session.live

    rig.pass_time(1)
    assert not rig.session.live
