"""The things that GitHub keeps, as plain records; who may change them is written in the rules beside.

Times are seconds since the epoch. A record is never copied: two equal ones are two things.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum

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
class JobOrder:
    """What a workflow asks for: `count` like jobs with these labels in this scope."""

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
    """How a step went, as its agent told. `lines` is the log, in order."""

    state: str = "pending"
    exit_code: int | None = None
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Job:
    id: str
    number: int
    """The order of arrival, and the runnerRequestId of flavour B."""
    order: JobOrder
    run_id: int
    queued_at: float
    state: JobState = JobState.QUEUED
    scale_set: ScaleSet | None = None
    runner: Runner | None = None
    """Whom the job is offered to, and then who runs it."""
    assigned_at: float = 0.0
    runner_assigned_at: float = 0.0
    finished_at: float = 0.0
    attempts: int = 0
    turn: int = 0
    """Goes up with each change that makes a running timer meaningless."""
    result: str = ""
    cancel: bool = False
    leased_until: float = 0.0
    """On the monotonic clock."""
    refused_by: set[int] = field(default_factory=set)
    steps: list[StepRecord] = field(default_factory=list)

    @property
    def labels(self) -> frozenset[str]:
        return frozenset(label.lower() for label in self.order.labels)


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
    ghost: bool = False
    """The registration is gone, but the agent's polls are answered as if it were not (8.4)."""
    version: str = ""
    agent: AgentSession | None = None
    job: Job | None = None
    """The job offered to it, or run by it."""
    seen: float = 0.0
    """When its agent was last heard, on the monotonic clock."""


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
    """The largest lastMessageId that was sent."""
    poll: int = 0
    """The number of the newest poll; an older one that is still open ends."""
    open_polls: int = 0
    mute: bool = False
    """Its polls are not answered any more, while it lasts."""
    seen: float = 0.0
    ended_at: float = 0.0
    by_client: bool = False
    """Its client ended it, so that any further use is that client's mistake."""
    told_at: float | None = None
    """When a client was first told that it is over, on the monotonic clock."""

    @property
    def live(self) -> bool:
        return self.state is SessionState.LIVE


@dataclass(slots=True, eq=False)
class Message:
    id: int
    events: tuple[dict[str, object], ...]
    deliveries: int = 0
    again: bool = False
    """It is delivered whatever lastMessageId says, once."""


@dataclass(slots=True, eq=False)
class ScaleSet:
    id: int
    scope: str
    name: str
    group: int
    labels: tuple[tuple[str, str], ...]
    """(name, type) as the client sent them."""
    disable_update: bool
    created_at: float
    deleted: bool = False
    by_client: bool = False
    told_at: float | None = None
    session: Session | None = None
    capacity: int = 0
    """What the newest poll of the live session announced."""
    announced: bool = False
    last_session_at: float = 0.0
    jobs: Counter[JobState] = field(default_factory=Counter)
    runners: Counter[RunnerState] = field(default_factory=Counter)
    offers: dict[int, Job] = field(default_factory=dict)
    acquired: dict[str, Job] = field(default_factory=dict)
    waiting: dict[str, Job] = field(default_factory=dict)
    """Assigned jobs that are not offered to a runner yet, oldest first."""
    ignored: bool = False
    """Its jobs are offered to no runner (fault F83)."""
    ready: dict[int, Runner] = field(default_factory=dict)
    """Idle runners whose agent is polling at this moment."""
    events: deque[dict[str, object]] = field(default_factory=deque)
    messages: dict[int, Message] = field(default_factory=dict)
    last_deleted: Message | None = None
    last_message: int = FIRST_MESSAGE - 1
    formed: set[int] = field(default_factory=set)
    """The ids of all messages there ever were."""

    @property
    def live_session(self) -> Session | None:
        return self.session if self.session is not None and self.session.live else None

    @property
    def assigned(self) -> int:
        return self.jobs[JobState.ASSIGNED] + self.jobs[JobState.RUNNING]

    @property
    def room(self) -> int:
        return self.capacity - self.assigned

    def matches(self, job: Job) -> bool:
        """Every label of the job is the set's name or one of its labels, ignoring case (9.3)."""
        own = {self.name.lower(), *(label.lower() for label, _ in self.labels)}
        return self.scope == job.order.scope and job.labels <= own and self.id not in job.refused_by
