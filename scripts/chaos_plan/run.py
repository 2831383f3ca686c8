"""Carry out a plan against a real daemon, wait until its jobs are through, gather the evidence."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bare_engine import engine_url

from chaos_plan.containers import DockerGround
from chaos_plan.daemon import Daemon
from chaos_plan.deeds import Stage
from chaos_plan.evidence import Counters, Evidence
from chaos_plan.invariants import breaches
from chaos_plan.plan import LOSSY, BreakWire, make_plan
from chaos_plan.processes import ProcessGround
from chaos_plan.timeline import Timeline
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.ops.demo_image import ensure_demo_image
from runscaler.testing.simulator import FAST, JobState, SimulatedGitHub

if TYPE_CHECKING:
    from chaos_plan.ground import Ground
    from chaos_plan.plan import Plan
    from runscaler.testing.simulator import State, Violation

MOST = {"chaos": 4, "chaos-2": 3}
"""max-runners of the scale sets."""
TOKEN = "ghp_" + "s3cr3t" * 6
TIMERS = replace(FAST, session=15.0, agent_silence=60.0, registration=600.0, lease=20.0, pick_up=30.0)
"""Lost jobs are noticed soon; GitHub is patient with runners that a busy machine keeps waiting."""
SETTLE_SECONDS = 150.0
"""For all jobs to be through after the last deed: longer than any one trouble of a plan can last."""
COUNT_SECONDS = 15.0
"""For the daemon to hear of what GitHub has counted."""
GLANCE = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """`story` is the timeline; the logs lie in `folder` if anything is wrong."""

    plan: Plan
    backend: str
    seconds: float
    tally: str
    breaches: list[str]
    story: str
    folder: Path

    @property
    def summary(self) -> str:
        verdict = f"{len(self.breaches)} violations" if self.breaches else "all invariants hold"
        return f"seed {self.plan.seed}, {self.backend}, {self.seconds:.0f} s: {self.tally}; {verdict}"


def run(seed: int, seconds: float, backend: str) -> Outcome:
    """All of it. `BackendError` where there is no engine, `HostError` for no port."""
    plan = make_plan(seed, seconds, tuple(MOST))
    folder = Path(tempfile.mkdtemp(prefix=f"runscaler-chaos-{seed}-")).resolve()
    with Run(plan, backend, folder) as playing:
        outcome = playing.outcome()
    if not outcome.breaches:
        shutil.rmtree(folder)
    return outcome


class Run:
    """A context: whatever happens in it, nothing of it lives on after it."""

    def __init__(self, plan: Plan, backend: str, folder: Path) -> None:
        self._plan, self._backend, self._folder = plan, backend, folder
        self._clock = SystemClock()
        self._undo = ExitStack()

    def __enter__(self) -> Run:
        with ExitStack() as undo:
            self._github = undo.enter_context(SimulatedGitHub(timers=TIMERS, seed=self._plan.seed))
            self._url = engine_url() if self._backend == "docker" else ""
            image = ensure_demo_image(self._url, lambda *_: None) if self._url else ""
            self._daemon = Daemon(self._folder, self._config(image))
            self._ground = self._made_ground(image)
            undo.enter_context(self._ground)
            undo.callback(self._ground.clear)
            undo.callback(self._daemon.kill)
            self._timeline = Timeline(self._clock)
            self._stage = Stage(self._github, self._daemon, self._ground, self._timeline, self._folder)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def outcome(self) -> Outcome:
        self._daemon.start()
        for deed in self._plan.deeds:
            self._clock.pause(max(0.0, deed.at - self._timeline.now), Interrupt())
            self._stage.play(deed)
        evidence = self._gathered(self._settled())
        for violation in evidence.violations:
            self._timeline.note_at(violation.at, f"!! {violation}")
        found = breaches(evidence)
        seconds, tally = self._timeline.now, self._tally(evidence)
        return Outcome(self._plan, self._backend, seconds, tally, found, str(self._timeline), self._folder)

    # -- the end ------------------------------------------------------------------------------------

    def _settled(self) -> str:
        """Wait until all jobs are through; why not, if they are not."""
        self._stage.mend()
        try:
            self._github.wait_for_jobs(self._stage.jobs, timeout=SETTLE_SECONDS)
            self._github.wait_until(is_quiet, timeout=SETTLE_SECONDS)
        except TimeoutError as error:
            self._timeline.note(f"!! {error}; the daemon says {self._daemon.health()}")
            return f"it did not come to rest: {error}"
        self._timeline.note("all jobs are through, all messages deleted")
        return ""

    def _gathered(self, unready: str) -> Evidence:
        counted = self._counted() if not unready else None
        code = self._daemon.stop()
        self._timeline.note(f"the daemon has ended with {code}")
        return Evidence(
            github=self._github.state(),
            violations=self._violations(),
            jobs=tuple(self._stage.jobs),
            proofs=self._stage.proofs(),
            crowds=frozenset(self._ground.crowds),
            most=MOST,
            killed=frozenset(self._stage.killed),
            exit_code=code,
            left=tuple(self._ground.left()),
            bystanders_live=self._ground.bystanders_live(),
            crashes=tuple(self._daemon.crashes()),
            logs=tuple(self._daemon.logs()),
            tokens=(TOKEN,),
            counted=counted,
            unready=unready,
        )

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
        lost = any(isinstance(deed, BreakWire) and deed.fault in LOSSY for deed in self._plan.deeds)
        if lost or not self._plan.daemon_lives_through:
            return None
        deadline = self._clock.monotonic() + COUNT_SECONDS
        wanted = len(self._stage.jobs)
        while (found := self._counters()).completed != wanted and self._clock.monotonic() < deadline:
            self._clock.pause(GLANCE, Interrupt())
        return found

    def _counters(self) -> Counters:
        health = self._daemon.health()
        metrics = [one["metrics"] for one in health["scale_sets"]] if health else []
        return Counters(sum(m["jobs_started"] for m in metrics), sum(m["jobs_completed"] for m in metrics))

    def _tally(self, evidence: Evidence) -> str:
        done = evidence.github.jobs_in(JobState.COMPLETED)
        failed = sum(job.result != "succeeded" for job in done)
        return f"{len(done)} of {len(evidence.jobs)} jobs ended, {failed} as failed; {self._stage.tally()}"

    # -- what is tried ------------------------------------------------------------------------------

    def _made_ground(self, image: str) -> Ground:
        if self._url:
            return DockerGround(self._daemon, self._url, image)
        return ProcessGround(self._daemon)

    def _config(self, image: str) -> dict[str, object]:
        keys: dict[str, object] = {"url": self._github.config_url(), "token": TOKEN, "backend": self._backend}
        if self._url:
            volume = f"{self._folder}:{self._folder}"
            table = {"host": self._url, "network": "host", "dind": False, "pull": "never"}
            quiet = {"prune-on-exit": False, "buildx-cleanup": False, "volumes": [volume]}
            keys |= {"runner-image": image, "docker": {**table, **quiet}}
        sets = [{"name": name, "max-runners": most, "min-runners": 1, **keys} for name, most in MOST.items()]
        return {"log-level": "debug", "drain-timeout": "20s", "scaleset": sets}


def is_quiet(state: State) -> bool:
    """Nothing is on its way to the daemon."""
    return not any(
        one.undeleted_messages or one.waiting_events for one in state.scale_sets if not one.deleted
    )
