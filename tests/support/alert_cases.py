"""For each alert: series with which it fires, the time, and series with which it stays silent at that time.

A series is written as `promtool test rules` takes it: `A+BxN` begins at A and grows by B, N times, one value
a minute.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """`at` is when it is looked at, in minutes from the start of the series."""

    alert: str
    at: int
    fires: dict[str, str]
    silent: dict[str, str]
    labels: dict[str, str]
    """Those that the alert has beside its severity."""


SET = {"instance": "i", "scale_set": "linux"}
_SET = 'instance="i",scale_set="linux"'
_ARC = 'instance="i",name="linux"'
_NAME = {"instance": "i", "name": "linux"}
_CREDENTIAL = 'instance="i",credential="token-1"'
_CORE = f'{_CREDENTIAL},resource="core"'
_EXPIRY = "runscaler_github_token_expiry_timestamp_seconds"
_REPLICA = 'instance="j",scale_set="linux"'
_OLD = 26 * 86400

CASES = (
    Case(
        "RunscalerDown",
        3,
        {'up{job="runscaler",instance="i"}': "0x9"},
        {'up{job="runscaler",instance="i"}': "0 1 0 1 0 1", 'up{job="other",instance="i"}': "0x9"},
        {"job": "runscaler", "instance": "i"},
    ),
    Case(
        "RunscalerNoSession",
        6,
        {
            f"runscaler_session_up{{{_SET}}}": "0x9",
            f"runscaler_session_up{{{_REPLICA}}}": "0x9",
        },
        {
            f"runscaler_session_up{{{_SET}}}": "0x9",
            f"runscaler_session_up{{{_REPLICA}}}": "1x9",
        },
        {"scale_set": "linux"},
    ),
    Case(
        "RunscalerListenerSilent",
        10,
        {
            f"runscaler_session_last_poll_timestamp_seconds{{{_SET}}}": "0x20",
            f"runscaler_session_up{{{_SET}}}": "1x20",
        },
        {
            f"runscaler_session_last_poll_timestamp_seconds{{{_SET}}}": "0x20",
            f"runscaler_session_up{{{_SET}}}": "0x20",
            'runscaler_session_last_poll_timestamp_seconds{instance="i",scale_set="b"}': "0+60x20",
            'runscaler_session_up{instance="i",scale_set="b"}': "1x20",
        },
        SET,
    ),
    Case(
        "RunscalerJobsNotStarting",
        11,
        {f"gha_assigned_jobs{{{_ARC}}}": "2x20", f"gha_busy_runners{{{_ARC}}}": "0x20"},
        {f"gha_assigned_jobs{{{_ARC}}}": "2x20", f"gha_busy_runners{{{_ARC}}}": "0 0 0 1 0x20"},
        _NAME,
    ),
    Case(
        "RunscalerDemandUnmet",
        16,
        {f'runscaler_demand_unmet_runners{{{_SET},reason="backoff"}}': "1x20"},
        {f'runscaler_demand_unmet_runners{{{_SET},reason="backoff"}}': "1x9 stale"},
        {**SET, "reason": "backoff"},
    ),
    Case(
        "RunscalerStartsFailing",
        15,
        {f'runscaler_runner_failures_total{{{_SET},reason="start"}}': "0 0 0 5x20"},
        {f'runscaler_runner_failures_total{{{_SET},reason="start"}}': "0 0 0 2x20"},
        SET,
    ),
    Case(
        "RunscalerDegraded",
        6,
        {f'runscaler_scale_set_state{{{_SET},state="degraded"}}': "1x9"},
        {
            f'runscaler_scale_set_state{{{_SET},state="degraded"}}': "1 1 0 1 0 1 1",
            f'runscaler_scale_set_state{{{_SET},state="running"}}': "1x9",
        },
        {**SET, "state": "degraded"},
    ),
    Case(
        "RunscalerDegraded",
        6,
        {f'runscaler_scale_set_state{{{_SET},state="failed"}}': "1x9"},
        {f'runscaler_scale_set_state{{{_SET},state="standby"}}': "1x9"},
        {**SET, "state": "failed"},
    ),
    Case(
        "RunscalerRunnerOutdated",
        10,
        {f'runscaler_runner_failures_total{{{_SET},reason="runner_outdated"}}': "0 0 1x20"},
        {
            f'runscaler_runner_failures_total{{{_SET},reason="runner_outdated"}}': "0x20",
            f'runscaler_runner_failures_total{{{_SET},reason="oom"}}': "0 0 1x20",
        },
        {**SET, "reason": "runner_outdated"},
    ),
    Case(
        "RunscalerImageOld",
        61,
        {f"runscaler_image_age_seconds{{{_SET}}}": f"{_OLD}+60x90"},
        {f"runscaler_image_age_seconds{{{_SET}}}": "1000000+60x90"},
        SET,
    ),
    Case(
        "RunscalerStalledRunners",
        11,
        {f"runscaler_runners_stalled{{{_SET}}}": "1x20"},
        {f"runscaler_runners_stalled{{{_SET}}}": "1x5 0x20"},
        SET,
    ),
    Case(
        "RunscalerJobsLost",
        10,
        {f'runscaler_jobs_lost_total{{{_SET},reason="oom"}}': "0 0 1x20"},
        {f'runscaler_jobs_lost_total{{{_SET},reason="oom"}}': "4x20"},
        {**SET, "reason": "oom"},
    ),
    Case(
        "RunscalerMessageQuarantined",
        10,
        {f'runscaler_message_failures_total{{{_SET},outcome="quarantined"}}': "0 0 1x20"},
        {
            f'runscaler_message_failures_total{{{_SET},outcome="quarantined"}}': "0x20",
            f'runscaler_message_failures_total{{{_SET},outcome="retried"}}': "0 0 2x20",
        },
        {**SET, "outcome": "quarantined"},
    ),
    Case(
        "RunscalerRateLimitLow",
        6,
        {
            f"runscaler_github_rate_limit_remaining{{{_CORE}}}": "400x9",
            f"runscaler_github_rate_limit{{{_CORE}}}": "5000x9",
        },
        {
            f"runscaler_github_rate_limit_remaining{{{_CORE}}}": "600x9",
            f"runscaler_github_rate_limit{{{_CORE}}}": "5000x9",
        },
        {"instance": "i", "credential": "token-1", "resource": "core"},
    ),
    Case(
        "RunscalerTokenExpires",
        1,
        {f'{_EXPIRY}{{{_CREDENTIAL},kind="pat"}}': "500000x9"},
        {
            f'{_EXPIRY}{{{_CREDENTIAL},kind="pat"}}': "700000x9",
            f'{_EXPIRY}{{{_CREDENTIAL},kind="admin"}}': "600x9",
        },
        {"instance": "i", "credential": "token-1", "kind": "pat"},
    ),
    Case(
        "RunscalerBackendDown",
        6,
        {'runscaler_backend_up{instance="i",backend="docker",engine="unix:///d"}': "0x9"},
        {'runscaler_backend_up{instance="i",backend="docker",engine="unix:///d"}': "0 0 1 0 0 1 0"},
        {"instance": "i", "backend": "docker", "engine": "unix:///d"},
    ),
    Case(
        "RunscalerHostGuard",
        16,
        {'runscaler_host_guard_active{instance="i",guard="disk"}': "1x20"},
        {'runscaler_host_guard_active{instance="i",guard="disk"}': "1x10 0 1x20"},
        {"instance": "i", "guard": "disk"},
    ),
    Case(
        "RunscalerOrphans",
        31,
        {'runscaler_orphans{instance="i",kind="container"}': "2x40"},
        {'runscaler_orphans{instance="i",kind="container"}': "2x20 stale"},
        {"instance": "i", "kind": "container"},
    ),
    Case(
        "RunscalerActorRestarts",
        15,
        {'runscaler_actor_restarts_total{instance="i",actor="listener"}': "0 0 0 5x20"},
        {'runscaler_actor_restarts_total{instance="i",actor="listener"}': "0 0 0 2x20"},
        {"instance": "i", "actor": "listener"},
    ),
    Case(
        "RunscalerSlowStarts",
        70,
        {
            f'runscaler_runner_start_seconds_bucket{{{_SET},phase="total",le="60"}}': "0+1x90",
            f'runscaler_runner_start_seconds_bucket{{{_SET},phase="total",le="90"}}': "0+9x90",
            f'runscaler_runner_start_seconds_bucket{{{_SET},phase="total",le="+Inf"}}': "0+9x90",
        },
        {
            f'runscaler_runner_start_seconds_bucket{{{_SET},phase="total",le="60"}}': "0+9x90",
            f'runscaler_runner_start_seconds_bucket{{{_SET},phase="total",le="+Inf"}}': "0+9x90",
            f'runscaler_runner_start_seconds_bucket{{{_SET},phase="wait",le="60"}}': "0+1x90",
            f'runscaler_runner_start_seconds_bucket{{{_SET},phase="wait",le="+Inf"}}': "0+9x90",
        },
        SET,
    ),
    Case(
        "RunscalerReloadFailed",
        6,
        {'runscaler_config_last_reload_successful{instance="i"}': "0x9"},
        {'runscaler_config_last_reload_successful{instance="i"}': "0x3 1x9"},
        {"instance": "i"},
    ),
    Case(
        "RunscalerAtCapacity",
        31,
        {
            f"gha_assigned_jobs{{{_ARC}}}": "9x40",
            f"gha_max_runners{{{_ARC}}}": "5x40",
            f"gha_desired_runners{{{_ARC}}}": "5x40",
        },
        {
            f"gha_assigned_jobs{{{_ARC}}}": "5x40",
            f"gha_max_runners{{{_ARC}}}": "5x40",
            f"gha_desired_runners{{{_ARC}}}": "5x40",
        },
        _NAME,
    ),
)
