"""The metrics there are: names, types, labels and buckets, written down a second time."""

from __future__ import annotations

import pytest

from runscaler.config.globals import DEFAULT_JOB_LABELS, JOB_BUCKETS
from runscaler.metrics import arc, own
from runscaler.metrics.catalogue import METRIC_NAMES
from runscaler.metrics.family import Family, Kind

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
CALL = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BOOT = (0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120, 180, 300)
LIFE = (1, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600)

# name (without the prefix): type, whether each scale set has its own, other labels, buckets
OWN = {
    "build_info": ("gauge", False, "version commit python platform", ()),
    "threads": ("gauge", False, "", ()),
    "config_last_reload_successful": ("gauge", False, "", ()),
    "config_last_reload_success_timestamp_seconds": ("gauge", False, "", ()),
    "scale_set_state": ("gauge", True, "state", ()),
    "scale_set_degraded": ("gauge", True, "reason", ()),
    "schedule_active": ("gauge", True, "window", ()),
    "session_up": ("gauge", True, "", ()),
    "session_opens_total": ("counter", True, "result", ()),
    "session_last_poll_timestamp_seconds": ("gauge", True, "", ()),
    "session_last_message_timestamp_seconds": ("gauge", True, "", ()),
    "statistics_timestamp_seconds": ("gauge", True, "", ()),
    "messages_total": ("counter", True, "kind", ()),
    "message_failures_total": ("counter", True, "outcome", ()),
    "message_lag_seconds": ("histogram", True, "kind", CALL),
    "message_handle_seconds": ("histogram", False, "", FAST),
    "reaction_seconds": ("histogram", False, "backend", FAST),
    "announced_capacity": ("gauge", True, "", ()),
    "available_jobs": ("gauge", True, "", ()),
    "acquired_jobs": ("gauge", True, "", ()),
    "runners": ("gauge", True, "state", ()),
    "slots": ("gauge", True, "", ()),
    "target_runners": ("gauge", True, "", ()),
    "runners_stalled": ("gauge", True, "", ()),
    "demand_unmet_runners": ("gauge", True, "reason", ()),
    "runner_start_seconds": ("histogram", True, "phase", BOOT),
    "runner_starts_total": ("counter", True, "source result", ()),
    "runner_failures_total": ("counter", True, "reason", ()),
    "runner_ends_total": ("counter", True, "outcome", ()),
    "runner_lifetime_seconds": ("histogram", True, "", LIFE),
    "runner_idle_seconds": ("histogram", True, "", LIFE),
    "runner_retirements_total": ("counter", True, "result", ()),
    "runner_adoptions_total": ("counter", True, "result", ()),
    "jobs_lost_total": ("counter", True, "reason", ()),
    "job_queue_seconds": ("histogram", True, "", LIFE),
    "github_requests_total": ("counter", False, "endpoint code", ()),
    "github_request_seconds": ("histogram", False, "endpoint", CALL),
    "github_retries_total": ("counter", False, "reason", ()),
    "github_rate_limit": ("gauge", False, "credential resource", ()),
    "github_rate_limit_remaining": ("gauge", False, "credential resource", ()),
    "github_rate_limit_reset_timestamp_seconds": ("gauge", False, "credential resource", ()),
    "github_rate_limited_seconds_total": ("counter", False, "credential resource", ()),
    "github_token_expiry_timestamp_seconds": ("gauge", False, "credential kind", ()),
    "github_clock_skew_seconds": ("gauge", False, "", ()),
    "backend_up": ("gauge", False, "backend engine", ()),
    "backend_stream_restarts_total": ("counter", False, "backend engine", ()),
    "backend_operations_total": ("counter", False, "backend operation result", ()),
    "backend_operation_seconds": ("histogram", False, "backend operation", CALL),
    "image_age_seconds": ("gauge", True, "", ()),
    "image_last_check_timestamp_seconds": ("gauge", True, "", ()),
    "pool_vms": ("gauge", False, "host state", ()),
    "pool_claims_total": ("counter", True, "result", ()),
    "vm_slots": ("gauge", False, "host state", ()),
    "sweeps_total": ("counter", False, "kind result", ()),
    "sweep_removed_total": ("counter", False, "kind", ()),
    "sweep_reclaimed_bytes_total": ("counter", False, "kind", ()),
    "sweep_last_success_timestamp_seconds": ("gauge", False, "kind", ()),
    "reconcile_seconds": ("histogram", False, "", FAST),
    "reconcile_repairs_total": ("counter", True, "kind", ()),
    "orphans": ("gauge", False, "kind", ()),
    "actors": ("gauge", False, "actor", ()),
    "actor_restarts_total": ("counter", False, "actor", ()),
    "actor_mailbox_depth": ("gauge", False, "actor", ()),
    "actor_mailbox_wait_seconds": ("histogram", False, "actor", FAST),
    "host_guard_active": ("gauge", False, "guard", ()),
    "host_guard_threshold": ("gauge", False, "guard", ()),
    "host_memory_available_bytes": ("gauge", False, "", ()),
    "host_disk_free_bytes": ("gauge", False, "path", ()),
    "host_load1": ("gauge", False, "", ()),
    "host_runners": ("gauge", False, "", ()),
    "http_request_seconds": ("histogram", False, "route code", FAST),
    "metrics_folded_total": ("counter", False, "family", ()),
    "update_available": ("gauge", False, "", ()),
}

