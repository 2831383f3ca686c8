"""Read-only copies of the machine's state for the control API, tests and the demo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from runscaler.simulator.records import JobState, RunnerState

if TYPE_CHECKING:
    from runscaler.github.messages import Statistics
    from runscaler.simulator.records import Job, Runner, ScaleSet, Session
    from runscaler.simulator.store import Store
    from runscaler.simulator.violations import Violation


@dataclass(frozen=True, slots=True)
class StepView:
    name: str
    state: str
    exit_code: int | None
    seconds: float
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobView:
    """Times are seconds since the epoch, 0 for "not yet"; `scale_set` and `runner` are names, or empty."""

    id: str
    job_id: str
    """What messages call it now; `id` stays the same."""
    state: JobState
    scale_set: str
    runner: str
    result: str
    display_name: str
    attempts: int
    queued_at: float
    assigned_at: float
    started_at: float
    finished_at: float
    steps: tuple[StepView, ...]


@dataclass(frozen=True, slots=True)
class RunnerView:
    id: int
    name: str
    scale_set: str
    state: RunnerState
    job: str
    polling: bool
    """Its agent is waiting for a job."""
    created_at: float


@dataclass(frozen=True, slots=True)
class SessionView:
    id: str
    scale_set: str
    owner: str
    state: str
    polls_open: int


@dataclass(frozen=True, slots=True)
class ScaleSetView:
    id: int
    name: str
    scope: str
    group: str
    labels: tuple[str, ...]
    deleted: bool
    capacity: int
    statistics: Statistics
    undeleted_messages: int
    waiting_events: int
    session: str


class State:
    """The state at one moment. Each part is copied on first access, so that a predicate in `wait_until`
    pays only for what it reads; `freeze` copies everything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changes = store.changes

    def freeze(self) -> State:
        _ = self.jobs, self.runners, self.sessions, self.scale_sets, self.job_counts, self.violations
        return self

    @cached_property
    def job_counts(self) -> dict[JobState, int]:
        return {state: self._store.job_counts[state] for state in JobState}

    @property
    def completed(self) -> int:
        return self.job_counts[JobState.COMPLETED]

    @cached_property
    def jobs(self) -> tuple[JobView, ...]:
        return tuple(job_view(job) for job in self._store.jobs.values())

    @cached_property
    def runners(self) -> tuple[RunnerView, ...]:
        return tuple(runner_view(runner) for runner in self._store.runners.values())

    @cached_property
    def sessions(self) -> tuple[SessionView, ...]:
        return tuple(session_view(session) for session in self._store.sessions.values())

    @cached_property
    def scale_sets(self) -> tuple[ScaleSetView, ...]:
        groups = self._store.groups
        return tuple(scale_set_view(one, groups[one.group_id]) for one in self._store.scale_sets.values())

    @cached_property
    def violations(self) -> tuple[Violation, ...]:
        return self._store.violations.all()

    def jobs_in(self, *states: JobState | str) -> tuple[JobView, ...]:
        return tuple(job for job in self.jobs if job.state in states)

    def runners_in(self, *states: RunnerState | str) -> tuple[RunnerView, ...]:
        return tuple(runner for runner in self.runners if runner.state in states)

    def scale_set(self, name: str) -> ScaleSetView | None:
        """The latest scale set of that name that is not deleted."""
        named = [one for one in self.scale_sets if one.name.lower() == name.lower() and not one.deleted]
        return named[-1] if named else None


def job_view(job: Job) -> JobView:
    return JobView(
        id=job.id,
        job_id=job.job_id,
        state=job.state,
        scale_set=job.scale_set.name if job.scale_set else "",
        runner=job.runner_name,
        result=job.result,
        display_name=job.spec.display_name,
        attempts=job.attempts,
        queued_at=job.queued_at,
        assigned_at=job.assigned_at,
        started_at=job.runner_assigned_at,
        finished_at=job.finished_at,
        steps=tuple(
            StepView(step.name, record.state, record.exit_code, record.seconds, tuple(record.lines))
            for step, record in zip(job.spec.steps, job.steps, strict=True)
        ),
    )


def runner_view(runner: Runner) -> RunnerView:
    return RunnerView(
        id=runner.id,
        name=runner.name,
        scale_set=runner.scale_set.name,
        state=runner.state,
        job=runner.job.id if runner.job else "",
        polling=runner.agent is not None and runner.agent.polls > 0,
        created_at=runner.created_at,
    )


def session_view(session: Session) -> SessionView:
    name = session.scale_set.name
    return SessionView(session.id, name, session.owner, session.state.value, session.open_polls)


def scale_set_view(scale_set: ScaleSet, group: str) -> ScaleSetView:
    return ScaleSetView(
        id=scale_set.id,
        name=scale_set.name,
        scope=scale_set.scope,
        group=group,
        labels=scale_set.label_names,
        deleted=not scale_set.live,
        capacity=scale_set.capacity,
        statistics=scale_set.statistics,
        undeleted_messages=len(scale_set.undeleted),
        waiting_events=len(scale_set.events),
        session=scale_set.session.id if scale_set.session else "",
    )
