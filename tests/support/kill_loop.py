"""`kill -9` at seeded moments of a daemon's work, and the proof that every job ran once all the same."""

from __future__ import annotations

import random
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.daemon import CLOCK, all_ok

from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.daemon import Daemon

    from runscaler.testing.simulator import JobView, SimulatedGitHub

EARLY_SHARE = 0.4
"""So many lives end while the daemon starts: counted from its first instruction."""
EARLY_LIFE = 1.2
"""Seconds: from before the lock to the first session and the first runners."""
CAME_BY_ITSELF = ("owner", "lock")
"""What a state directory keeps for the next start."""


@dataclass(frozen=True)
class Plan:
    """What is done to the daemon; times in seconds, the longest that chance may choose."""

    seed: int
    jobs: int
    kills: int
    longest_job: float
    longest_life: float


@dataclass
class JobOutputs:
    """A file a job, in a folder that runners see: it says how often the job began and came to its end."""

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

    def of_none_or_several(self) -> dict[int, str]:
        """What is wrong: the jobs that did not run exactly once, with what they wrote."""
        found = {number: self._read(self.folder / str(number)) for number in range(self.count)}
        return {number: text for number, text in found.items() if text != "start\nend\n"}

    @staticmethod
    def _read(path: Path) -> str:
        return path.read_text() if path.exists() else "never begun"


class KillLoop:
    """Queues the jobs of a plan life by life, kills `program` at the end of each and starts it anew."""

    def __init__(self, plan: Plan, program: Daemon, github: SimulatedGitHub, outputs: JobOutputs) -> None:
        self._plan, self._program, self._github, self._proofs = plan, program, github, outputs
        self._chance = random.Random(plan.seed)
        self.lives: list[str] = []
        """What each life was, for the report of a failure."""

    def run(self, scale_sets: Sequence[str], patience: float) -> tuple[JobView, ...]:
        """All jobs, when they have ended; the daemon serves."""
        ids: list[str] = []
        self._program.start()
        for life in range(self._plan.kills):
            ids += [self._queue(scale_sets, number) for number in self._share_of(life)]
            self._live()
            self._kill()
        jobs = self._github.wait_for_jobs(ids, timeout=patience)
        self._program.wait_for(all_ok)
        return jobs

    def _share_of(self, life: int) -> range:
        return range(life, self._plan.jobs, self._plan.kills)

    def _queue(self, scale_sets: Sequence[str], number: int) -> str:
        name = scale_sets[number % len(scale_sets)]
        step = self._proofs.step(number, self._chance.uniform(0.0, self._plan.longest_job))
        (job,) = self._github.queue_jobs(name, steps=[step])
        return job

    def _live(self) -> None:
        """Until a moment of its start, or one of its work."""
        early = self._chance.random() < EARLY_SHARE
        seconds = self._chance.uniform(0.0, EARLY_LIFE if early else self._plan.longest_life)
        self.lives.append(f"{seconds:.2f} s of {'its start' if early else 'work'}")
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
    assert wrong == [], killing.lives
    assert outputs.of_none_or_several() == {}, killing.lives
    assert len({job.runner for job in jobs}) == len(jobs), "a runner ran two jobs"


def assert_nothing_is_left(program: Daemon, github: SimulatedGitHub) -> None:
    """After an orderly stop: nothing on this machine, at the engine, in the state directory, at GitHub."""
    state = github.state()
    assert (program.errors, program.leftovers()) == ("", [])
    assert files_left(program.state_dir) == []
    assert state.runners_in("registered", "idle", "busy", "offline") == ()
    assert [one for one in state.sessions if one.state in ("live", "token-expired")] == []
    assert all(one.deleted for one in state.scale_sets)
    assert github.final_violations() == ()


def files_left(state_dir: Path) -> list[str]:
    """Files that tell of runners, sessions or trouble."""
    files = [path for path in state_dir.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(state_dir)) for path in files if path.name not in CAME_BY_ITSELF)
