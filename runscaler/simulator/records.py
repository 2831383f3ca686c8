"""The records of the simulated GitHub: scale sets, sessions, messages, jobs, runners.

They hold data only; the modules that `machine.py` lists change them. Times are seconds since the epoch,
unless they are said to be on the monotonic clock. Records are compared by identity.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from runscaler.github.messages import JobEvent, Statistics

FIRST_MESSAGE = 100_000_001


class JobState(StrEnum):
    QUEUED = "queued"
    AVAILABLE = "available"
    ACQUIRED = "acquired"
    ASSIGNED = "assigned"
    RUNNING = "running"
    COMPLETED = "completed"


class RunnerState(StrEnum):
    REGISTERED = "registered"
    IDLE = "idle"
    BUSY = "busy"
    OFFLINE = "offline"
    GONE = "gone"


class SessionState(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Step:
    """One shell step of a job (docs/protocol.md § 9.5)."""

    name: str
    run: str
    shell: str = "sh"
    continue_on_error: bool = False
    always: bool = False
    timeout_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a workflow asks for: `count` equal jobs with these labels in this scope."""

    scope: str
    labels: tuple[str, ...]
    steps: tuple[Step, ...] = (Step("hello", "echo hello"),)
    count: int = 1
    display_name: str = "build"
    repository: str = ""
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    timeout_seconds: float = 21600.0
    event_name: str = "push"


@dataclass(slots=True)
class StepRecord:
    """The state of a step as its agent reported it. `lines` is the log."""

    state: str = "pending"
    exit_code: int | None = None
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Job:
    id: str
    """Names the job in the control API, whatever its assignments."""
    number: int
    """Jobs are numbered as they arrive; flavour B sends this as the runnerRequestId."""
    spec: JobSpec
    labels: frozenset[str]
    """In lower case."""
    run_id: int
    queued_at: float
    job_id: str
    """The jobId of its messages and agent: `id` at first, another one after each withdrawn offer or
    assignment (docs/protocol.md § 6)."""
    state: JobState = JobState.QUEUED
    scale_set: ScaleSet | None = None
    runner: Runner | None = None
    """The runner that the job is offered to or that runs it."""
    assigned_at: float = 0.0
    runner_assigned_at: float = 0.0
    finished_at: float = 0.0
    attempts: int = 0
    version: int = 0
    """Incremented by each change after which a pending deadline must be ignored."""
    result: str = ""
    cancel: bool = False
    leased_until: float = 0.0
    """On the monotonic clock."""
    refused_by: set[int] = field(default_factory=set)
    lingers: bool = False
    """Its JobCompleted is lost, and its agent goes on living (fault F88)."""
    never_begins: bool = False
    """The runner that it is offered to never hears of it, until it is withdrawn (fault `bound`)."""
    steps: list[StepRecord] = field(default_factory=list)

    @property
    def runner_name(self) -> str:
        """Empty until there is a runner."""
        return self.runner.name if self.runner is not None else ""


@dataclass(slots=True, eq=False)
class Runner:
    id: int
    name: str
    scale_set: ScaleSet
    client_id: str
    secret: str
    work_folder: str
    created_at: float
    state: RunnerState = RunnerState.REGISTERED
    used: bool = False
    unreachable: bool = False
    """Its agent cannot connect (fault F76)."""
    ghost: bool = False
    """The registration is gone, but the agent's polls are still answered (docs/protocol.md § 8.4)."""
    version: str = ""
    agent: AgentSession | None = None
    job: Job | None = None
    """The job that it is offered or runs."""
    seen: float = 0.0
    """When its agent last made a call, on the monotonic clock."""

    @property
    def online(self) -> bool:
        return self.state in (RunnerState.IDLE, RunnerState.BUSY)

    @property
    def busy(self) -> bool:
        return self.state is RunnerState.BUSY


@dataclass(slots=True, eq=False)
class AgentSession:
    id: str
    token: str
    runner: Runner
    polls: int = 0


