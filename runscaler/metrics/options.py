"""What is served, and how jobs are told apart (docs/metrics.md, *Settings*)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """The keys of [metrics]. `disable` holds names of families; `max_job_series` is a number of label sets
    for each family of jobs, all scale sets together."""

    namespace: str = "runscaler"
    arc_labels: bool = True
    job_labels: tuple[str, ...] = (
        "enterprise",
        "organization",
        "repository",
        "job_name",
        "event_name",
        "job_result",
    )
    job_buckets: tuple[float, ...] = (1, 10, 60, 600, 3600)
    disable: tuple[str, ...] = ()
    max_job_series: int = 2000


@dataclass(frozen=True, slots=True)
class Scope:
    """What the URL of a scale set names; empty where it has none. `host` is where GitHub is."""

    host: str = ""
    enterprise: str = ""
    organization: str = ""
    repository: str = ""

    @property
    def name(self) -> str:
        """As people write it: "my-org", "my-org/app", "my-enterprise"."""
        if self.repository:
            return f"{self.organization}/{self.repository}"
        return self.organization or self.enterprise
