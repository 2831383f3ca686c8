"""The closed sets of label values that are counted from code (docs/metrics.md)."""

from __future__ import annotations

from enum import StrEnum


class FailureReason(StrEnum):
    """Why a runner failed before a job began."""

    JIT_REJECTED = "jit_rejected"
    JIT_TIMEOUT = "jit_timeout"
    IMAGE = "image"
    CREATE = "create"
    START = "start"
    BOOT_TIMEOUT = "boot_timeout"
    GUEST_AGENT = "guest_agent"
    INJECT = "inject"
    START_TIMEOUT = "start_timeout"
    EXITED_BEFORE_JOB = "exited_before_job"
    OOM = "oom"
    RUNNER_OUTDATED = "runner_outdated"
    NODE_LOST = "node_lost"
    REMOVED_EXTERNALLY = "removed_externally"
    STALLED = "stalled"


class EndOutcome(StrEnum):
    """Why a slot became empty."""

    JOB_DONE = "job_done"
    RETIRED = "retired"
    FAILED = "failed"
    KILLED_TIMEOUT = "killed_timeout"
    KILLED_DRAIN = "killed_drain"
    LOST = "lost"


class LossReason(StrEnum):
    """How a runner ended with a job on it."""

    KILLED = "killed"
    OOM = "oom"
    NODE_LOST = "node_lost"
    HOST_RESTART = "host_restart"
    UNKNOWN = "unknown"


class Repair(StrEnum):
    """What a reconciliation put right."""

    VANISHED = "vanished"
    ORPHAN = "orphan"
    GHOST = "ghost"
    STUCK_STARTING = "stuck_starting"
    STUCK_REMOVING = "stuck_removing"
    STALE_REGISTRATION = "stale_registration"
    BUSY_CORRECTED = "busy_corrected"
    MISSED_COMPLETION = "missed_completion"
    STATISTICS_REFRESHED = "statistics_refreshed"


class ActorKind(StrEnum):
    ROOT = "root"
    SCALE_SET = "scale_set"
    LISTENER = "listener"
    RUNNER = "runner"
    KEEPER = "keeper"
    TART_SLOTS = "tart_slots"
    HOST = "host"
    HEALTH = "health"


class SessionResult(StrEnum):
    """What became of an attempt to open a message session."""

    OPENED = "opened"
    CONFLICT = "conflict"
    ERROR = "error"


class MessageKind(StrEnum):
    AVAILABLE = "available"
    ASSIGNED = "assigned"
    STARTED = "started"
    COMPLETED = "completed"
    UNKNOWN = "unknown"


class MessageFailure(StrEnum):
    """What became of a batch whose handling raised."""

    RETRIED = "retried"
    QUARANTINED = "quarantined"


class Retirement(StrEnum):
    """GitHub's answer to a request to retire a runner."""

    REMOVED = "removed"
    REFUSED_BUSY = "refused_busy"
    ERROR = "error"


class Adoption(StrEnum):
    TAKEN = "taken"
    ENDED = "ended"
    UNREADABLE = "unreadable"


class StartSource(StrEnum):
    COLD = "cold"
    POOL = "pool"


class StartResult(StrEnum):
    OK = "ok"
    FAILED = "failed"


class Operation(StrEnum):
    """What a backend was asked to do."""

    PULL = "pull"
    CLONE = "clone"
    CREATE = "create"
    START = "start"
    EXEC = "exec"
    INJECT = "inject"
    LIST = "list"
    INSPECT = "inspect"
    LOGS = "logs"
    REMOVE = "remove"
    PRUNE = "prune"


class OperationResult(StrEnum):
    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"


class RetryReason(StrEnum):
    """Why a call to GitHub was made again."""

    SERVER_ERROR = "5xx"
    NETWORK = "network"
    RATE_LIMIT = "rate_limit"
    AUTH = "auth"
