"""The simulated GitHub as a state machine without I/O (docs/protocol.md § 9.3).

    store          all records, the clock, deadlines, tokens, violations
    scale_sets     create, find, change, delete
    sessions       message sessions and their polls
    message_queue  job events become messages, which are delivered until deleted
    jobs           queue, cancel
    dispatch       jobs are assigned to scale sets, then offered to runners
    leases         a job on a runner: start, renew, complete
    runners        registrations
    agents         the sessions of the runners' processes

Call `tick` before each step, so that what is due by the clock happens first. The machine is not
thread-safe: use it through `machine_lock.MachineLock`, which also ticks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.agents import Agents
from runscaler.simulator.dispatch import Dispatch
from runscaler.simulator.jobs import Jobs
from runscaler.simulator.leases import Leases
from runscaler.simulator.message_queue import MessageQueue
from runscaler.simulator.records import RunnerState
from runscaler.simulator.runners import Runners
from runscaler.simulator.scale_sets import ScaleSets
from runscaler.simulator.sessions import Sessions
from runscaler.simulator.store import Store
from runscaler.simulator.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from runscaler.clock import Clock
    from runscaler.simulator.options import Options


class Machine:
    def __init__(self, clock: Clock, random: Random, options: Options) -> None:
        self.store = Store(clock, random, options)
        self.message_queue = MessageQueue(self.store)
        self.dispatch = Dispatch(self.store, self.message_queue)
        self.jobs = Jobs(self.store, self.dispatch)
        self.leases = Leases(self.store, self.message_queue, self.dispatch)
        self.sessions = Sessions(self.store, self.message_queue, self.dispatch)
        self.scale_sets = ScaleSets(self.store, self.sessions, self.jobs)
        self.runners = Runners(self.store)
        self.agents = Agents(self.store, self.runners, self.dispatch)

    def tick(self) -> None:
        """Run all deadlines that are due."""
        self.store.deadlines.run_due()

    def final_violations(self) -> tuple[Violation, ...]:
        """All violations, including those that only show when every client has ended (V8, V12)."""
        now = self.store.clock.wall()
        left = (Violation(rule, text, now) for rule, text in (*self._undeleted(), *self._left_behind()))
        return (*self.store.violations.all(), *left)

    def _undeleted(self) -> Iterator[tuple[int, str]]:
        """The latest message of a closed session is none if it was delivered once: a client that cancels its
        poll to leave may lose that very reply."""
        for scale_set in self.store.scale_sets.values():
            latest = max(scale_set.undeleted, default=0) if scale_set.session is None else 0
            for message in scale_set.undeleted.values():
                if message.deliveries > (message.id == latest):
                    yield 8, f"message {message.id} of {scale_set.name} was delivered, never deleted"

    def _left_behind(self) -> Iterator[tuple[int, str]]:
        for scale_set in self.store.scale_sets.values():
            if scale_set.session is not None:
                yield 12, f"session {scale_set.session.id} of {scale_set.name} was left open"
        for runner in self.store.runners.values():
            if runner.state in (RunnerState.REGISTERED, RunnerState.OFFLINE):
                yield 12, f"the registration of {runner.name} ({runner.state.value}) was left behind"
