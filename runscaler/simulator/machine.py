"""The simulated GitHub as one state machine without I/O (docs/protocol.md § 9.3).

    store        the things, their counts, the clock, chance, deadlines, violations, tokens
    scale_sets   make, find, change, delete            sessions   one live one a set, polls
    message_queue      events become messages                dispatch   jobs find sets, then runners
    jobs         queue, cancel                         leases     start, renew, complete
    runners      registrations                         agents     their processes' sessions

Every call first lets what is due by the clock happen (`tick`). None of it may be called from two
threads at once: the lock (`lock.py`) holds the lock.
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
        """Let everything happen that is due."""
        self.store.deadlines.run_due()

    def final_violations(self) -> tuple[Violation, ...]:
        """All violations, judged as if every client had come to its orderly end (V8, V12)."""
        now = self.store.clock.wall()
        left = (Violation(rule, text, now) for rule, text in (*self._undeleted(), *self._left_behind()))
        return (*self.store.violations.all(), *left)

    def _undeleted(self) -> Iterator[tuple[int, str]]:
        for scale_set in self.store.scale_sets.values():
            for message in scale_set.undeleted.values():
                if message.deliveries:
                    yield 8, f"message {message.id} of {scale_set.name} was delivered, never deleted"

    def _left_behind(self) -> Iterator[tuple[int, str]]:
        for scale_set in self.store.scale_sets.values():
            if scale_set.session is not None:
                yield 12, f"session {scale_set.session.id} of {scale_set.name} was left"
        for runner in self.store.runners.values():
            if runner.state in (RunnerState.REGISTERED, RunnerState.OFFLINE):
                yield 12, f"the registration of {runner.name} ({runner.state.value}) was left"
