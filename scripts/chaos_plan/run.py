"""Carry out a plan against a real daemon, wait until its jobs are through, gather the evidence."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaos_plan.deeds import Stage
from chaos_plan.evidence import Counters, Evidence
from chaos_plan.invariants import breaches
from chaos_plan.luck import make_plan
from chaos_plan.making import MOST, TOKEN, made_scene
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos_plan.luck import GroundKind
    from chaos_plan.plan import Plan
    from runscaler.testing.simulator import State, Violation

SETTLE_SECONDS = 180.0
"""For all jobs to be through after the last deed: longer than any one trouble of a plan can last."""
LATEST_WORD = 3.0
"""For words about jobs that a fault holds back (F44)."""
PAY_SECONDS = 90.0
"""For the daemon to remove registrations that it owes GitHub: it tries again every 30 s."""
COUNT_SECONDS = 15.0
"""For the daemon to hear of what GitHub has counted."""
GLANCE = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """`story` is the timeline; the logs lie in `folder` if anything is wrong."""

    plan: Plan
    ground: GroundKind
    seconds: float
    tally: str
    breaches: list[str]
    story: str
    folder: Path

    @property
    def summary(self) -> str:
        verdict = f"{len(self.breaches)} violations" if self.breaches else "all invariants hold"
        return f"seed {self.plan.seed}, {self.ground}, {self.seconds:.0f} s: {self.tally}; {verdict}"


def run(seed: int, seconds: float, ground: GroundKind) -> Outcome:
    """All of it. `BackendError` where there is no engine, `HostError` for no port."""
    plan = make_plan(seed, seconds, tuple(MOST), ground)
    folder = Path(tempfile.mkdtemp(prefix=f"runscaler-chaos-{seed}-")).resolve()
    with Run(plan, ground, folder) as playing:
        outcome = playing.outcome()
    if not outcome.breaches:
        shutil.rmtree(folder)
    return outcome


class Run:
    """A context: whatever happens in it, nothing of it lives on after it."""

    def __init__(self, plan: Plan, ground: GroundKind, folder: Path) -> None:
        self._plan, self._kind, self._folder = plan, ground, folder
        self._undo = ExitStack()
        self._violations_seen = 0
        self._homeless: tuple[str, ...] = ()

    def __enter__(self) -> Run:
        with ExitStack() as undo:
            self._scene = scene = made_scene(self._plan, self._kind, self._folder, undo)
            self._stage = Stage(scene, self._folder)
            self._undo = undo.pop_all()
        self._github, self._daemon, self._ground = scene.github, scene.daemon, scene.ground
        self._timeline, self._clock = scene.timeline, scene.clock
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def outcome(self) -> Outcome:
        self._timeline.note(str(self._plan.setting))
        self._daemon.start()
        for deed in self._plan.deeds:
            self._scene.pause(max(0.0, deed.at - self._timeline.now))
            self._stage.play(deed)
            self._look_for_violations()
        evidence = self._gathered(self._settled())
        self._look_for_violations()
        found = breaches(evidence)
        seconds, tally = self._timeline.now, self._tally(evidence)
        return Outcome(self._plan, self._kind, seconds, tally, found, str(self._timeline), self._folder)

    def _look_for_violations(self) -> None:
        """By our clock: a fault may put GitHub's wrong."""
        all_so_far = self._github.violations()
        for violation in all_so_far[self._violations_seen :]:
            self._timeline.note(f"!! {violation}")
        self._violations_seen = len(all_so_far)

    # -- the end ------------------------------------------------------------------------------------

    def _settled(self) -> str:
        """Wait until all jobs are through; why not, if they are not."""
        self._stage.mend()
        self._scene.pause(LATEST_WORD)
        try:
            self._github.wait_for_jobs(self._stage.jobs, timeout=SETTLE_SECONDS)
            self._github.wait_until(is_quiet, timeout=SETTLE_SECONDS)
        except TimeoutError as error:
            self._timeline.note(f"!! {error}; the daemon says {self._daemon.health()}")
            return f"it did not come to rest: {error}"
        self._timeline.note("all jobs are through, all messages deleted")
        self._came_true(self._all_are_housed, PAY_SECONDS)
        return ""

    def _all_are_housed(self) -> bool:
        """No registration without its runner: in the end GitHub itself deletes them with their scale set."""
        self._homeless = tuple(sorted(self._scene.homeless()))
        return not self._homeless

    def _gathered(self, unready: str) -> Evidence:
        counted = self._counted() if not unready else None
        holds = self._daemon.holds()
        self._timeline.note(f"the daemon has {holds[0]} threads, {holds[1]} open files")
        said = str(self._daemon.health())
        self._end()
        return Evidence(
            github=self._github.state(),
            violations=self._violations(),
            jobs=tuple(self._stage.jobs),
            proofs=self._stage.proofs(),
            crowds=frozenset(self._ground.crowds),
            most=MOST,
            killed=frozenset(self._stage.killed),
            wrong_ends=tuple(self._stage.wrong_ends),
            left=tuple(self._ground.left()) + tuple(self._daemon.left()),
            homeless=self._homeless,
            touched=tuple(self._ground.touched()),
            crashes=tuple(self._daemon.crashes()),
            logs=(*self._daemon.logs(), said),
            tokens=(TOKEN, *self._github.secrets()),
            counted=counted,
            holds=holds,
            unready=unready,
        )

    def _end(self) -> None:
        """In order; what a stop kept, the next start takes over and removes."""
        self._stage.stop_daemon()
        if self._plan.setting.keeps:
            self._daemon.configure(on_exit="remove")
            self._stage.start_daemon()
            if not self._came_true(self._daemon.serves, SETTLE_SECONDS):
                self._timeline.note(f"!! it does not serve: {self._daemon.health()}")
            self._stage.stop_daemon()

    def _violations(self) -> tuple[Violation, ...]:
        excused = self._stage.excused.copy()
        kept = []
        for violation in self._github.final_violations():
            if excused[violation.text] > 0:
                excused[violation.text] -= 1
            else:
                kept.append(violation)
        return tuple(kept)

    def _counted(self) -> Counters | None:
        """The daemon's own counters when they have come to GitHub's, or what they stayed at."""
        if not self._plan.comparable:
            return None
        wanted = len(self._stage.jobs)
        self._came_true(lambda: self._counters().completed == wanted, COUNT_SECONDS)
        return self._counters()

    def _counters(self) -> Counters:
        health = self._daemon.health()
        metrics = [one["metrics"] for one in health["scale_sets"]] if health else []
        return Counters(sum(m["jobs_started"] for m in metrics), sum(m["jobs_completed"] for m in metrics))

    def _came_true(self, holds: Callable[[], bool], seconds: float) -> bool:
        deadline = self._clock.monotonic() + seconds
        while not (found := holds()) and self._clock.monotonic() < deadline:
            self._scene.pause(GLANCE)
        return found

    def _tally(self, evidence: Evidence) -> str:
        done = evidence.github.jobs_in(JobState.COMPLETED)
        failed = sum(job.result != "succeeded" for job in done)
        return f"{len(done)} of {len(evidence.jobs)} jobs ended, {failed} as failed; {self._stage.tally()}"


def is_quiet(state: State) -> bool:
    """Nothing is on its way to the daemon."""
    return not any(
        one.undeleted_messages or one.waiting_events for one in state.scale_sets if not one.deleted
    )