@dataclass(slots=True, eq=False)
class Session:
    id: str
    scale_set: ScaleSet
    owner: str
    state: SessionState = SessionState.LIVE
    token: str = ""
    cursor: int = 0
    """The largest lastMessageId that the client has sent."""
    poll: int = 0
    """The number of the latest poll; an earlier one that is still open ends."""
    open_polls: int = 0
    mute: bool = False
    """Polls are no longer answered, although the session lives."""
    seen: float = 0.0
    ended_at: float = 0.0
    by_client: bool = False
    """The client itself ended it, so any further use violates V9."""
    refused_at: float | None = None
    """When a call was first refused because it is over, on the monotonic clock."""

    @property
    def live(self) -> bool:
        return self.state is SessionState.LIVE


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """A job message of a kind that no client knows (fault F47)."""

    kind: str


Event: TypeAlias = JobEvent | UnknownEvent


@dataclass(slots=True, eq=False)
class Message:
    id: int
    events: tuple[Event, ...]
    deliveries: int = 0
    again: bool = False
    """It is delivered once more, whatever lastMessageId says."""
    statistics: Statistics | None = None
    """Those it tells, if they are not the scale set's own (a replay)."""


@dataclass(slots=True, eq=False)
class ScaleSet:
    id: int
    scope: str
    name: str
    group_id: int
    labels: tuple[tuple[str, str], ...]
    """(name, type) as the client sent them when it created the set; without any, the set's name."""
    disable_update: bool
    created_at: float
    live: bool = True
    by_client: bool = False
    refused_at: float | None = None
    session: Session | None = None
    """The live session, if there is one."""
    capacity: int = 0
    """What the latest poll of the live session announced."""
    announced: bool = False
    last_session_at: float = 0.0
    jobs: Counter[JobState] = field(default_factory=Counter)
    runners: Counter[RunnerState] = field(default_factory=Counter)
    offers: dict[int, Job] = field(default_factory=dict)
    acquired: dict[str, Job] = field(default_factory=dict)
    waiting: dict[str, Job] = field(default_factory=dict)
    """Assigned jobs that have not been offered to a runner yet, oldest first."""
    ignored: bool = False
    """Its jobs are offered to no runner (fault F83; a replay hands them over itself)."""
    ready: dict[int, Runner] = field(default_factory=dict)
    """Idle runners whose agent is polling now."""
    events: deque[Event] = field(default_factory=deque)
    undeleted: dict[int, Message] = field(default_factory=dict)
    last_deleted: Message | None = None
    last_message: int = FIRST_MESSAGE - 1
    formed: set[int] = field(default_factory=set)
    """The ids of all messages that were ever formed."""
    replayed: Statistics | None = None
    """What a replay told last; it takes the place of what is counted."""

    @property
    def assigned(self) -> int:
        return self.jobs[JobState.ASSIGNED] + self.jobs[JobState.RUNNING]

    @property
    def statistics(self) -> Statistics:
        """Counted from the states (docs/protocol.md § 9.3)."""
        if self.replayed is not None:
            return self.replayed
        jobs, runners = self.jobs, self.runners
        return Statistics(
            available=jobs[JobState.AVAILABLE],
            acquired=jobs[JobState.ACQUIRED],
            assigned=self.assigned,
            running=jobs[JobState.RUNNING],
            registered=runners.total() - runners[RunnerState.GONE],
            busy=runners[RunnerState.BUSY],
            idle=runners[RunnerState.IDLE],
        )

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.labels)

    @property
    def deaf(self) -> bool:
        """It announces capacity 0: it gets no statistics and is offered nothing (docs/protocol.md § 5.1)."""
        return self.session is not None and self.announced and self.capacity == 0

    @property
    def room(self) -> int:
        return self.capacity - self.assigned

    def serves(self, labels: frozenset[str]) -> bool:
        """Whether each of these labels (in lower case) is one of the set's (docs/protocol.md § 9.3)."""
        return labels <= {label.lower() for label, _ in self.labels}

    def matches(self, job: Job) -> bool:
        return self.scope == job.spec.scope and self.id not in job.refused_by and self.serves(job.labels)
