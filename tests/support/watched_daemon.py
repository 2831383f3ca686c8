"""One daemon on an engine of its own, a witness there, and what must hold when all is over."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.daemon import Daemon, of, wait_until
from support.engine import connect
from support.engine_watch import EngineWatch

from runscaler.testing.simulator import JobState, RunnerState

if TYPE_CHECKING:
    from pathlib import Path

    from support.daemon import Json
    from support.private_engine import PrivateEngine

    from runscaler.testing.simulator import SimulatedGitHub

TOKEN = "ghp_" + "s3cr3t" * 6
NAME = "linux"
LOUD = (" WARN ", " ERROR ")
AT_GITHUB = (RunnerState.REGISTERED, RunnerState.IDLE, RunnerState.BUSY, RunnerState.OFFLINE)


@dataclass
class WatchedDaemon:
    """A context: a daemon with the scale set `linux`, watched, and ended by force if need be."""

    github: SimulatedGitHub
    engine: PrivateEngine
    folder: Path
    keys: dict[str, Any]
    """Of the scale set."""
    scope: str = "my-org"
    _undo: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> WatchedDaemon:
        self.program = Daemon(self.folder, self.keys, self.engine.url)
        self._undo.callback(self._end_by_force)
        self.watch = self._undo.enter_context(EngineWatch(self.engine.url, self.program.state_dir))
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.write(self.program.told())  # shown where the test fails
        self._undo.close()

    def _end_by_force(self) -> None:
        self.program.engine_url = ""  # the engine goes with all that is on it
        self.program.close()

    # -- what it is told ----------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when the set serves."""
        self.program.start()
        self.wait_for("ok")

    def queue(self, count: int = 1, step: str = "true") -> list[str]:
        return self.github.queue_jobs(NAME, count, steps=[step], scope=self.scope)

    def queue_running(self, count: int, step: str) -> list[str]:
        """Jobs that have begun when it returns."""
        ids = self.queue(count, step)
        self.github.wait_for_jobs(ids, JobState.RUNNING)
        return ids

    # -- what it says -------------------------------------------------------------------------------

    def wait_for(self, state: str, reason: str = "", **counts: int) -> Json:
        """The set is in that state, its reason has those words, and the counts are these."""

        def holds(health: Json) -> bool:
            mine = of(health, NAME)
            counted = all(mine[name] == count for name, count in counts.items())
            return mine["state"] == state and reason in mine["reason"] and counted

        return of(self.program.wait_for(holds), NAME)

    def warned(self, words: str = "") -> list[str]:
        """Warnings and errors in the log that have those words."""
        lines = self.program.log.splitlines()
        return [line for line in lines if any(each in line for each in LOUD) and words in line]

    # -- what there is ------------------------------------------------------------------------------

    def containers(self) -> dict[str, str]:
        """The state of each of its containers by runner, as the engine itself lists them."""
        label = [f"io.runscaler.state-dir={self.program.state_dir}"]
        with connect(self.engine.url) as api:
            listed = api.containers(all=True, filters={"label": label})
        return {one["Labels"]["io.runscaler.runner"]: one["State"] for one in listed}

    def kill_runner(self, runner: str) -> None:
        with connect(self.engine.url) as api:
            api.kill(runner)

    def registered(self) -> list[str]:
        """Runners that GitHub knows."""
        state = self.github.state()
        return [one.name for kind in AT_GITHUB for one in state.runners_in(kind)]

    def wait_until_clear(self, kept: int = 0) -> None:
        """The set is ok with `kept` runners, and no more are on the engine or known to GitHub."""

        def clear() -> bool:
            health = self.program.health()
            mine = of(health, NAME) if health else {"state": "", "total": -1}
            there = (mine["total"], len(self.watch.alive), len(self.registered()))
            return mine["state"] == "ok" and there == (kept, kept, kept)

        wait_until(clear, f"an all-clear: {self.github.summary()}, {self.containers()}\n{self.program.log}")

    # -- what must hold -----------------------------------------------------------------------------

    def end(self) -> None:
        """Stop it: in order, with nothing left on this machine and nothing told that is secret."""
        code = self.program.stop()
        self.watch.settle()
        assert (code, self.program.errors, self.program.leftovers()) == (0, "", [])
        assert self.watch.most[NAME] <= self.keys["max-runners"]
        assert len(set(self.watch.runners)) == len(self.watch.runners), "a runner was started twice"
        self.assert_decent_log()

    def assert_decent_log(self) -> None:
        told = self.program.told()
        assert "Traceback" not in told
        assert TOKEN not in told


def assert_github_is_clear(github: SimulatedGitHub) -> None:
    """After the end of all daemons."""
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)
