"""Execute a plan against a real daemon, wait until its jobs have completed, and judge the result."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaos_plan.evidence import Counters, Evidence
from chaos_plan.executor import Executor
from chaos_plan.invariants import violations
from chaos_plan.plan_generator import make_plan
from chaos_plan.run_setup import MAX_RUNNERS, TOKEN, set_up
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos_plan.plan import Plan
    from chaos_plan.plan_generator import TargetKind
    from runscaler.testing.simulator import State, Violation

SETTLE_SECONDS = 360.0
"""For all jobs to complete after the last action: longer than the effect of any fault of a plan. The longest:
3 min until a runner is replaced whose registration is gone or that lingers after its job, and after that the
backoff's pace, where others have failed."""
DELAYED_MESSAGE_SECONDS = 10.0
"""For the messages about jobs that faults F44 and F87 delay."""
DEREGISTER_SECONDS = 90.0
"""For the daemon to remove registrations that have no runner: it tries again every 30 s."""
UNREGISTERED_SECONDS = 240.0
"""For the daemon to remove runners whose registration is gone though no message told: two signs, a minute
apart, in rounds of 30 s, then the 10 s of grace."""
COUNTER_SECONDS = 15.0
"""For the daemon's counters to reach GitHub's."""
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """`folder` holds the logs if there are violations; otherwise it has been removed."""

    plan: Plan
    target: TargetKind
    seconds: float
    tally: str
    violations: list[str]
    timeline: str
    folder: Path

    @property
    def summary(self) -> str:
        verdict = f"{len(self.violations)} violations" if self.violations else "all invariants hold"
        return f"seed {self.plan.seed}, {self.target}, {self.seconds:.0f} s: {self.tally}; {verdict}"


def run(seed: int, seconds: float, target: TargetKind) -> Outcome:
    """Run the plan of that seed; `BackendError` if there is no engine, `HostError` if no port is free."""
    plan = make_plan(seed, seconds, tuple(MAX_RUNNERS), target)
    folder = Path(tempfile.mkdtemp(prefix=f"runscaler-chaos-{seed}-")).resolve()
    with Run(plan, target, folder) as running:
        outcome = running.outcome()
    if not outcome.violations:
        shutil.rmtree(folder)
    return outcome


