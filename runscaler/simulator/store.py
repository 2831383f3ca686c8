"""The store: all records of one simulated GitHub, and the changes that keep its counts consistent.

Callers hold the lock (`machine_lock.py`). Clock and random source are passed in, so a test with a fake
clock and a seed is reproducible.
"""

from __future__ import annotations

import uuid
from collections import Counter, deque
from typing import TYPE_CHECKING

from runscaler.simulator.apps import Installations
from runscaler.simulator.deadlines import Deadlines
from runscaler.simulator.places import Places
from runscaler.simulator.rate_rule import RateRule
from runscaler.simulator.records import JobState, RunnerState
from runscaler.simulator.tokens import Tokens
from runscaler.simulator.violations import Violation, Violations

if TYPE_CHECKING:
    from random import Random

    from runscaler.clock import Clock
    from runscaler.simulator.options import Options
    from runscaler.simulator.records import Job, Runner, ScaleSet, Session

JOURNAL_LENGTH = 20_000
GRACE_SECONDS = 30.0
"""How long a client may go on using what GitHub has ended."""


class Store:
    def __init__(self, clock: Clock, random: Random, options: Options) -> None:
        self.clock = clock
        self.random = random
        self.options = options
        self.timers = options.timers
        self.deadlines = Deadlines(clock)
        self.violations = Violations(clock, self._note_violation, lenient=options.lenient)
        self.rate_rule = RateRule(clock, self.violations)
        self.tokens = Tokens(clock, random)
        self.scale_sets: dict[int, ScaleSet] = {}
        self.sessions: dict[str, Session] = {}
        self.jobs: dict[str, Job] = {}
        self.job_ids: dict[str, Job] = {}
        """The jobs by their present jobId."""
        self.runners: dict[int, Runner] = {}
        self.names: dict[tuple[str, str], Runner] = {}
        self.queued: dict[str, dict[frozenset[str], dict[str, Job]]] = {}
        """By scope and labels, so that a scale set checks the labels once for all equal jobs."""
        self.groups = {1: "Default", **dict(enumerate(options.groups, start=2))}
        self.places = Places()
        self.installations = Installations(options.installations, self.places)
        lifetime = options.token_lifetime
        self.pats_expire_at = clock.wall() + lifetime if lifetime else None
        """When personal access tokens expire, in seconds since the epoch; None: never."""
        self.tenants: dict[str, str] = {}
        """The scope of each tenant of the actions service."""
        self.job_counts: Counter[JobState] = Counter()
        self.journal: deque[dict[str, object]] = deque(maxlen=JOURNAL_LENGTH)
        self.changes = 0
        """The number of journal entries so far."""
        self.woken: set[str] = set()
        """Keys of polls that have something to look at; the lock wakes and clears them."""
        self.lost_replies: set[tuple[str, str]] = set()
        """(method, path) of calls that a fault has interfered with: repeating them is no violation."""

    def note(self, what: str, **facts: object) -> None:
        """Add an entry to the journal, which the control API serves and `watch` is woken by."""
        self.changes += 1
        self.journal.append({"number": self.changes, "at": self.clock.wall(), "event": what, **facts})

    def _note_violation(self, violation: Violation) -> None:
        self.note("violation", rule=violation.rule, text=violation.text)

    def wake_session(self, scale_set: ScaleSet) -> None:
        if scale_set.session is not None:
            self.woken.add(scale_set.session.id)

    def wake_runner(self, runner: Runner) -> None:
        self.woken.add(runner_key(runner.id))

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def live_sets(self, scope: str) -> list[ScaleSet]:
        return [one for one in self.scale_sets.values() if one.scope == scope and one.live]

    def named_set(self, name: str) -> ScaleSet | None:
        """The newest live set of that name, whatever its scope."""
        named = (one for one in self.scale_sets.values() if one.name.lower() == name.lower())
        return max((one for one in named if one.live), key=lambda one: one.id, default=None)

    def is_misuse(self, ended: Session | ScaleSet) -> bool:
        """Whether using it again violates V9.

        A client must not use what it ended itself. What GitHub ended, all threads of the client have to
        learn of first: that is no violation for `GRACE_SECONDS` after the first refusal.
        """
        now = self.clock.monotonic()
        if ended.refused_at is None:
            ended.refused_at = now
        return ended.by_client or now - ended.refused_at > GRACE_SECONDS

    def move_job(self, job: Job, state: JobState, scale_set: ScaleSet | None) -> None:
        """Change a job's state; every change goes through here, which keeps counts and indexes right."""
        self._unindex(job)
        job.state, job.scale_set = state, scale_set
        job.version += 1
        self._index(job)
        self.note("job", job=job.id, state=state.value, scaleSet=scale_set.id if scale_set else None)

    def add_job(self, job: Job) -> None:
        self.jobs[job.id] = self.job_ids[job.job_id] = job
        self._index(job)
        self.note("job", job=job.id, state=job.state.value, scaleSet=None)

    def renew_job_id(self, job: Job) -> None:
        """Give the job another jobId; nothing is known by the old one any more."""
        del self.job_ids[job.job_id]
        job.job_id = self.uuid()
        self.job_ids[job.job_id] = job

    def _unindex(self, job: Job) -> None:
        self.job_counts[job.state] -= 1
        scale_set = job.scale_set
        if scale_set is not None:
            scale_set.jobs[job.state] -= 1
            scale_set.offers.pop(job.number, None)
            scale_set.acquired.pop(job.id, None)
            scale_set.waiting.pop(job.id, None)
        elif job.state is JobState.QUEUED:
            self._unqueue(job)

    def _unqueue(self, job: Job) -> None:
        by_labels = self.queued[job.spec.scope]
        jobs = by_labels[job.labels]
        del jobs[job.id]
        if not jobs:
            del by_labels[job.labels]

    def _index(self, job: Job) -> None:
        self.job_counts[job.state] += 1
        scale_set = job.scale_set
        if scale_set is None:
            if job.state is JobState.QUEUED:
                by_labels = self.queued.setdefault(job.spec.scope, {})
                by_labels.setdefault(job.labels, {})[job.id] = job
            return
        scale_set.jobs[job.state] += 1
        if job.state is JobState.AVAILABLE:
            scale_set.offers[job.number] = job
        elif job.state is JobState.ACQUIRED:
            scale_set.acquired[job.id] = job
        elif job.state is JobState.ASSIGNED:
            scale_set.waiting[job.id] = job

    def move_runner(self, runner: Runner, state: RunnerState) -> None:
        """Change a runner's state; every change goes through here."""
        runner.scale_set.runners[runner.state] -= 1
        runner.scale_set.runners[state] += 1
        runner.state = state
        if state is not RunnerState.IDLE:
            runner.scale_set.ready.pop(runner.id, None)
        if state is RunnerState.GONE:
            self.names.pop((runner.scale_set.scope, runner.name.lower()), None)
        self.note("runner", runner=runner.id, name=runner.name, state=state.value)

    def add_runner(self, runner: Runner) -> None:
        self.runners[runner.id] = runner
        self.names[runner.scale_set.scope, runner.name.lower()] = runner
        runner.scale_set.runners[runner.state] += 1
        self.note("runner", runner=runner.id, name=runner.name, state=runner.state.value)


def runner_key(number: int) -> str:
    """The key by which the lock wakes the poll of a runner's agent."""
    return f"runner/{number}"
