"""One daemon in fast time, with a GitHub for each of its scale sets; all of them go away at the same time."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psutil
from loguru import logger
from support.accelerated import AcceleratedAutoscaler, AcceleratedClock
from support.daemon import wait_until
from support.embedded import POLL, configured

from runscaler.config.load import load_config
from runscaler.events import ScaleSetChanged
from runscaler.simulator.agent import WORKER
from runscaler.testing.simulator import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loguru import Message
    from support.daemon import Daemon, Latch
    from support.embedded import Fault

    from runscaler.events import Event
    from runscaler.status import ScaleSetStatus
    from runscaler.testing.simulator import JobView, SimulatedGitHub

IDLE, BUSY = 2, 1
SLOW_POLL = 2.0
NOTICED_SECONDS = 60.0
"""Of the daemon's time; after that each kind of call has failed."""
LOG_LEVEL = "INFO"
Agents = set[tuple[int, str]]
"""The pid and runner name of each agent process."""


@dataclass
class OutageRecord:
    """What was observed before, during and after the outage, by scale set."""

    outage: Outage
    before: dict[str, Agents] = field(default_factory=dict)
    after: dict[str, Agents] = field(default_factory=dict)
    started_during: dict[str, int] = field(default_factory=dict)
    states: dict[str, set[str]] = field(default_factory=dict)
    reasons: dict[str, set[str]] = field(default_factory=dict)
    log: dict[str, list[str]] = field(default_factory=dict)
    """Log lines at info and above while GitHub was away."""
    extra_polls_when_ok: dict[str, int] = field(default_factory=dict)
    """How many polls after the first one had started when the scale set was ok again."""
    jobs: dict[str, dict[str, tuple[JobView, ...]]] = field(default_factory=dict)


