"""The metrics that Actions Runner Controller has too, to the letter (docs/metrics.md, *As ARC has them*).

Their names, types, labels and buckets are what dashboards and alerts written for it look for.
"""

from __future__ import annotations

from runscaler.metrics.family import Family, Kind, Label


def _gauge(name: str, help_text: str) -> Family:
    return Family(name, Kind.GAUGE, help_text, of_scale_set=True)


ASSIGNED_JOBS = _gauge("gha_assigned_jobs", "Jobs GitHub has given to the set, waiting and running.")
RUNNING_JOBS = _gauge("gha_running_jobs", "Jobs that run or are about to.")
REGISTERED_RUNNERS = _gauge("gha_registered_runners", "Runners of the set that GitHub knows.")
BUSY_RUNNERS = _gauge("gha_busy_runners", "Registered runners with a job.")
IDLE_RUNNERS = _gauge("gha_idle_runners", "Registered runners without a job.")
MIN_RUNNERS = _gauge("gha_min_runners", "Lower limit in force.")
MAX_RUNNERS = _gauge("gha_max_runners", "Upper limit in force.")
DESIRED_RUNNERS = _gauge("gha_desired_runners", "Runners the set wants: min(max, min + assigned).")

PENDING_RUNNERS = _gauge("gha_controller_pending_ephemeral_runners", "Runners not up yet.")
RUNNING_RUNNERS = _gauge("gha_controller_running_ephemeral_runners", "Runners up, idle ones too.")
FAILED_RUNNERS = _gauge(
    "gha_controller_failed_ephemeral_runners", "Failed runners: starts that wait in backoff after a failure."
)
RUNNING_LISTENERS = _gauge("gha_controller_running_listeners", "1 while the set holds its message session.")

CONTROLLER = (PENDING_RUNNERS, RUNNING_RUNNERS, FAILED_RUNNERS, RUNNING_LISTENERS)
GAUGES = (
    ASSIGNED_JOBS,
    RUNNING_JOBS,
    REGISTERED_RUNNERS,
    BUSY_RUNNERS,
    IDLE_RUNNERS,
    MIN_RUNNERS,
    MAX_RUNNERS,
    DESIRED_RUNNERS,
)

_RESULT = "job_result"
_ENDED_ONLY = frozenset({_RESULT})


def job_families(
    labels: tuple[str, ...], buckets: tuple[float, ...]
) -> tuple[Family, Family, Family, Family]:
    """Started, completed, time to start, time to run: with these of the labels of jobs."""
    ended = tuple(map(Label, labels))
    begun = tuple(Label(name) for name in labels if name not in _ENDED_ONLY)
    return (
        Family(
            "gha_started_jobs_total",
            Kind.COUNTER,
            "Jobs that began on a runner of the set.",
            begun,
            of_scale_set=True,
        ),
        Family(
            "gha_completed_jobs_total",
            Kind.COUNTER,
            "Jobs that ended after running.",
            ended,
            of_scale_set=True,
        ),
        Family(
            "gha_job_startup_duration_seconds",
            Kind.HISTOGRAM,
            "From the job's assignment to the set until a runner took it.",
            begun,
            buckets,
            of_scale_set=True,
        ),
        Family(
            "gha_job_execution_duration_seconds",
            Kind.HISTOGRAM,
            "From the runner taking the job until its end.",
            ended,
            buckets,
            of_scale_set=True,
        ),
    )


JOB_NAMES = tuple(one.name for one in job_families((), ()))
