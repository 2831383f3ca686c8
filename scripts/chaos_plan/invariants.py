"""What must hold at the end of every run, whatever befell it (docs/behaviour.md § 8). Pure: evidence to breaches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chaos_plan.evidence import Counters
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos_plan.evidence import Evidence
    from chaos_plan.ground import Lodger
    from runscaler.testing.simulator import JobView

WHOLE = ("start", "end")
"""What a job writes that ran once, to its end."""
MOST_THREADS, MOST_FILES = 60, 100
ENCODED = re.compile(r"eyJ[A-Za-z0-9_-]{40,}")
"""Base64 of a JSON object: a JIT configuration, or a JWT."""


def breaches(evidence: Evidence) -> list[str]:
    """A sentence for each thing that does not hold; none if all is well."""
    return [breach for invariant in INVARIANTS for breach in invariant(evidence)]


def came_to_its_end(evidence: Evidence) -> Iterator[str]:
    if evidence.unready:
        yield evidence.unready
    yield from evidence.wrong_ends


def jobs_ran_once(evidence: Evidence) -> Iterator[str]:
    """Only a job whose own runner was killed may have failed, and that is then told, not lost."""
    views = {job.id: job for job in evidence.github.jobs}
    for identity in evidence.jobs:
        job, proof = views[identity], evidence.proofs.get(identity, ())
        if job.state is not JobState.COMPLETED:
            yield f"{named(job)} was lost: it is {job.state.value}"
        elif job.result == "succeeded" and proof != WHOLE:
            yield f"{named(job)} is said to have succeeded, but it wrote {list(proof)}"
        elif job.result != "succeeded" and job.runner not in evidence.killed:
            yield f"{named(job)} {job.result}, yet nobody killed its runner; it wrote {list(proof)}"
        elif proof.count("start") > 1:
            yield f"{named(job)} ran more than once: it wrote {list(proof)}"


def runners_fit(evidence: Evidence) -> Iterator[str]:
    """By what is written on a resource; one that nothing is written on yet counts for all together."""
    for name, most in evidence.most.items():
        worst = most_of_all([of_set(crowd, name) for crowd in evidence.crowds])
        if len(worst) > most:
            yield f"{name} had {len(worst)} runners at once, max-runners is {most}: {', '.join(worst)}"
    together = most_of_all([sorted(lodger.runner for lodger in crowd) for crowd in evidence.crowds])
    if len(together) > sum(evidence.most.values()):
        yield f"there were {len(together)} runners at once, of {dict(evidence.most)}: {', '.join(together)}"


def of_set(crowd: frozenset[Lodger], scale_set: str) -> list[str]:
    return sorted(lodger.runner for lodger in crowd if lodger.scale_set == scale_set)


def most_of_all(crowds: list[list[str]]) -> list[str]:
    return max(crowds, key=len, default=[])


def nothing_is_left(evidence: Evidence) -> Iterator[str]:
    yield from (f"left behind: {what}" for what in evidence.left)
    yield from (f"the registration of {name} has outlived its runner" for name in evidence.homeless)
    for one in evidence.github.scale_sets:
        if not one.deleted:
            yield f"scale set {one.name} ({one.id}) is still registered"
        if one.session:
            yield f"session {one.session} of {one.name} is still open"
    for runner in evidence.github.runners_in("registered", "idle", "busy", "offline"):
        yield f"the registration of {runner.name} is left, {runner.state.value}"


def nothing_piles_up(evidence: Evidence) -> Iterator[str]:
    """What is never given back grows with each fault and each runner, far beyond what a daemon needs."""
    threads, files = evidence.holds
    if threads > MOST_THREADS:
        yield f"the daemon at rest has {threads} threads"
    if files > MOST_FILES:
        yield f"the daemon at rest has {files} open files"


def bystanders_are_as_they_were(evidence: Evidence) -> Iterator[str]:
    yield from (f"touched, though it only looks like a runner: {what}" for what in evidence.touched)


def rules_were_kept(evidence: Evidence) -> Iterator[str]:
    yield from (str(violation) for violation in evidence.violations)


def nothing_crashed(evidence: Evidence) -> Iterator[str]:
    yield from (f"the log tells of a bug: {line}" for line in evidence.crashes)


def no_secret_is_told(evidence: Evidence) -> Iterator[str]:
    for log in evidence.logs:
        for token in evidence.tokens:
            if token in log:
                yield f"a log holds the token or secret that begins with {token[:4]}"
        if found := ENCODED.search(log):
            yield f"a log holds what looks like a JIT configuration or a JWT: {found[0][:12]}…"


def counters_agree(evidence: Evidence) -> Iterator[str]:
    started = sum(job.started_at > 0 for job in evidence.github.jobs)
    completed = len(evidence.github.jobs_in(JobState.COMPLETED))
    true = Counters(started, completed)
    if evidence.counted is not None and evidence.counted != true:
        yield f"/healthz counted {evidence.counted}, GitHub {true}"


def named(job: JobView) -> str:
    return f"{job.display_name} of {job.scale_set} on {job.runner or 'no runner'} (attempt {job.attempts})"


INVARIANTS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    came_to_its_end,
    jobs_ran_once,
    runners_fit,
    nothing_is_left,
    nothing_piles_up,
    bystanders_are_as_they_were,
    rules_were_kept,
    nothing_crashed,
    no_secret_is_told,
    counters_agree,
)