class Run:
    """A context that ends everything that the run has started."""

    def __init__(self, plan: Plan, target: TargetKind, folder: Path) -> None:
        self._plan, self._kind, self._folder = plan, target, folder
        self._undo = ExitStack()
        self._violations_seen = 0
        self._orphaned_registrations: tuple[str, ...] = ()
        self._unregistered_runners: tuple[str, ...] = ()

    def __enter__(self) -> Run:
        with ExitStack() as undo:
            self._context = context = set_up(self._plan, self._kind, self._folder, undo)
            self._executor = Executor(context, self._folder)
            self._undo = undo.pop_all()
        self._github, self._daemon, self._target = context.github, context.daemon, context.target
        self._timeline, self._clock = context.timeline, context.clock
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def outcome(self) -> Outcome:
        """Execute the whole plan; takes as long as the plan, and then until everything has settled."""
        self._timeline.note(str(self._plan.settings))
        self._daemon.start()
        for action in self._plan.actions:
            self._context.pause(max(0.0, action.at - self._timeline.now))
            self._executor.execute(action)
            self._note_new_rule_violations()
        evidence = self._gather(self._settle())
        self._note_new_rule_violations()
        found = violations(evidence)
        seconds, tally = self._timeline.now, self._tally(evidence)
        return Outcome(self._plan, self._kind, seconds, tally, found, str(self._timeline), self._folder)

    def _note_new_rule_violations(self) -> None:
        """With the time of our own clock, as a fault may change that of the simulated GitHub."""
        all_so_far = self._github.violations()
        for violation in all_so_far[self._violations_seen :]:
            self._timeline.note(f"!! {violation}")
        self._violations_seen = len(all_so_far)

    # -- the end --------------------------------------------------------------------------------------

    def _settle(self) -> str:
        """End all faults and wait until all jobs have completed; if they do not, return the reason."""
        self._executor.clear_faults()
        self._context.pause(DELAYED_MESSAGE_SECONDS)
        try:
            self._github.wait_for_jobs(self._executor.jobs, timeout=SETTLE_SECONDS)
            self._github.wait_until(has_no_pending_messages, timeout=SETTLE_SECONDS)
        except TimeoutError as error:
            self._timeline.note(f"!! {error}; the daemon says {self._daemon.health()}")
            return f"it did not settle: {error}"
        self._timeline.note("all jobs have completed, all messages are deleted")
        self._wait_until(self._no_registration_is_orphaned, DEREGISTER_SECONDS)
        self._wait_until(self._no_runner_is_unregistered, UNREGISTERED_SECONDS)
        return ""

    def _no_registration_is_orphaned(self) -> bool:
        """Looked at now, because in the end GitHub itself deletes registrations with their scale set."""
        self._orphaned_registrations = tuple(sorted(self._context.orphaned_registrations()))
        return not self._orphaned_registrations

    def _no_runner_is_unregistered(self) -> bool:
        self._unregistered_runners = tuple(sorted(self._context.unregistered_runners()))
        return not self._unregistered_runners

    def _gather(self, unsettled: str) -> Evidence:
        """Stop the daemon and collect what is left."""
        counters = self._final_counters() if not unsettled else None
        usage = self._daemon.usage()
        self._timeline.note(f"the daemon has {usage.threads} threads, {usage.open_files} open files")
        health = str(self._daemon.health())
        self._stop()
        return Evidence(
            github=self._github.state(),
            rule_violations=self._rule_violations(),
            jobs=tuple(self._executor.jobs),
            job_output=self._executor.job_output(),
            snapshots=frozenset(self._target.snapshots),
            max_runners=MAX_RUNNERS,
            killed=frozenset(self._executor.killed),
            unexpected_exits=tuple(self._executor.unexpected_exits),
            leftovers=tuple(self._target.leftovers()) + tuple(self._daemon.leftovers()),
            orphaned_registrations=self._orphaned_registrations,
            unregistered_runners=self._unregistered_runners,
            changed_decoys=tuple(self._target.changed_decoys()),
            crashes=tuple(self._daemon.crashes()),
            logs=(*self._daemon.logs(), health),
            secrets=(TOKEN, *self._github.secrets()),
            counters=counters,
            usage=usage,
            unsettled=unsettled,
        )

    def _stop(self) -> None:
        """Stop the daemon; what it kept, another start and stop adopts and removes."""
        self._executor.stop_daemon()
        if self._plan.settings.keeps:
            self._daemon.configure(on_exit="remove")
            self._executor.start_daemon()
            if not self._wait_until(self._daemon.is_healthy, SETTLE_SECONDS):
                self._timeline.note(f"!! it is not healthy: {self._daemon.health()}")
            self._executor.stop_daemon()

    def _rule_violations(self) -> tuple[Violation, ...]:
        """Those that the executor does not excuse."""
        excused = self._executor.excused.copy()
        kept = []
        for violation in self._github.final_violations():
            if excused[violation.text] > 0:
                excused[violation.text] -= 1
            else:
                kept.append(violation)
        return tuple(kept)

    def _final_counters(self) -> Counters | None:
        """The daemon's counters once they have reached GitHub's, or what they are after `COUNTER_SECONDS`."""
        if not self._plan.comparable:
            return None
        expected = len(self._executor.jobs)
        self._wait_until(lambda: self._counters().completed == expected, COUNTER_SECONDS)
        return self._counters()

    def _counters(self) -> Counters:
        health = self._daemon.health()
        metrics = [one["metrics"] for one in health["scale_sets"]] if health else []
        return Counters(sum(m["jobs_started"] for m in metrics), sum(m["jobs_completed"] for m in metrics))

    def _wait_until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether it held in time."""
        deadline = self._clock.monotonic() + seconds
        while not (found := holds()) and self._clock.monotonic() < deadline:
            self._context.pause(POLL_SECONDS)
        return found

    def _tally(self, evidence: Evidence) -> str:
        done = evidence.github.jobs_in(JobState.COMPLETED)
        failed = sum(job.result != "succeeded" for job in done)
        return f"{len(done)} of {len(evidence.jobs)} jobs ended, {failed} as failed; {self._executor.tally()}"


def has_no_pending_messages(state: State) -> bool:
    """Whether the daemon has received and deleted every message of scale sets that still exist."""
    return not any(
        one.undeleted_messages or one.waiting_events for one in state.scale_sets if not one.deleted
    )
