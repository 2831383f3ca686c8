"""`kill -9` at seeded moments of a daemon's work, and the check that every job still ran exactly once."""

from __future__ import annotations

import random
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.daemon import CLOCK, all_ok

from runscaler.interrupt import Interrupt
from runscaler.ops.journal import JOURNAL
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.daemon import Daemon

    from runscaler.testing.simulator import JobView, SimulatedGitHub

EARLY_SHARE = 0.4
"""How many of the processes are killed while they start."""
EARLY_SECONDS = 1.2
"""From before the lock is taken to the first session and the first runners."""
KEPT = (JOURNAL, "docker")
"""Folders of a state directory with what outlives runners: the journal, the account of runner images."""
PERMANENT = ("owner", "lock")
"""What a state directory keeps for the next start."""


@dataclass(frozen=True)
class Plan:
    """What is done to the daemon. Durations are the longest that may be drawn, in seconds."""

    seed: int
    jobs: int
    kills: int
    longest_job: float
    longest_run: float


@dataclass
class JobOutputs:
    """A file for each job, in a folder for all runners: it tells how often the job started and ended."""

    count: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="outputs-", dir="/tmp")))

    def __post_init__(self) -> None:
        self.folder.chmod(0o777)

    @property
    def volume(self) -> str:
        return f"{self.folder}:{self.folder}"

    def step(self, number: int, seconds: float) -> str:
        path = self.folder / str(number)
        return f"echo start >> {path}; sleep {seconds:.2f}; echo end >> {path}"

    def wrong(self) -> dict[int, str]:
        """The output of each job that did not run exactly once, by its number."""
        found = {number: self._read(self.folder / str(number)) for number in range(self.count)}
        return {number: text for number, text in found.items() if text != "start\nend\n"}

    @staticmethod
    def _read(path: Path) -> str:
        return path.read_text() if path.exists() else "never started"


class KillLoop:
    """Queues some jobs of a plan, kills `program` at a random moment, starts it again, and so on."""

    def __init__(self, plan: Plan, program: Daemon, github: SimulatedGitHub, outputs: JobOutputs) -> None:
        self._plan, self._program, self._github, self._proofs = plan, program, github, outputs
        self._random = random.Random(plan.seed)
        self.runs: list[str] = []
        """How long each process ran, for the report of a failure."""

    def run(self, scale_sets: Sequence[str], patience: float) -> tuple[JobView, ...]:
        """Returns all jobs when they have ended; the daemon is running and ok."""
        ids: list[str] = []
        self._program.start()
        for number in range(self._plan.kills):
            ids += [self._queue(scale_sets, job) for job in self._share_of(number)]
            self._wait_for_moment()
            self._kill()
        jobs = self._github.wait_for_jobs(ids, timeout=patience)
        self._program.wait_for(all_ok)
        return jobs

    def _share_of(self, number: int) -> range:
        return range(number, self._plan.jobs, self._plan.kills)

    def _queue(self, scale_sets: Sequence[str], number: int) -> str:
        name = scale_sets[number % len(scale_sets)]
        step = self._proofs.step(number, self._random.uniform(0.0, self._plan.longest_job))
        (job,) = self._github.queue_jobs(name, steps=[step])
        return job

    def _wait_for_moment(self) -> None:
        """Wait until a random moment, either of its start or of its work."""
        early = self._random.random() < EARLY_SHARE
        seconds = self._random.uniform(0.0, EARLY_SECONDS if early else self._plan.longest_run)
        self.runs.append(f"{seconds:.2f} s of {'starting' if early else 'work'}")
        if not early:
            self._program.wait_for(all_ok)
        CLOCK.pause(seconds, Interrupt())

    def _kill(self) -> None:
        self._program.signal(signal.SIGKILL)
        assert self._program.ended() == -signal.SIGKILL
        self._github.client_restarted()
        self._program.start()


def assert_all_ran_once(jobs: Sequence[JobView], killing: KillLoop, outputs: JobOutputs) -> None:
    wrong = [job for job in jobs if (job.result, job.state) != ("succeeded", JobState.COMPLETED)]
    assert wrong == [], killing.runs
    assert outputs.wrong() == {}, killing.runs
    assert len({job.runner for job in jobs}) == len(jobs), "a runner ran two jobs"


def assert_nothing_is_left(program: Daemon, github: SimulatedGitHub) -> None:
    """After a stop: nothing is left on this machine, on the engine, in the state directory or at GitHub."""
    state = github.state()
    assert (program.errors, program.leftovers()) == ("", [])
    assert files_left(program.state_dir) == []
    assert state.runners_in("registered", "idle", "busy", "offline") == ()
    assert [one for one in state.sessions if one.state in ("live", "token-expired")] == []
    assert all(one.deleted for one in state.scale_sets)
    assert github.final_violations() == ()


def files_left(state_dir: Path) -> list[str]:
    """Files about runners, sessions or failures, relative to the state directory. The journal and the account
    of images stay."""
    files = [path for path in state_dir.rglob("*") if path.is_file() and path.parent.name not in KEPT]
    return sorted(str(path.relative_to(state_dir)) for path in files if path.name not in PERMANENT)
