"""The simulator for tests: a simulated GitHub on a free port, with a typed interface.

with SimulatedGitHub(fast=True) as github:
    start_the_client(github.config_url("my-org"))
    github.wait_until(lambda state: state.scale_set("my-runners") is not None)
    ids = github.queue_jobs("my-runners", 3, steps=["echo hello"])
    github.wait_for_jobs(ids)
assert not github.final_violations()
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runscaler import simulator
from runscaler.simulator.admin_actions import change_runner, change_scale_set, change_session
from runscaler.simulator.apps import App, Installation
from runscaler.simulator.control import HEADER
from runscaler.simulator.faults.row import Match
from runscaler.simulator.options import Flavour, Options
from runscaler.simulator.records import JobSpec, JobState, RunnerState, Step
from runscaler.simulator.replay.recording import read_recordings
from runscaler.simulator.scenarios.catalogue import find_scenario
from runscaler.simulator.scenarios.player import Progress
from runscaler.simulator.scopes import default_repository
from runscaler.simulator.server import THREADS, SimulatorServer
from runscaler.simulator.timers import FAST, GITHUB, Timers
from runscaler.simulator.view import JobView, RunnerView, ScaleSetView, SessionView, State
from runscaler.simulator.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    from runscaler.clock import Clock
    from runscaler.simulator.faults.row import Fault
    from runscaler.simulator.records import ScaleSet
    from runscaler.simulator.replay.player import ReplayResult

__all__ = [
    "FAST",
    "GITHUB",
    "App",
    "Flavour",
    "Installation",
    "JobState",
    "JobView",
    "Match",
    "Options",
    "Progress",
    "RunnerState",
    "RunnerView",
    "ScaleSetView",
    "SessionView",
    "SimulatedGitHub",
    "State",
    "Step",
    "Timers",
    "Violation",
]

TIMEOUT = 60.0


class SimulatedGitHub:
    """A simulator that runs while the context is open. All methods may be called from any thread.

    `options`, if given, replace `fast`, `flavour` and `timers`. `scenario` is the name of a scenario, which
    begins when the first client polls; `ValueError` lists the known names. `control_token` is
    made at random unless it is given. `replay` is an archive of `runner report`, or a file of a journal.
    """

    agent_path = Path(simulator.__file__).parent / "agent.py"
    """The demo agent: a single file for any `python3` from 3.8 on, which takes the JIT configuration from
    `ACTIONS_RUNNER_INPUT_JITCONFIG` or standard input."""

    def __init__(
        self,
        options: Options | None = None,
        *,
        fast: bool = True,
        flavour: Flavour = Flavour.ASSIGN,
        timers: Timers | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = THREADS,
        clock: Clock | None = None,
        seed: int = 0,
        scenario: str = "",
        control_token: str = "",
        replay: Path | None = None,
    ) -> None:
        chosen = options or Options(timers=timers or (FAST if fast else GITHUB), flavour=flavour)
        found = find_scenario(scenario) if scenario else None
        chosen = found.adapt(chosen) if found else chosen
        recordings = read_recordings(replay) if replay else ()
        if any(one.offers for one in recordings):
            chosen = dataclasses.replace(chosen, flavour=Flavour.ACQUIRE)
        self._server = SimulatorServer(
            chosen,
            host=host,
            port=port,
            threads=threads,
            clock=clock,
            seed=seed,
            control_token=control_token,
        )
        self._player = self._server.load_scenario(found) if found else None
        self._replays = self._server.load_replays(recordings)
        self._machine = self._server.machine
        self._lock = self._server.lock
        self.clock: Clock = self._server.clock
        """GitHub's clock, which faults can move."""
        self._faults = self._server.app.faults

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the port is open; raises `HostError` if it cannot be opened."""
        self._server.start()

    def stop(self) -> None:
        """End open polls and stop. State and violations can still be read. May be called twice."""
        self._server.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a final slash."""
        return self._server.url

    @property
    def control_url(self) -> str:
        return f"{self.url}/_sim/control/v1"

    @property
    def control_headers(self) -> dict[str, str]:
        """What a call of the control API needs: the token of this simulator."""
        return {HEADER: self._server.control_token}

    def config_url(self, scope: str = "my-org") -> str:
        """The config URL of an organisation, of `owner/repo` or of `enterprises/name`."""
        return f"{self.url}/{scope}"

    def queue_jobs(
        self,
        scale_set: str = "",
        count: int = 1,
        *,
        steps: Sequence[str | Step] = ("echo hello",),
        labels: Sequence[str] = (),
        scope: str = "",
        display_name: str = "build",
        env: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        timeout_seconds: float = 21600.0,
    ) -> list[str]:
        """Queue jobs of one workflow run for a scale set, or for labels; returns their ids.

        `scope` defaults to that of the latest live scale set of the name, else to `my-org`.
        """
        with self._lock as machine:
            named = machine.store.named_set(scale_set)
            where = scope.lower() or (named.scope if named else "my-org")
            spec = JobSpec(
                scope=where,
                labels=tuple(labels) or (scale_set,),
                steps=tuple(as_step(step, number) for number, step in enumerate(steps, start=1)),
                count=count,
                display_name=display_name,
                repository=default_repository(machine.store.places.name(where)),
                env=tuple((env or {}).items()),
                secrets=tuple(secrets),
                timeout_seconds=timeout_seconds,
            )
            return [job.id for job in machine.jobs.queue(spec)]

    def cancel_job(self, job_id: str) -> None:
        with self._lock as machine:
            machine.jobs.cancel(machine.store.jobs[job_id])

    def state(self) -> State:
        """A copy of the state as it is now."""
        with self._lock as machine:
            return State(machine.store).freeze()

    def wait_until(self, predicate: Callable[[State], bool], timeout: float = TIMEOUT) -> State:
        """Block until `predicate` holds; it is checked after each change. `TimeoutError` shows the state.

        The predicate is called with the simulator's lock held, so it must only read.
        """
        found: list[State] = []

        def holds() -> bool:
            state = State(self._machine.store)
            if predicate(state):
                found.append(state.freeze())
            return bool(found)

        if not self._lock.watch(holds, timeout):
            raise TimeoutError(f"not within {timeout:g} s; {self.summary()}")
        return found[0]

    def wait_for_jobs(
        self, ids: Collection[str], state: JobState = JobState.COMPLETED, timeout: float = TIMEOUT
    ) -> tuple[JobView, ...]:
        """Block until all these jobs are in `state`; returns them."""
        wanted = self._machine.store.jobs
        found = self.wait_until(lambda _: all(wanted[each].state is state for each in ids), timeout)
        return tuple(job for job in found.jobs if job.id in set(ids))

    def summary(self) -> str:
        """The state in one line, for the messages of failing tests."""
        state = self.state()
        jobs = {name.value: count for name, count in state.job_counts.items() if count}
        runners = {one.value: len(state.runners_in(one)) for one in RunnerState}
        sets = [(one.name, one.capacity, bool(one.session)) for one in state.scale_sets if not one.deleted]
        return f"jobs {jobs}, runners {runners}, scale sets (name, capacity, session) {sets}"

    def inject(
        self,
        fault: str,
        *,
        count: int | str | None = "default",
        after: int = 0,
        probability: float = 1.0,
        match: Match | None = None,
        **params: object,
    ) -> int:
        """Set a fault of docs/protocol.md § 10 (or `delay`, with `seconds`); returns its id.

        With `count` None the fault lasts until `remove_fault`. `params` are the fault's own, see
        `simulator/faults`.
        """
        added = self._faults.add(
            fault, count=count, after=after, probability=probability, match=match, params=params
        )
        return added.id

    def remove_fault(self, fault_id: int) -> None:
        self._faults.remove(fault_id)

    def clear_faults(self) -> None:
        self._faults.clear()

    def hits(self, fault_id: int) -> int:
        """How often the fault has been applied."""
        return self._fault(fault_id).hits

    @property
    def most_jit_calls(self) -> int:
        """The most JIT calls that were ever in progress at once for one scale set."""
        with self._lock as machine:
            return machine.store.rate_rule.most_jit_calls

    @property
    def scenario(self) -> Progress:
        """How far the scenario has got."""
        assert self._player is not None, "there is no scenario"
        return self._player.progress()

    def wait_for_scenario(self, timeout: float = TIMEOUT) -> None:
        """Block until the scenario is finished."""
        player = self._player
        assert player is not None, "there is no scenario"
        if not self._lock.watch(lambda: player.finished, timeout):
            raise TimeoutError(f"not within {timeout:g} s; to come: {', '.join(player.progress().pending)}")

    def wait_for_replays(self, timeout: float = TIMEOUT) -> tuple[ReplayResult, ...]:
        """Block until every recorded message has been taken; returns what became of each recording."""
        replays = self._replays
        if not self._lock.watch(lambda: all(one.finished for one in replays), timeout):
            raise TimeoutError(f"not within {timeout:g} s; {'; '.join(str(one.result()) for one in replays)}")
        return tuple(one.result() for one in replays)

    def violations(self) -> tuple[Violation, ...]:
        with self._lock as machine:
            return machine.store.violations.all()

    def final_violations(self) -> tuple[Violation, ...]:
        """All violations, including those that only show when every client has ended (V8, V12)."""
        with self._lock as machine:
            return machine.final_violations()

    def secrets(self) -> tuple[str, ...]:
        """All tokens and runner secrets that were issued; no client may log any of them."""
        with self._lock as machine:
            runners = [runner.secret for runner in machine.store.runners.values()]
            return (*machine.store.tokens.texts(), *runners)

    def clear_violations(self) -> None:
        with self._lock as machine:
            machine.store.violations.clear()

    def client_restarted(self) -> None:
        """Forget what the client was told: it was killed, and its successor cannot know (V11)."""
        with self._lock as machine:
            machine.store.rate_rule.forget_clients()

    def change_scale_set(self, name: str, action: str, value: str = "") -> None:
        """`delete`, `rename`, `move` (to a group) or `relabel` (names separated by commas)."""
        with self._lock as machine:
            change_scale_set(machine, self._named_set(name), action, value)

    def rename(self, old: str, new: str, *, redirects: bool | None = None) -> None:
        """Rename an organisation, or a repository (`owner/repo`), which may move to another owner with that.
        GitHub redirects from the old name of a repository only, unless `redirects` says otherwise."""
        with self._lock as machine:
            machine.store.places.rename(old, new, redirects=redirects)

    def change_session(self, scale_set: str, action: str) -> None:
        """`expire`, `expire-token`, `steal` or `mute` the live session of a scale set."""
        with self._lock as machine:
            session = self._named_set(scale_set).session
            if session is None:
                raise LookupError(f"{scale_set} has no live session")
            change_session(machine, session, action)

    def change_runner(self, name: str, action: str) -> None:
        """`vanish` (a ghost), `offline` or `deregister` a runner."""
        with self._lock as machine:
            runner = next(one for one in machine.store.runners.values() if one.name == name)
            change_runner(machine, runner, action)

    def pass_time(self, seconds: float) -> None:
        """Let time pass at GitHub at once, as if the client's host had slept (fault F22)."""
        self._server.clock.advance(seconds)
        with self._lock:
            pass

    def _fault(self, fault_id: int) -> Fault:
        return next(fault for fault in self._faults.all() if fault.id == fault_id)

    def _named_set(self, name: str) -> ScaleSet:
        found = self._machine.store.named_set(name)
        if found is None:
            raise LookupError(f"no scale set {name}")
        return found


def as_step(step: str | Step, number: int) -> Step:
    return step if isinstance(step, Step) else Step(f"step {number}", step)
