from __future__ import annotations

import threading

import pytest

from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import (
    Interrupted,
    JobStillRunning,
    NotFound,
    QueueTokenExpired,
    Refused,
    RunnerExists,
    ScaleSetGone,
    ServerError,
    SessionConflict,
    SessionGone,
)
from runscaler.github.base import ScaleSetId, ScaleSetService, Session, Trouble
from runscaler.github.messages import JobAssigned, JobAvailable, JobCompleted, JobStarted, Statistics
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName
from runscaler.simulator.options import Flavour, Options
from runscaler.simulator.records import Job, JobState
from runscaler.simulator.timers import GITHUB
from runscaler.testing.clock import FakeClock
from runscaler.testing.memory_github import MemoryGitHub

LIMIT = 20.0
IDLE = Interrupt()


def scale_set_settings(name: str) -> ScaleSetSettings:
    return ScaleSetSettings(url="https://github.com/my-org", name=name, token=Secret("ghp_s3cr3t"))


@pytest.fixture
def github() -> MemoryGitHub:
    return MemoryGitHub(FakeClock(), blocking=False)


@pytest.fixture
def service(github: MemoryGitHub) -> ScaleSetService:
    return github.connect(scale_set_settings(name="my-runners"))


@pytest.fixture
def session(service: ScaleSetService) -> Session:
    made = service.create_scale_set("my-runners", 1, ["my-runners"], IDLE)
    return service.open_session(ScaleSetId(made.id), "host-a", IDLE)


def start_runner(service: ScaleSetService, session: Session, name: str = "runner-00000001") -> int:
    return service.jit_config(session.scale_set_id, RunnerName(name), IDLE).runner_id


