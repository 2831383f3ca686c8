"""The access to a backend that `backend_contract` needs, and its orders and observations."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from runscaler.backends.base import ResourceEnded, RunnerOrder
from runscaler.clock import SystemClock
from runscaler.config.secrets import Secret
from runscaler.github.base import JitConfig
from runscaler.interrupt import Interrupt
from runscaler.names import SlotNumber, new_runner_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.base import Backend, Observation, Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import OwnerId

PATIENCE = 60.0
"""Seconds after which a test stops waiting for something."""
POLL_SECONDS = 0.01
"""Between looks at a runner's output."""


class OnSigterm(Enum):
    """What a runner that sleeps does when it gets SIGTERM; `ENDS` and `STAYS` print `TERMINATED` first."""

    DIES = "dies"
    ENDS = "ends"
    STAYS = "stays"


TERMINATED = b"terminated\n"
TERMINATED_CODE = 143
"""The exit code of a runner that `ENDS`."""


@dataclass(frozen=True, slots=True)
class RunnerScript:
    """What a test's runner does: it prints numbered lines, then exits with a code, or sleeps (None)."""

    lines: int = 0
    exit_code: int | None = None
    on_sigterm: OnSigterm = OnSigterm.DIES

    @property
    def shell(self) -> str:
        """As a POSIX shell script."""
        return f"{self._trap}{self._body}"

    @property
    def _trap(self) -> str:
        says = f"echo {TERMINATED.decode().strip()}"
        ends = {OnSigterm.ENDS: f"; exit {TERMINATED_CODE}", OnSigterm.STAYS: ""}.get(self.on_sigterm)
        return "" if ends is None else f"trap '{says}{ends}' TERM; "

    @property
    def _body(self) -> str:
        count = (
            f"i=0; while [ $i -lt {self.lines} ]; do echo line $i; i=$((i+1)); done; " if self.lines else ""
        )
        if self.exit_code is not None:
            return f"{count}exit {self.exit_code}"
        # A shell runs its trap when `wait` returns, but not before a foreground command has ended.
        traps = self.on_sigterm is not OnSigterm.DIES
        return count + ("while :; do sleep 600 & wait $!; done" if traps else "exec sleep 600")

    @property
    def output(self) -> bytes:
        return "".join(f"line {number}\n" for number in range(self.lines)).encode()


class BackendRig(Protocol):
    """An engine or a host on which backends can be opened."""

    def open(self, owner: OwnerId) -> Backend:
        """A new backend on it, as the next daemon of that owner would open one."""

    def settings(self, script: RunnerScript) -> ScaleSetSettings:
        """Settings whose runners do what the script says."""

    def unusable_settings(self) -> ScaleSetSettings:
        """Settings with which no runner can start, for lack of the image or the command."""

    def destroy(self, resource: Resource) -> None:
        """Kill and remove it without the backend's knowledge, as somebody could by hand."""

    def leftovers(self) -> list[str]:
        """Everything that is left of runners, found without the backend: containers, processes, files."""


class Orders:
    """Makes orders, each for a new runner."""

    def __init__(self, rig: BackendRig) -> None:
        self._rig = rig
        self._clock = SystemClock()
        self._next_id = 1024
        self._ids: dict[str, int] = {}

    def make(
        self,
        script: RunnerScript | None = None,
        *,
        slot: int = 0,
        before_jit: Callable[[], None] | None = None,
    ) -> RunnerOrder:
        """`before_jit` is called by the order's `jit` before it returns; it may raise."""
        runner = new_runner_name()
        self._next_id += 1
        config = JitConfig(self._next_id, runner, encoded_jit(self._next_id, runner))
        self._ids[runner] = config.runner_id

        def jit() -> JitConfig:
            if before_jit is not None:
                before_jit()
            return config

        settings = self._rig.settings(script or RunnerScript())
        deadline = self._clock.monotonic() + PATIENCE
        return RunnerOrder(settings.key, SlotNumber(slot), runner, settings, jit, deadline)

    def runner_id(self, order: RunnerOrder) -> int:
        return self._ids[order.runner]


def encoded_jit(runner_id: int, runner: str) -> Secret:
    """A well-formed JIT configuration (docs/protocol.md § 8.1) that gives access to nothing."""
    identity = {"AgentId": runner_id, "AgentName": runner, "PoolId": 1, "Ephemeral": True}
    files = {".runner": identity, ".credentials": {"Scheme": "OAuth", "Data": {}}}
    encoded = {name: _base64(json.dumps(content)) for name, content in files.items()}
    return Secret(_base64(json.dumps(encoded)))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Observed:
    """Collects what a backend's watch reports, from now on."""

    def __init__(self, backend: Backend) -> None:
        self._seen: list[Observation] = []
        self._changed = threading.Condition(threading.RLock())
        self._watch = backend.watch(SystemClock().wall(), self._report)

    def _report(self, observation: Observation) -> None:
        with self._changed:
            self._seen.append(observation)
            self._changed.notify_all()

    def first(self) -> Observation:
        """Waits for it."""
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self._seen), PATIENCE), "nothing was observed"
            return self._seen[0]

    def ends(self) -> list[ResourceEnded]:
        with self._changed:
            return [seen for seen in self._seen if isinstance(seen, ResourceEnded)]

    def end_of(self, resource: Resource) -> ResourceEnded:
        """The first report of that resource's end. Waits for it."""

        def found() -> ResourceEnded | None:
            return next((seen for seen in self.ends() if seen.resource_id == resource.id), None)

        with self._changed:
            end = self._changed.wait_for(found, PATIENCE)
        assert end is not None, f"the end of {resource.id} was not observed"
        return end

    def stop(self) -> None:
        self._watch.stop()


def wait_for_output(backend: Backend, resource: Resource, expected: bytes) -> bytes:
    """Returns the runner's output when it contains that."""
    clock, never = SystemClock(), Interrupt()
    deadline = clock.monotonic() + PATIENCE
    while expected not in (output := backend.logs(resource, 100_000, never)):
        assert clock.monotonic() < deadline, output
        clock.pause(POLL_SECONDS, never)
    return output
