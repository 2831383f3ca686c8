"""One daemon on a private engine whose containers are recorded, and checks for its end."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.daemon import Daemon, of, wait_until
from support.engine import connect
from support.engine_watch import EngineWatch
from support.planted import TOKEN

from runscaler.testing.simulator import JobState, RunnerState

if TYPE_CHECKING:
    from pathlib import Path

    from support.daemon import Json
    from support.private_engine import PrivateEngine

    from runscaler.testing.simulator import SimulatedGitHub

NAME = "linux"
WARNINGS = (" WARN ", " ERROR ")
AT_GITHUB = (RunnerState.REGISTERED, RunnerState.IDLE, RunnerState.BUSY, RunnerState.OFFLINE)


@dataclass
class WatchedDaemon:
    """A context: a daemon with the scale set `linux`, whose containers are recorded."""

    github: SimulatedGitHub
    engine: PrivateEngine
    folder: Path
    keys: dict[str, Any]
    """The keys of the scale set."""
    scope: str = "my-org"
    _undo: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> WatchedDaemon:
        self.program = Daemon(self.folder, self.keys, self.engine.url)
        self._undo.callback(self._end_by_force)
        self.watch = self._undo.enter_context(EngineWatch(self.engine.url, self.program.state_dir))
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.write(self.program.told())  # pytest shows it if the test fails
        self._undo.close()

    def _end_by_force(self) -> None:
        self.program.engine_url = ""  # the engine is removed with everything on it
        self.program.close()

    # -- actions ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until the scale set is ok."""
        self.program.start()
        self.wait_for("ok")

    def queue(self, count: int = 1, step: str = "true") -> list[str]:
        return self.github.queue_jobs(NAME, count, steps=[step], scope=self.scope)

    def queue_running(self, count: int, step: str) -> list[str]:
        """Queue jobs and wait until they run."""
        ids = self.queue(count, step)
        self.github.wait_for_jobs(ids, JobState.RUNNING)
        return ids

    # -- health and log -----------------------------------------------------------------------------

    def wait_for(self, state: str, reason: str = "", **counts: int) -> Json:
        """Wait until the scale set has that state, a reason with those words, and these counts."""

        def holds(health: Json) -> bool:
            mine = of(health, NAME)
            counted = all(mine[name] == count for name, count in counts.items())
            return mine["state"] == state and reason in mine["reason"] and counted

        return of(self.program.wait_for(holds), NAME)

    def warned(self, words: str = "") -> list[str]:
        """Warnings and errors in the log that contain `words`."""
        lines = self.program.log.splitlines()
        return [line for line in lines if any(each in line for each in WARNINGS) and words in line]

    # -- state --------------------------------------------------------------------------------------

    def containers(self) -> dict[str, str]:
        """The state of each of its containers, by runner, as the engine lists them."""
        label = [f"io.runscaler.state-dir={self.program.state_dir}"]
        with connect(self.engine.url) as api:
            listed = api.containers(all=True, filters={"label": label})
        return {one["Labels"]["io.runscaler.runner"]: one["State"] for one in listed}

    def kill_runner(self, runner: str) -> None:
        with connect(self.engine.url) as api:
            api.kill(runner)

    def registered(self) -> list[str]:
        """Names of all runners that are registered at GitHub."""
        state = self.github.state()
        return [one.name for kind in AT_GITHUB for one in state.runners_in(kind)]

    def wait_until_clear(self, kept: int = 0) -> None:
        """Wait until the scale set is ok with `kept` runners, and the engine and GitHub have no others."""

        def is_clear() -> bool:
            health = self.program.health()
            mine = of(health, NAME) if health else {"state": "", "total": -1}
            there = (mine["total"], len(self.watch.alive), len(self.registered()))
            return mine["state"] == "ok" and there == (kept, kept, kept)

        wait_until(
            is_clear,
            lambda: (
                f"nothing but {kept} runners: {self.github.summary()}, registered {self.registered()}, engine"
                f" {self.containers()}, watched {self.watch.names()}, health {self.program.health()}\n"
                f"{self.program.log}"
            ),
        )

    # -- checks -------------------------------------------------------------------------------------

    def end(self, *, most: int | None = None) -> None:
        """Stop it, and check that nothing is left on this machine and no secret was logged. `most`: how many
        containers may have existed at once, if more than max-runners."""
        code = self.program.stop()
        self.watch.settle()
        assert (code, self.program.errors, self.program.leftovers()) == (0, "", [])
        assert self.watch.most[NAME] <= (most or self.keys["max-runners"])
        assert len(set(self.watch.runners)) == len(self.watch.runners), "a runner was started twice"
        self.assert_log_is_clean()

    def assert_log_is_clean(self) -> None:
        told = self.program.told()
        assert "Traceback" not in told
        assert TOKEN not in told


def assert_github_is_clear(github: SimulatedGitHub) -> None:
    """Once all daemons have ended."""
    assert github.final_violations() == ()
    assert all(one.deleted for one in github.state().scale_sets)