CLOSED = {
    "scale_set_state": ["connecting running standby paused draining degraded failed"],
    "scale_set_degraded": [
        "failing_starts backend_down github auth image runner_outdated poison_message",
    ],
    "session_opens_total": ["opened conflict error"],
    "messages_total": ["available assigned started completed unknown"],
    "message_failures_total": ["retried quarantined"],
    "message_lag_seconds": ["assigned started completed"],
    "runners": ["waiting starting idle busy finishing retiring removing adopted"],
    "demand_unmet_runners": [
        "max_runners host_guard host_cap backoff rate_limit backend_down vm_limit paused",
    ],
    "runner_start_seconds": ["wait jit create boot start register total"],
    "runner_starts_total": ["cold pool", "ok failed"],
    "runner_failures_total": [
        (
            "jit_rejected jit_timeout image create start boot_timeout guest_agent inject start_timeout "
            "exited_before_job oom runner_outdated node_lost removed_externally stalled"
        ),
    ],
    "runner_ends_total": ["job_done retired failed killed_timeout killed_drain lost"],
    "runner_retirements_total": ["removed refused_busy error"],
    "runner_adoptions_total": ["taken ended unreadable"],
    "jobs_lost_total": ["killed oom node_lost host_restart unknown"],
    "github_retries_total": ["5xx network rate_limit auth"],
    "pool_claims_total": ["hit miss"],
    "sweeps_total": ["shared_volume buildx images tart_cache leftovers registrations", "ok error"],
    "reconcile_repairs_total": [
        (
            "vanished orphan ghost stuck_starting stuck_removing stale_registration busy_corrected "
            "missed_completion statistics_refreshed"
        ),
    ],
    "orphans": ["container vm process service volume registration"],
    "actors": ["root scale_set listener runner keeper tart_slots host health"],
    "host_guard_active": ["memory disk load max_runners"],
}

FROM_START = {"message_failures_total", "runner_failures_total", "jobs_lost_total", "actor_restarts_total"}
ONLY_ABOVE_ZERO = {"scale_set_degraded", "demand_unmet_runners", "orphans"}


def own_families() -> dict[str, Family]:
    return {
        one.name.removeprefix("runscaler_"): one for one in own.FAMILIES if one.name.startswith("runscaler_")
    }


def test_no_metric_is_missing_and_none_is_extra() -> None:
    assert set(own_families()) == set(OWN)


@pytest.mark.parametrize("name", OWN)
def test_type_labels_and_buckets(name: str) -> None:
    kind, of_scale_set, labels, buckets = OWN[name]
    family = own_families()[name]

    assert (family.kind, family.of_scale_set) == (Kind(kind), of_scale_set)
    assert [one.name for one in family.labels] == labels.split()
    assert family.buckets == buckets
    assert family.help.endswith(".")
    assert "\n" not in family.help


@pytest.mark.parametrize("name", CLOSED)
def test_values_of_a_label_are_a_closed_set(name: str) -> None:
    assert [" ".join(one.values) for one in own_families()[name].labels] == CLOSED[name]


def test_counters_that_alerts_read_exist_from_the_start() -> None:
    assert {name for name, one in own_families().items() if one.from_start} == FROM_START
    assert {name for name, one in own_families().items() if one.only_above_zero} == ONLY_ABOVE_ZERO


def test_the_standard_metrics_of_a_process_are_among_them() -> None:
    assert {
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
    } <= set(METRIC_NAMES)


def test_job_metrics_have_arcs_labels_and_buckets() -> None:
    started, completed, startup, execution = arc.job_families(DEFAULT_JOB_LABELS, JOB_BUCKETS)

    begun = ["enterprise", "organization", "repository", "job_name", "event_name"]
    assert [one.name for one in started.labels] == [one.name for one in startup.labels] == begun
    ended = [*begun, "job_result"]
    assert [one.name for one in completed.labels] == [one.name for one in execution.labels] == ended
    assert len(startup.buckets) == 45
    assert startup.buckets == execution.buckets == JOB_BUCKETS
    assert {started.name, completed.name, startup.name, execution.name} == set(arc.JOB_NAMES)
    assert {"gha_assigned_jobs", "gha_started_jobs_total"} <= set(METRIC_NAMES)