class Outage:
    """A context in which the daemon runs."""

    def __init__(
        self, githubs: Mapping[str, SimulatedGitHub], files: Daemon, latch: Latch, factor: float
    ) -> None:
        self.githubs, self.files, self._latch = githubs, files, latch
        self.clock = AcceleratedClock(factor)
        self.scaler = AcceleratedAutoscaler(load_config(files.path), self.clock)
        self._lock = threading.Lock()
        self._said: defaultdict[str, list[str]] = defaultdict(list)
        self._polls: dict[str, int] = {}
        """Ids of the faults that count the polls after the first one since GitHub's return."""
        self._extra_polls_when_ok: dict[str, int] = {}

    @staticmethod
    def config(githubs: Mapping[str, SimulatedGitHub]) -> dict[str, object]:
        keys = {"max_runners": 6, "min_runners": IDLE}
        return {"scaleset": [configured(github, name, **keys) for name, github in githubs.items()]}

    def __enter__(self) -> Self:
        self._sink = logger.add(self._hear, level=LOG_LEVEL, format="{message}")
        logger.enable("runscaler")
        self.scaler.subscribe(self._see)
        self.scaler.start()
        return self

    def __exit__(self, *_: object) -> None:
        for github in self.githubs.values():
            github.clear_faults()
        self._latch.release()
        try:
            self.scaler.stop()
        finally:
            self.files.close()
            logger.disable("runscaler")
            logger.remove(self._sink)

    # -- the outage ---------------------------------------------------------------------------------

    def run(self, outages: Mapping[str, Sequence[Fault]], seconds: float) -> OutageRecord:
        record = OutageRecord(self)
        held = self._queue(self._latch.step)
        self._reach(held, JobState.RUNNING)
        self._wait_for(
            lambda one: (one.idle, one.busy, one.total) == (IDLE, BUSY, IDLE + BUSY), "all runners at work"
        )
        record.before, started = self._agents(), self._started()
        self._inject(outages)
        during = self._queue("true")
        self._watch(record, seconds)
        record.after, record.log = self._agents(), self._lines()
        record.started_during = {name: count - started[name] for name, count in self._started().items()}
        self._return()
        afterwards = self._queue("true")
        self._latch.release()
        record.jobs = {
            "before": self._reach(held),
            "during": self._reach(during),
            "after": self._reach(afterwards),
        }
        self._wait_for(lambda one: one.state == "ok", "all scale sets ok")
        record.extra_polls_when_ok = dict(self._extra_polls_when_ok)
        self._end_slow_polls()
        return record

    def _inject(self, outages: Mapping[str, Sequence[Fault]]) -> None:
        with self._lock:
            self._said.clear()
        for name, faults in outages.items():
            for one in faults:
                self.githubs[name].inject(one.fault, count=one.count, match=one.match, **one.params)

    def _watch(self, record: OutageRecord, seconds: float) -> None:
        """Record states and reasons from when the outage has been noticed until it is over."""
        over = self.clock.monotonic() + seconds
        self._wait_for(lambda one: one.state == "degraded", "all scale sets degraded")
        noticed = self.clock.monotonic() + NOTICED_SECONDS
        wait_until(lambda: self.clock.monotonic() >= noticed, "a failure of every kind of call")

        def is_over() -> bool:
            for name in self.githubs:
                status = self._of(name)
                record.states.setdefault(name, set()).add(str(status.state))
                record.reasons.setdefault(name, set()).add(status.reason)
            return self.clock.monotonic() >= over

        wait_until(is_over, "the end of the outage")

    def _return(self) -> None:
        """End the outage. Only the first poll is quick, to tell whether it was the one that helped."""
        for name, github in self.githubs.items():
            github.clear_faults()
            self._polls[name] = github.inject("delay", after=1, count=None, seconds=SLOW_POLL, match=POLL)

    def _end_slow_polls(self) -> None:
        """Because the simulator would still work on a slow poll after its session has ended."""
        for github in self.githubs.values():
            github.clear_faults()
            github.wait_until(lambda state: any(one.polls_open for one in state.sessions))

    # -- state --------------------------------------------------------------------------------------

    def _of(self, name: str) -> ScaleSetStatus:
        return next(one for one in self.scaler.status().scale_sets if one.name == name)

    def _wait_for(self, holds: Callable[[ScaleSetStatus], bool], what: str) -> None:
        wait_until(lambda: all(holds(self._of(name)) for name in self.githubs), what)

    def _queue(self, step: str) -> dict[str, list[str]]:
        return {name: github.queue_jobs(name, 1, steps=[step]) for name, github in self.githubs.items()}

    def _reach(
        self, ids: Mapping[str, list[str]], state: JobState = JobState.COMPLETED
    ) -> dict[str, tuple[JobView, ...]]:
        return {name: self.githubs[name].wait_for_jobs(some, state) for name, some in ids.items()}

    def _started(self) -> dict[str, int]:
        return {name: self._of(name).counters.runners_started for name in self.githubs}

    def _agents(self) -> dict[str, Agents]:
        """The agents of each scale set, without the processes of their jobs."""
        runners = {slot.runner: name for name in self.githubs for slot in self._of(name).slots}
        found: dict[str, Agents] = {name: set() for name in self.githubs}
        for process, runner in self.files._processes():
            if runner in runners and is_agent(process):
                found[runners[runner]].add((process.pid, runner))
        return found

    # -- log and events -----------------------------------------------------------------------------

    def _hear(self, message: Message) -> None:
        with self._lock:
            self._said[message.record["extra"].get("scale_set", "")].append(message.record["message"])

    def _lines(self) -> dict[str, list[str]]:
        with self._lock:
            return {name: list(lines) for name, lines in self._said.items()}

    def _see(self, event: Event) -> None:
        """Called on a thread of the daemon."""
        if isinstance(event, ScaleSetChanged) and event.state == "ok" and event.scale_set in self._polls:
            hits = self.githubs[event.scale_set].hits(self._polls[event.scale_set])
            self._extra_polls_when_ok.setdefault(event.scale_set, hits)


def is_agent(process: psutil.Process) -> bool:
    """Whether it is a runner's main process, which lives as long as the runner."""
    with suppress(psutil.Error):
        words = process.cmdline()
        return any(word.endswith("agent.py") for word in words) and WORKER not in words
    return False
