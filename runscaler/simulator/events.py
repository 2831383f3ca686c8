"""Job events, which a scale set's listener receives about its jobs (docs/protocol.md § 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.github.messages import JobEvent
    from runscaler.simulator.records import Job

E = TypeVar("E", bound="JobEvent")


def job_event(kind: Callable[..., E], job: Job, *, numbered: bool, **more: object) -> E:
    """An event about the job as it is now. `numbered`: with its request id, which is 0 in flavour A."""
    owner, _, repository = job.spec.repository.partition("/")
    return kind(
        job_id=job.job_id,
        request_id=job.number if numbered else 0,
        repository=repository,
        owner=owner,
        workflow_ref=f"{owner}/{repository}/.github/workflows/ci.yml@refs/heads/main",
        display_name=job.spec.display_name,
        run_id=job.run_id,
        event_name=job.spec.event_name,
        request_labels=job.spec.labels,
        queued_at=job.queued_at,
        assigned_at=job.assigned_at or None,
        runner_assigned_at=job.runner_assigned_at or None,
        finished_at=job.finished_at or None,
        **more,
    )