def test_a_job_passes_through_assigned_started_and_completed(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    (job,) = github.queue("my-runners")

    assigned = service.poll(session, 0, 10, IDLE)
    runner_id = start_runner(service, session)
    given = github.runner_online(runner_id)
    github.start_job(runner_id)
    started = service.poll(session, assigned.id, 10, IDLE)
    github.finish_job(runner_id)
    completed = service.poll(session, started.id, 10, IDLE)

    assert given is job
    assert [type(batch.events[0]) for batch in (assigned, started, completed)] == [
        JobAssigned,
        JobStarted,
        JobCompleted,
    ]
    assert assigned.statistics == Statistics(assigned=1)
    assert started.statistics == Statistics(assigned=1, running=1, registered=1, busy=1)
    assert completed.statistics == Statistics()
    assert completed.events[0].result == "succeeded"
    assert service.runner(runner_id, IDLE) is None


def test_capacity_bounds_what_is_assigned(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue("my-runners", 5)

    first = service.poll(session, 0, 2, IDLE)
    second = service.poll(session, first.id, 3, IDLE)

    assert first.statistics.assigned == 2
    assert second.statistics.assigned == 3


def test_a_batch_holds_fifty_job_messages_and_current_statistics(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue("my-runners", 120)

    sizes, last = [], 0
    for _ in range(3):
        batch = service.poll(session, last, 1000, IDLE)
        sizes.append(len(batch.events))
        last = batch.id
        assert batch.statistics.assigned == 120

    assert sizes == [50, 50, 20]


def test_an_unacknowledged_batch_is_delivered_again_in_the_next_session(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue("my-runners")
    first = service.poll(session, 0, 10, IDLE)

    service.close_session(session.scale_set_id, session.id, IDLE)
    again = service.open_session(session.scale_set_id, "host-a", IDLE)
    second = service.poll(again, 0, 10, IDLE)
    service.acknowledge(again, second.id, IDLE)

    assert second.id == first.id
    assert second.events == first.events
    assert service.poll(again, 0, 10, IDLE) is None


def test_an_idle_runner_is_told_of_a_job_that_comes_later(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    jobs: list[Job] = []
    runner_id = start_runner(service, session)

    assert github.runner_online(runner_id, jobs.append) is None
    service.poll(session, 0, 10, IDLE)
    (job,) = github.queue("my-runners")

    assert jobs == [job]
    assert job.runner is github.runners[runner_id]
    with pytest.raises(JobStillRunning):
        service.remove_runner(runner_id, IDLE)


def test_jobs_wait_for_a_scale_set_that_does_not_exist_yet(github: MemoryGitHub) -> None:
    service = github.connect(scale_set_settings(name="later"))
    github.queue("later", 3)

    made = service.create_scale_set("later", 1, [], IDLE)
    session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)

    assert service.poll(session, 0, 10, IDLE).statistics.assigned == 3


def test_a_job_whose_runner_vanished_before_starting_it_is_offered_again(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    (job,) = github.queue("my-runners")
    service.poll(session, 0, 10, IDLE)
    first, second = start_runner(service, session), start_runner(service, session, "runner-00000002")
    github.runner_online(first)

    github.runner_gone(first)

    assert github.runner_online(second) is job
    assert service.runner(first, IDLE).status == "offline"


def test_a_vanished_runner_stays_busy_until_its_lease_is_over(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    (job,) = github.queue("my-runners")
    service.poll(session, 0, 10, IDLE)
    runner_id = start_runner(service, session)
    github.runner_online(runner_id)
    github.start_job(runner_id)

    github.runner_gone(runner_id)
    with pytest.raises(JobStillRunning):
        service.remove_runner(runner_id, IDLE)
    github.lease_over(runner_id)

    assert job.result == "failed"
    service.remove_runner(runner_id, IDLE)


def test_a_withdrawn_assignment_is_completed_as_canceled_and_queued_again(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    (job,) = github.queue("my-runners")
    first = service.poll(session, 0, 10, IDLE)

    github.withdraw(job)
    second = service.poll(session, first.id, 10, IDLE)

    assert [type(event) for event in second.events] == [JobCompleted, JobAssigned]
    assert (second.events[0].result, second.events[0].runner_id) == ("canceled", 0)
    assert job.state is JobState.ASSIGNED


def test_another_listener_makes_a_conflict_and_ends_our_session(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    github.hold_session("my-runners")

    with pytest.raises(SessionConflict):
        service.open_session(session.scale_set_id, "host-a", IDLE)
    with pytest.raises(SessionGone):
        service.poll(session, 0, 10, IDLE)
    github.end_session("my-runners")
    service.open_session(session.scale_set_id, "host-a", IDLE)


def test_an_expired_queue_token_is_refused_until_the_session_is_refreshed(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    github.expire_queue_token("my-runners")

    with pytest.raises(QueueTokenExpired):
        service.poll(session, 0, 10, IDLE)
    fresh = service.refresh_session(session, IDLE)

    assert service.poll(fresh, 0, 10, IDLE) is None
    with pytest.raises(QueueTokenExpired):
        service.acknowledge(session, 1, IDLE)


def test_a_deleted_scale_set_is_gone_and_its_jobs_wait_for_the_next(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue("my-runners", 2)
    service.poll(session, 0, 10, IDLE)
    idle = start_runner(service, session)

    github.delete_scale_set("my-runners")

    with pytest.raises(ScaleSetGone):
        service.jit_config(session.scale_set_id, RunnerName("runner-00000009"), IDLE)
    assert service.runner(idle, IDLE) is None
    made = service.create_scale_set("my-runners", 1, [], IDLE)
    again = service.open_session(ScaleSetId(made.id), "host-a", IDLE)
    assert service.poll(again, 0, 10, IDLE).statistics.assigned == 2


def test_names_and_groups_are_compared_without_regard_to_case() -> None:
    github = MemoryGitHub(FakeClock(), Options(groups=("mobile",)), blocking=False)
    service = github.connect(scale_set_settings(name="my-runners"))
    made = service.create_scale_set("my-runners", 1, ["my-runners"], IDLE)
    session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)

    assert service.group_id("Mobile", IDLE) == 2
    assert service.find_scale_set("MY-RUNNERS", 1, IDLE).id == session.scale_set_id
    assert service.find_scale_set("my-runners", 2, IDLE) is None
    with pytest.raises(NotFound, match="default, mobile"):
        service.group_id("web", IDLE)
    with pytest.raises(Refused):
        service.create_scale_set("My-Runners", 1, [], IDLE)
    start_runner(service, session)
    with pytest.raises(RunnerExists):
        start_runner(service, session)


def test_a_call_can_fail_before_or_after_it_took_effect(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    github.fail_next("jit_config", ServerError("500"))
    github.fail_next("jit_config", ServerError("reply lost"), after=True)

    for name in ("runner-00000001", "runner-00000002"):
        with pytest.raises(ServerError):
            start_runner(service, session, name)

    assert service.find_runner(RunnerName("runner-00000001"), IDLE) is None
    assert service.find_runner(RunnerName("runner-00000002"), IDLE) is not None
    assert github.calls["jit_config"] == 2


def test_offered_jobs_are_assigned_once_they_are_acquired() -> None:
    github = MemoryGitHub(FakeClock(), Options(flavour=Flavour.ACQUIRE), blocking=False)
    service = github.connect(scale_set_settings(name="my-runners"))
    made = service.create_scale_set("my-runners", 1, ["my-runners"], IDLE)
    session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)
    github.queue("my-runners", 2)

    offered = service.poll(session, 0, 10, IDLE)
    first, second = (event.request_id for event in offered.events)
    acquired = service.acquire_jobs(session, [first, 999], IDLE)
    assigned = service.poll(session, offered.id, 10, IDLE)

    assert [type(event) for event in offered.events] == [JobAvailable, JobAvailable]
    assert acquired == (first,)
    assert [type(event) for event in assigned.events] == [JobAssigned]
    assert assigned.statistics == Statistics(available=1, assigned=1)
    assert [one.request_id for one in service.acquirable_jobs(session.scale_set_id, IDLE)] == [second]


def test_leases_and_sessions_expire_if_the_options_have_such_timers() -> None:
    clock = FakeClock()
    github = MemoryGitHub(clock, Options(timers=GITHUB), blocking=False)
    service = github.connect(scale_set_settings(name="my-runners"))
    made = service.create_scale_set("my-runners", 1, ["my-runners"], IDLE)
    session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)
    (job,) = github.queue("my-runners")
    service.poll(session, 0, 10, IDLE)
    runner_id = start_runner(service, session)
    github.runner_online(runner_id)
    github.start_job(runner_id)

    clock.advance(GITHUB.lease)

    with pytest.raises(SessionGone):
        service.poll(session, 0, 10, IDLE)
    assert (job.state, job.result) == (JobState.COMPLETED, "failed")
    assert service.runner(runner_id, IDLE) is None


def test_all_calls_except_polls_take_the_latency() -> None:
    clock = FakeClock()
    github = MemoryGitHub(clock, blocking=False, latency=0.2)
    service = github.connect(scale_set_settings(name="my-runners"))

    made = service.create_scale_set("my-runners", 1, [], IDLE)
    session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)
    service.poll(session, 0, 10, IDLE)

    assert clock.pauses == [0.2, 0.2]


def test_statistics_can_be_replaced(github: MemoryGitHub, service: ScaleSetService, session: Session) -> None:
    github.queue("my-runners", 3)
    github.believe("my-runners", Statistics())

    batch = service.poll(session, 0, 10, IDLE)

    assert len(batch.events) == 3
    assert batch.statistics == Statistics()


def test_messages_made_by_the_test_are_delivered_and_repeated_unchanged(
    github: MemoryGitHub, service: ScaleSetService, session: Session
) -> None:
    late = JobStarted("job-x", runner_id=7, runner_name="runner-ffffffff")

    github.say("my-runners", late, problems=("element 2 is no object",))
    first = service.poll(session, 0, 10, IDLE)
    github.say_again("my-runners")
    second = service.poll(session, first.id, 10, IDLE)

    assert first.events == second.events == (late,)
    assert first.problems == second.problems == ("element 2 is no object",)
    assert second.id > first.id


def test_trouble_is_reported_to_the_client_that_connected(github: MemoryGitHub) -> None:
    heard: list[Trouble | None] = []
    github.connect(scale_set_settings(name="my-runners"), heard.append)
    trouble = Trouble("GitHub asks for patience", 1060.0, rate_limited=True)

    github.report("my-runners", trouble)

    assert heard == [trouble]


class Polling:
    """A scale set with a session that is polled in threads."""

    def __init__(self) -> None:
        self.github = MemoryGitHub(SystemClock())
        self.service = self.github.connect(scale_set_settings(name="my-runners"))
        made = self.service.create_scale_set("my-runners", 1, ["my-runners"], IDLE)
        self.session = self.service.open_session(ScaleSetId(made.id), "host-a", IDLE)

    def poll(self, interrupt: Interrupt) -> tuple[threading.Thread, list[object]]:
        """A thread whose poll has begun, and the list that will hold its outcome."""
        outcome: list[object] = []
        polls = self._polls()

        def call() -> None:
            try:
                outcome.append(self.service.poll(self.session, 0, 10, interrupt))
            except Interrupted as error:
                outcome.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        assert self.github.lock.watch(lambda: self._polls() > polls, LIMIT)
        return thread, outcome

    def _polls(self) -> int:
        (session,) = self.github.lock.machine.store.sessions.values()
        return session.poll


def test_a_blocking_poll_ends_when_a_job_comes() -> None:
    polling = Polling()
    thread, outcome = polling.poll(IDLE)

    polling.github.queue("my-runners")
    thread.join(LIMIT)

    assert outcome[0].statistics.assigned == 1


def test_a_blocking_poll_ends_when_it_is_interrupted() -> None:
    interrupt = Interrupt()
    thread, outcome = Polling().poll(interrupt)

    interrupt.set()
    thread.join(LIMIT)

    assert isinstance(outcome[0], Interrupted)


def test_a_blocking_poll_ends_without_a_batch_when_a_later_one_begins() -> None:
    polling = Polling()
    first, nothing = polling.poll(IDLE)
    second, batch = polling.poll(IDLE)
    first.join(LIMIT)
    polling.github.queue("my-runners")
    second.join(LIMIT)

    assert nothing == [None]
    assert batch[0].statistics.assigned == 1
