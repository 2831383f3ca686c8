"""What must hold at the end of every run, whatever faults it had. Pure: from evidence to violations.

docs/behaviour.md § 8
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chaos_plan.evidence import Counters
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos_plan.evidence import Evidence
    from chaos_plan.target import Resource
    from runscaler.testing.simulator import JobView

COMPLETE_OUTPUT = ("start", "end")
"""What a job writes that ran exactly once, to its end."""
MAX_THREADS, MAX_OPEN_FILES = 60, 100
ENCODED_JSON = re.compile(r"eyJ[A-Za-z0-9_-]{40,}")
"""Base64 of a JSON object: a JIT configuration or a JWT."""


def violations(evidence: Evidence) -> list[str]:
    """A sentence for each violation; empty if every invariant holds."""
    return [violation for invariant in INVARIANTS for violation in invariant(evidence)]


def daemon_settled_and_ended_properly(evidence: Evidence) -> Iterator[str]:
    if evidence.unsettled:
        yield evidence.unsettled
    yield from evidence.unexpected_exits


def jobs_ran_once(evidence: Evidence) -> Iterator[str]:
    """A job may fail only if the plan killed its runner; GitHub must then know that it failed."""
    views = {job.id: job for job in evidence.github.jobs}
    for identity in evidence.jobs:
        job, output = views[identity], evidence.job_output.get(identity, ())
        if job.state is not JobState.COMPLETED:
            yield f"{describe(job)} was lost: it is {job.state.value}"
        elif job.result == "succeeded" and output != COMPLETE_OUTPUT:
            yield f"{describe(job)} is said to have succeeded, but it wrote {list(output)}"
        elif job.result != "succeeded" and job.runner not in evidence.killed:
            yield f"{describe(job)} {job.result}, yet nobody killed its runner; it wrote {list(output)}"
        elif output.count("start") > 1:
            yield f"{describe(job)} ran more than once: it wrote {list(output)}"


def max_runners_is_kept(evidence: Evidence) -> Iterator[str]:
    """Resources without the name of a scale set yet count only towards the sum of all scale sets."""
    for name, limit in evidence.max_runners.items():
        largest = longest([runners_of(snapshot, name) for snapshot in evidence.snapshots])
        if len(largest) > limit:
            yield f"{name} had {len(largest)} runners at once, max-runners is {limit}: {', '.join(largest)}"
    largest = longest([sorted(resource.runner for resource in snapshot) for snapshot in evidence.snapshots])
    if len(largest) > sum(evidence.max_runners.values()):
        limits = dict(evidence.max_runners)
        yield f"there were {len(largest)} runners at once, of {limits}: {', '.join(largest)}"


def runners_of(snapshot: frozenset[Resource], scale_set: str) -> list[str]:
    return sorted(resource.runner for resource in snapshot if resource.scale_set == scale_set)


def longest(lists: list[list[str]]) -> list[str]:
    return max(lists, key=len, default=[])


def nothing_is_left(evidence: Evidence) -> Iterator[str]:
    yield from (f"left behind: {what}" for what in evidence.leftovers)
    orphaned = evidence.orphaned_registrations
    yield from (f"the registration of {name} has outlived its runner" for name in orphaned)
    useless = evidence.unregistered_runners
    yield from (f"{name} has outlived its registration and still holds a slot" for name in useless)
    for one in evidence.github.scale_sets:
        if not one.deleted:
            yield f"scale set {one.name} ({one.id}) is still registered"
        if one.session:
            yield f"session {one.session} of {one.name} is still open"
    for runner in evidence.github.runners_in("registered", "idle", "busy", "offline"):
        yield f"the registration of {runner.name} is left, {runner.state.value}"


def nothing_leaks(evidence: Evidence) -> Iterator[str]:
    """A leak grows with each fault and each runner, far beyond these limits."""
    threads, files = evidence.usage
    if threads > MAX_THREADS:
        yield f"the idle daemon has {threads} threads"
    if files > MAX_OPEN_FILES:
        yield f"the idle daemon has {files} open files"


def decoys_are_unchanged(evidence: Evidence) -> Iterator[str]:
    yield from (f"changed, though it only looks like a runner: {what}" for what in evidence.changed_decoys)


def protocol_rules_were_kept(evidence: Evidence) -> Iterator[str]:
    yield from (str(violation) for violation in evidence.rule_violations)


def nothing_crashed(evidence: Evidence) -> Iterator[str]:
    yield from (f"the log tells of a bug: {line}" for line in evidence.crashes)


def no_secret_is_logged(evidence: Evidence) -> Iterator[str]:
    for log in evidence.logs:
        for secret in evidence.secrets:
            if secret in log:
                yield f"a log holds the token or secret that begins with {secret[:4]}"
        if found := ENCODED_JSON.search(log):
            yield f"a log holds what looks like a JIT configuration or a JWT: {found[0][:12]}…"


def counters_agree(evidence: Evidence) -> Iterator[str]:
    started = sum(job.started_at > 0 for job in evidence.github.jobs)
    completed = len(evidence.github.jobs_in(JobState.COMPLETED))
    expected = Counters(started, completed)
    if evidence.counters is not None and evidence.counters != expected:
        yield f"/healthz counted {evidence.counters}, GitHub {expected}"


def describe(job: JobView) -> str:
    return f"{job.display_name} of {job.scale_set} on {job.runner or 'no runner'} (attempt {job.attempts})"


INVARIANTS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    daemon_settled_and_ended_properly,
    jobs_ran_once,
    max_runners_is_kept,
    nothing_is_left,
    nothing_leaks,
    decoys_are_unchanged,
    protocol_rules_were_kept,
    nothing_crashed,
    no_secret_is_logged,
    counters_agree,
)
