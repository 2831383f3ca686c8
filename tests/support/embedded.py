"""The whole program in this process, while the simulated GitHub injects faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.daemon import wait_until
from support.planted import TOKEN

from runscaler.autoscaler import Autoscaler
from runscaler.config.load import load_config
from runscaler.status import SetState
from runscaler.testing.simulator import JobState, Match, RunnerState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.daemon import Daemon

    from runscaler.clock import Clock
    from runscaler.status import ScaleSetStatus
    from runscaler.testing.simulator import JobView, SimulatedGitHub

POLL = Match("GET", "/_sim/queue/")
ACKNOWLEDGE = Match("DELETE", "/_sim/queue/")
JIT = Match("POST", "/generatejitconfig")
AT_GITHUB = (RunnerState.REGISTERED, RunnerState.IDLE, RunnerState.BUSY, RunnerState.OFFLINE)


@dataclass(frozen=True)
class Fault:
    """The arguments of one call of `SimulatedGitHub.inject`."""

    fault: str
    match: Match | None = None
    count: int | str | None = "default"
    params: dict[str, Any] = field(default_factory=dict)


def make_fault(
    fault: str, match: Match | None = None, count: int | str | None = "default", **params: object
) -> Fault:
    return Fault(fault, match, count, params)


def configured(github: SimulatedGitHub, name: str, **keys: object) -> dict[str, object]:
    """The keys of a scale set on the process backend; underscores stand for hyphens."""
    made = {"url": github.config_url(), "name": name, "token": TOKEN, "backend": "process", **keys}
    return {key.replace("_", "-"): value for key, value in made.items()}


class EmbeddedDaemon:
    """A context with a running `Autoscaler`, made by `kind` from `clock` and the configuration of `files`."""

    def __init__(
        self,
        github: SimulatedGitHub,
        files: Daemon,
        clock: Clock | None = None,
        kind: Callable[..., Autoscaler] = Autoscaler,
    ) -> None:
        self.github, self.files = github, files
        self.scaler = kind(load_config(files.path), clock=clock)

    def __enter__(self) -> EmbeddedDaemon:
        self.scaler.start()
        assert self.scaler.wait_ready(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.github.clear_faults()
        try:
            self.scaler.stop()
        finally:
            self.files.close()

    def of(self, name: str) -> ScaleSetStatus:
        return next(one for one in self.scaler.status().scale_sets if one.name == name)

    def inject(self, *faults: Fault) -> list[int]:
        return [
            self.github.inject(one.fault, count=one.count, match=one.match, **one.params) for one in faults
        ]

    def jobs(self, name: str, count: int = 3, step: str = "true") -> tuple[JobView, ...]:
        """Queue `count` jobs and wait for their end."""
        return self.github.wait_for_jobs(self.github.queue_jobs(name, count, steps=[step]))

    def all_hit(self, faults: Sequence[int]) -> bool:
        return all(self.github.hits(each) for each in faults)

    def wait_for_hits(self, faults: Sequence[int]) -> None:
        wait_until(lambda: self.all_hit(faults), "a hit of every fault")

    def wait_for(self, name: str, holds: Callable[[ScaleSetStatus], object], seconds: float = 60.0) -> None:
        wait_until(lambda: holds(self.of(name)), f"the expected state of {name}", seconds)

    def wait_until_clear(self, name: str) -> None:
        """Wait until the scale set is ok and has no runner, no registration and no job left."""

        def is_clear() -> bool:
            status, state = self.of(name), self.github.state()
            left = [one for kind in AT_GITHUB for one in state.runners_in(kind)]
            waiting = [one for one in state.jobs if one.state is not JobState.COMPLETED]
            return status.state is SetState.OK and not (status.total or left or waiting)

        wait_until(is_clear, f"the end of all work of {name}")

    def assert_nothing_is_left(self) -> None:
        """After the stop: nothing is left on this machine or at GitHub, and no rule was broken."""
        assert self.files.leftovers() == []
        assert self.github.final_violations() == ()
        assert all(one.deleted for one in self.github.state().scale_sets)
