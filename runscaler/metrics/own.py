"""Our own metrics (docs/metrics.md, *Ours*): no job, repository, branch, runner or container in a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.metrics.family import Family, Kind, Label
from runscaler.metrics.words import (
    ActorKind,
    Adoption,
    EndOutcome,
    FailureReason,
    LossReason,
    MessageFailure,
    MessageKind,
    Operation,
    OperationResult,
    Repair,
    Retirement,
    RetryReason,
    SessionResult,
    StartResult,
    StartSource,
)
from runscaler.status import DegradedReason, Unmet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

PREFIX = "runscaler_"
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
CALL = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BOOT = (0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120, 180, 300)
LIFE = (1, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600)

STATES = ("connecting", "running", "standby", "paused", "draining", "degraded", "failed")
SLOT_STATES = ("waiting", "starting", "idle", "busy", "finishing", "retiring", "removing", "adopted")
PHASES = ("wait", "jit", "create", "boot", "start", "register", "total")
SWEEPS = ("shared_volume", "buildx", "images", "tart_cache", "leftovers", "registrations")
ROUTES = ("/", "/healthz", "/readyz", "/livez", "/metrics", "/api/v1/status", "/api/v1/events", "other")


def _one_of(name: str, values: type[StrEnum] | Iterable[str]) -> Label:
    return Label(name, tuple(str(one) for one in values))


def _gauge(name: str, help_text: str, *labels: Label) -> Family:
    return Family(PREFIX + name, Kind.GAUGE, help_text, labels)


def _set_gauge(name: str, help_text: str, *labels: Label, only_above_zero: bool = False) -> Family:
    return Family(
        PREFIX + name, Kind.GAUGE, help_text, labels, of_scale_set=True, only_above_zero=only_above_zero
    )


def _counter(name: str, help_text: str, *labels: Label, from_start: bool = False) -> Family:
    return Family(PREFIX + name, Kind.COUNTER, help_text, labels, from_start=from_start)


def _set_counter(name: str, help_text: str, *labels: Label, from_start: bool = False) -> Family:
    return Family(PREFIX + name, Kind.COUNTER, help_text, labels, of_scale_set=True, from_start=from_start)


def _histogram(name: str, help_text: str, buckets: tuple[float, ...], *labels: Label) -> Family:
    return Family(PREFIX + name, Kind.HISTOGRAM, help_text, labels, buckets)


def _set_histogram(name: str, help_text: str, buckets: tuple[float, ...], *labels: Label) -> Family:
    return Family(PREFIX + name, Kind.HISTOGRAM, help_text, labels, buckets, of_scale_set=True)


# -- the process ----------------------------------------------------------------------------------------

BUILD_INFO = _gauge("build_info", "1; what runs.", *map(Label, ("version", "commit", "python", "platform")))
THREADS = _gauge("threads", "Threads of the process.")
RELOAD_OK = _gauge(
    "config_last_reload_successful", "1 if the configuration was read at the last try, else 0."
)
RELOADED_AT = _gauge(
    "config_last_reload_success_timestamp_seconds", "When the configuration was last read with success."
)
HTTP_SECONDS = _histogram(
    "http_request_seconds", "Answers of the health port.", FAST, _one_of("route", ROUTES), Label("code")
)
FOLDED = _counter(
    "metrics_folded_total", "Observations of jobs beyond max-job-series, kept as _other.", Label("family")
)
UPDATE_AVAILABLE = _gauge("update_available", "1 when a newer release is known.")

# -- a scale set ------------------------------------------------------------------------------------------

STATE = _set_gauge("scale_set_state", "1 for the present state, 0 for the rest.", _one_of("state", STATES))
DEGRADED = _set_gauge(
    "scale_set_degraded",
    "1 while this degrades the set.",
    _one_of("reason", DegradedReason),
    only_above_zero=True,
)
SCHEDULE_ACTIVE = _set_gauge("schedule_active", "1 while a schedule window is open.", Label("window"))
SESSION_UP = _set_gauge("session_up", "1 while the message session is held.")
SESSION_OPENS = _set_counter(
    "session_opens_total", "Attempts to open the message session.", _one_of("result", SessionResult)
)
LAST_POLL = _set_gauge("session_last_poll_timestamp_seconds", "Last completed poll, empty ones too.")
LAST_MESSAGE = _set_gauge("session_last_message_timestamp_seconds", "Last message.")
STATISTICS_AT = _set_gauge("statistics_timestamp_seconds", "Last statistics of GitHub.")
MESSAGES = _set_counter(
    "messages_total", "Events in messages, each counted once.", _one_of("kind", MessageKind)
)
MESSAGE_FAILURES = _set_counter(
    "message_failures_total",
    "Messages whose handling raised.",
    _one_of("outcome", MessageFailure),
    from_start=True,
)
MESSAGE_LAG = _set_histogram(
    "message_lag_seconds",
    "From the event's own time until it was received.",
    CALL,
    Label("kind", ("assigned", "started", "completed")),
)
MESSAGE_HANDLE = _histogram("message_handle_seconds", "From a message's receipt until it was handled.", FAST)
REACTION = _histogram(
    "reaction_seconds",
    "From demand seen to the create request, without GitHub's JIT answer.",
    FAST,
    Label("backend"),
)
ANNOUNCED_CAPACITY = _set_gauge("announced_capacity", "Capacity last announced to GitHub.")
AVAILABLE_JOBS = _set_gauge("available_jobs", "Jobs offered to the set, by GitHub's statistics.")
ACQUIRED_JOBS = _set_gauge("acquired_jobs", "Jobs acquired and not assigned yet, by GitHub's statistics.")
RUNNERS = _set_gauge("runners", "Slots by state.", _one_of("state", SLOT_STATES))
SLOTS = _set_gauge("slots", "Slots there are.")
TARGET = _set_gauge("target_runners", "Runners that should count now.")
STALLED = _set_gauge("runners_stalled", "Idle runners that get nothing while jobs wait.")
UNMET = _set_gauge(
    "demand_unmet_runners",
    "Runners wanted and not being started, by the first reason that holds.",
    _one_of("reason", Unmet),
    only_above_zero=True,
)
START_SECONDS = _set_histogram(
    "runner_start_seconds", "Phases of a runner's start.", BOOT, _one_of("phase", PHASES)
)
STARTS = _set_counter(
    "runner_starts_total",
    "Start attempts that ended.",
    _one_of("source", StartSource),
    _one_of("result", StartResult),
)
FAILURES = _set_counter(
    "runner_failures_total",
    "Failures before a job began.",
    _one_of("reason", FailureReason),
    from_start=True,
)
ENDS = _set_counter("runner_ends_total", "Why slots became empty.", _one_of("outcome", EndOutcome))
LIFETIME = _set_histogram("runner_lifetime_seconds", "From up to gone.", LIFE)
IDLE_SECONDS = _set_histogram("runner_idle_seconds", "From up to the first job, or retired.", LIFE)
RETIREMENTS = _set_counter(
    "runner_retirements_total", "Requests to retire a runner at GitHub.", _one_of("result", Retirement)
)
ADOPTIONS = _set_counter("runner_adoptions_total", "Runners found at a start.", _one_of("result", Adoption))
JOBS_LOST = _set_counter(
    "jobs_lost_total",
    "Runners that ended with a job on them.",
    _one_of("reason", LossReason),
    from_start=True,
)
QUEUE_SECONDS = _set_histogram("job_queue_seconds", "From a job's queueing until a runner took it.", LIFE)
IMAGE_AGE = _set_gauge("image_age_seconds", "Since the runner image was built.")
IMAGE_CHECKED_AT = _set_gauge("image_last_check_timestamp_seconds", "Last good pull or check of the image.")
POOL_CLAIMS = _set_counter("pool_claims_total", "Did a job find a warm VM.", Label("result", ("hit", "miss")))
REPAIRS = _set_counter("reconcile_repairs_total", "What reconciliation put right.", _one_of("kind", Repair))

# -- GitHub -----------------------------------------------------------------------------------------------

GITHUB_REQUESTS = _counter(
    "github_requests_total", "Requests to GitHub, each attempt.", Label("endpoint"), Label("code")
)
GITHUB_SECONDS = _histogram(
    "github_request_seconds", "One attempt, to the end of the answer.", CALL, Label("endpoint")
)
GITHUB_RETRIES = _counter(
    "github_retries_total", "Requests that were repeated.", _one_of("reason", RetryReason)
)
_BUDGET = (Label("credential"), Label("resource"))
RATE_LIMIT = _gauge("github_rate_limit", "Requests that GitHub allows in a period.", *_BUDGET)
RATE_LIMIT_LEFT = _gauge("github_rate_limit_remaining", "Of those, left.", *_BUDGET)
RATE_LIMIT_RESET = _gauge("github_rate_limit_reset_timestamp_seconds", "When the period ends.", *_BUDGET)
RATE_LIMITED_SECONDS = _counter(
    "github_rate_limited_seconds_total", "Time that GitHub ordered to wait.", *_BUDGET
)
TOKEN_EXPIRY = _gauge(
    "github_token_expiry_timestamp_seconds",
    "When a token ends, if known.",
    Label("credential"),
    Label("kind", ("app", "admin", "session", "pat")),
)
CLOCK_SKEW = _gauge("github_clock_skew_seconds", "This host's clock minus GitHub's.")

# -- backends and the host ----------------------------------------------------------------------------------

_ENGINE = (Label("backend"), Label("engine"))
_OPERATION = (Label("backend"), _one_of("operation", Operation))
BACKEND_UP = _gauge("backend_up", "1 while the backend answers.", *_ENGINE)
STREAM_RESTARTS = _counter("backend_stream_restarts_total", "Event streams that broke.", *_ENGINE)
OPERATIONS = _counter(
    "backend_operations_total", "Calls of a backend.", *_OPERATION, _one_of("result", OperationResult)
)
OPERATION_SECONDS = _histogram("backend_operation_seconds", "Time of a backend's calls.", CALL, *_OPERATION)
POOL_VMS = _gauge(
    "pool_vms", "Warm VMs.", Label("host"), Label("state", ("booting", "ready", "claimed", "failed"))
)
VM_SLOTS = _gauge(
    "vm_slots", "Places under the limit of VMs.", Label("host"), Label("state", ("free", "ours", "foreign"))
)
_SWEEP = _one_of("kind", SWEEPS)
SWEEPS_DONE = _counter("sweeps_total", "Housekeeping sweeps.", _SWEEP, Label("result", ("ok", "error")))
SWEEP_REMOVED = _counter("sweep_removed_total", "Things that sweeps removed.", _SWEEP)
SWEEP_BYTES = _counter("sweep_reclaimed_bytes_total", "Bytes that sweeps freed.", _SWEEP)
SWEEP_AT = _gauge("sweep_last_success_timestamp_seconds", "Last good sweep.", _SWEEP)
RECONCILE_SECONDS = _histogram("reconcile_seconds", "One pass of reconciliation.", FAST)
ORPHANS = Family(
    PREFIX + "orphans",
    Kind.GAUGE,
    "Own leftovers not removed yet.",
    (Label("kind", ("container", "vm", "process", "service", "volume", "registration")),),
    only_above_zero=True,
)
_ACTOR = _one_of("actor", ActorKind)
ACTORS = _gauge("actors", "Actors alive.", _ACTOR)
ACTOR_RESTARTS = _counter("actor_restarts_total", "Restarts of crashed actors.", _ACTOR, from_start=True)
MAILBOX_DEPTH = _gauge("actor_mailbox_depth", "Deepest mailbox of the kind at the last heartbeat.", _ACTOR)
MAILBOX_WAIT = _histogram("actor_mailbox_wait_seconds", "From a heartbeat to its answer.", FAST, _ACTOR)
_GUARD = Label("guard", ("memory", "disk", "load", "max_runners"))
GUARD_ACTIVE = _gauge("host_guard_active", "1 while starts pause for the guard.", _GUARD)
GUARD_THRESHOLD = _gauge("host_guard_threshold", "The limit of the guard.", _GUARD)
HOST_MEMORY = _gauge("host_memory_available_bytes", "Memory that the guard sees.")
HOST_DISK = _gauge("host_disk_free_bytes", "Free disk space that the guard sees.", Label("path"))
HOST_LOAD = _gauge("host_load1", "Load of the last minute.")
HOST_RUNNERS = _gauge("host_runners", "Runners of all scale sets of the process.")

# -- Prometheus' own names ----------------------------------------------------------------------------------

PROCESS_CPU = Family("process_cpu_seconds_total", Kind.COUNTER, "User and system time of the process.")
PROCESS_MEMORY = Family("process_resident_memory_bytes", Kind.GAUGE, "Resident memory.")
PROCESS_VIRTUAL = Family("process_virtual_memory_bytes", Kind.GAUGE, "Virtual memory.")
PROCESS_STARTED = Family("process_start_time_seconds", Kind.GAUGE, "When the process started.")
PROCESS_FDS = Family("process_open_fds", Kind.GAUGE, "Open file descriptors.")
PROCESS_MAX_FDS = Family("process_max_fds", Kind.GAUGE, "Most open file descriptors.")

FAMILIES = tuple(one for one in tuple(globals().values()) if isinstance(one, Family))
"""All of this module, in the order in which they are served."""
