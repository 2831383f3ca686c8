"""GitHub in memory: the simulator's state machine, without HTTP, as a `github.base.ScaleSetService`.

    github = MemoryGitHub(clock)
    service = github.connect(settings)          # the service for the actors
    github.queue("my-runners", 3)               # queue jobs
    job = github.runner_online(runner_id)       # an agent connects,
    github.start_job(runner_id)                 # starts its job
    github.finish_job(runner_id, "succeeded")   # and completes it

By default nothing happens just because time passes: an expired lease or session and a withdrawn assignment
are methods that the test calls. Pass options with other timers to change that. All methods may be called
from any thread; `on_job` is called without the lock, on the thread whose call led to the job.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from random import Random
from typing import TYPE_CHECKING

from runscaler.simulator.admin_actions import steal
from runscaler.simulator.machine import Machine
from runscaler.simulator.machine_lock import MachineLock
from runscaler.simulator.options import Options
from runscaler.simulator.records import JobSpec, JobState, RunnerState, SessionState, UnknownEvent
from runscaler.simulator.refusals import AgentRefusal
from runscaler.simulator.scale_sets import ScaleSetSpec
from runscaler.simulator.scopes import default_repository, scope_of
from runscaler.simulator.store import runner_key
from runscaler.simulator.timers import Timers
from runscaler.testing.memory_service import MemoryService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.errors import GitHubError
    from runscaler.github.base import ScaleSetService, Trouble, TroubleReport
    from runscaler.github.messages import JobEvent, Statistics
    from runscaler.simulator.records import AgentSession, Job, Runner, ScaleSet

THIRTY_YEARS = 1e9
UNTIMED = Options(
    timers=Timers(
        queue_token=THIRTY_YEARS,
        session=inf,
        agent_silence=inf,
        registration=inf,
        lease=inf,
        pick_up=inf,
        start=inf,
        queue=inf,
        dormant=inf,
    )
)
"""Nothing happens just because time passes."""


class MemoryGitHub:
    """One GitHub for any number of scale sets and organisations.

    `blocking=False` is for tests without threads: a poll without a message returns None at once instead
    of waiting. Each call except polls takes `latency` seconds of the clock. `calls` counts the calls of
    `ScaleSetService` by name, `failures` holds what `fail_next` has set.
    """

    def __init__(
        self, clock: Clock, options: Options = UNTIMED, *, blocking: bool = True, latency: float = 0.0
    ) -> None:
        self.clock = clock
        self.clock_skew = 0.0
        """What `ScaleSetService.clock_skew` answers, in seconds."""
        self.moved_to = ""
        """What `ScaleSetService.moved_to` answers."""
        self.blocking = blocking
        self.latency = latency
        self.lock = MachineLock(Machine(clock, Random(0), options))
        self.calls: Counter[str] = Counter()
        self.failures: defaultdict[str, deque[tuple[GitHubError, bool]]] = defaultdict(deque)
        self._store = self.lock.machine.store
        self._scopes: dict[str, str] = {}
        self._reports: dict[str, TroubleReport] = {}
        self._believed: dict[int, Statistics] = {}

    def connect(self, settings: ScaleSetSettings, report: TroubleReport | None = None) -> ScaleSetService:
        """The counterpart of `github.client.connect`."""
        scope = self._scopes[settings.name.lower()] = scope_of(settings.url)
        if report is not None:
            self._reports[settings.name.lower()] = report
        return MemoryService(self, scope)

    # State

    def scale_set(self, set_name: str) -> ScaleSet | None:
        """The live scale set of that name in any organisation, ignoring case."""
        with self.lock:
            return self._store.named_set(set_name)

    @property
    def runners(self) -> dict[int, Runner]:
        """The registered runners by id."""
        with self.lock:
            return {runner.id: runner for runner in self._store.names.values()}

    @property
    def runner_names(self) -> dict[str, Runner]:
        """The registered runners by name."""
        return {runner.name: runner for runner in self.runners.values()}

    def statistics(self, scale_set: ScaleSet) -> Statistics:
        """The statistics that GitHub sends: the true ones, or those of `believe`."""
        return self._believed.get(scale_set.id) or scale_set.statistics

    # Jobs

    def queue(self, set_name: str, count: int = 1) -> list[Job]:
        """Queue jobs for that scale set, which need not exist yet."""
        with self.lock as machine:
            there = self._store.named_set(set_name)
            scope = there.scope if there else self._scopes.get(set_name.lower(), "my-org")
            spec = JobSpec(scope, (set_name,), count=count, repository=default_repository(scope))
            return machine.jobs.queue(spec)

    def cancel(self, job: Job) -> None:
        with self.lock as machine:
            machine.jobs.cancel(job)

    def withdraw(self, job: Job) -> None:
        """Withdraw the assignment of a job that no runner has started (fault F83)."""
        with self.lock as machine:
            machine.dispatch.withdraw(job)

    # Agents

    def runner_online(self, runner_id: int, on_job: Callable[[Job], None] | None = None) -> Job | None:
        """Connect the runner's agent and return its job; without one, `on_job` is called when one comes.

        Raises `LookupError` if the runner is not registered.
        """
        with self._registration(runner_id) as runner:
            agents = self.lock.machine.agents
            agent = agents.register(runner_id, (runner.client_id, runner.secret), "")
            agents.poll_begins(agent)
            return self._next_job(agent, on_job)

    def _next_job(self, agent: AgentSession, on_job: Callable[[Job], None] | None) -> Job | None:
        """End the agent's poll with a job, or let it go on until the agent is woken."""
        machine = self.lock.machine
        job = machine.agents.next_job(agent)
        if job is not None:
            machine.agents.poll_ends(agent, lost=False)
        elif on_job is not None:
            self.lock.call_when_woken(runner_key(agent.runner.id), lambda: self._woken(agent, on_job))
        return job

    def _woken(self, agent: AgentSession, on_job: Callable[[Job], None]) -> None:
        with self.lock:
            try:
                job = self._next_job(agent, on_job) if agent.polls else None
            except AgentRefusal:  # its registration was removed
                return
        if job is not None:
            on_job(job)

    def start_job(self, runner_id: int) -> None:
        """The agent starts the job that it got (JobStarted)."""
        with self._registration(runner_id) as runner:
            if runner.job is not None:
                self.lock.machine.leases.start(runner, runner.job.job_id)

    def finish_job(self, runner_id: int, result: str = "succeeded") -> None:
        """The agent completes its job (JobCompleted), which ends the registration, if that is still there."""
        with self.lock as machine:
            runner = self._store.runners[runner_id]
            assert runner.job is not None, f"{runner.name} has no job"
            machine.leases.complete(runner, runner.job.job_id, result)

    def runner_gone(self, runner_id: int) -> None:
        """The agent is gone: the runner is offline, or with a running job busy until `lease_over`."""
        with self.lock as machine:
            runner = self._store.runners.get(runner_id)
            if runner is None or runner.agent is None:
                return
            if runner.agent.polls:
                machine.agents.poll_ends(runner.agent, lost=True)
            machine.agents.go_offline(runner)

    def lease_over(self, runner_id: int) -> None:
        """The lease of the runner's job expires: the job has failed and the registration ends."""
        with self.lock as machine:
            runner = self._store.runners.get(runner_id)
            job = None if runner is None else runner.job
            if job is not None and job.state is JobState.RUNNING:
                machine.leases.end(job, "failed")

    # Changes from outside, and faults (docs/protocol.md § 10)

    def add_scale_set(self, url: str, name: str, group_id: int, labels: tuple[str, ...]) -> ScaleSet:
        """Create a scale set as another client would."""
        spec = ScaleSetSpec(name, group_id, tuple((label, "System") for label in labels))
        with self.lock as machine:
            return machine.scale_sets.create(scope_of(url), spec)

    def hold_session(self, set_name: str) -> None:
        """Another client opens a session: ours ends, and opening one is a conflict (faults F34, F37)."""
        with self._changing(set_name) as scale_set:
            steal(self.lock.machine, scale_set)

    def end_session(self, set_name: str) -> None:
        """Expire the session, whoever holds it (fault F36)."""
        with self._changing(set_name) as scale_set:
            if scale_set.session is not None:
                self.lock.machine.sessions.end(scale_set.session, SessionState.EXPIRED)

    def expire_queue_token(self, set_name: str) -> None:
        """Expire the queue token of the session (fault F25)."""
        with self._changing(set_name) as scale_set:
            if scale_set.session is not None:
                self.lock.machine.sessions.expire_token(scale_set.session)

    def delete_scale_set(self, set_name: str) -> None:
        """Delete the scale set (fault F58); its jobs wait for another one of that name."""
        with self._changing(set_name) as scale_set:
            self.lock.machine.scale_sets.end(scale_set)

    def change_scale_set(
        self, set_name: str, *, name: str = "", group_id: int = 0, labels: tuple[str, ...] = ()
    ) -> None:
        """Change the scale set by hand (fault F59); empty values leave a field as it is."""
        changed = tuple((label, "System") for label in labels) or None
        with self._changing(set_name) as scale_set:
            self._store.groups.setdefault(group_id or 1, f"group {group_id}")
            self.lock.machine.scale_sets.update(scale_set, ScaleSetSpec(name, group_id, changed))

    def let_clients_change_labels(self) -> None:
        """From now on labels are not fixed when a scale set is created (docs/protocol.md § 4.3)."""
        with self.lock:
            self._store.options = replace(self._store.options, labels_mutable=True)

    def restart_ids(self, set_name: str, first: int = 1) -> None:
        """Let the ids of new batches start at `first` (fault F55)."""
        with self._changing(set_name) as scale_set:
            self.lock.machine.message_queue.restart_ids(scale_set, first)

    def deregister(self, runner_id: int) -> None:
        """Remove the registration of a runner, busy or not (faults F78, F79)."""
        with self._registration(runner_id) as runner:
            self.lock.machine.runners.deregister(runner)

    def say(self, set_name: str, *events: JobEvent, problems: tuple[str, ...] = ()) -> None:
        """Queue job messages made by the test. `problems` become messages that the client cannot read."""
        with self._changing(set_name) as scale_set:
            self.lock.machine.message_queue.post(scale_set, *events, *map(UnknownEvent, problems))

    def say_again(self, set_name: str) -> None:
        """Repeat the job messages of all unacknowledged batches under a new id (fault F42)."""
        with self._changing(set_name) as scale_set:
            for message in list(scale_set.undeleted.values()):
                self.lock.machine.message_queue.post(scale_set, *message.events)

    def believe(self, set_name: str, statistics: Statistics | None) -> None:
        """Send these statistics of the scale set (faults F66 to F70); None restores the true ones."""
        with self._changing(set_name) as scale_set:
            self._believed.pop(scale_set.id, None)
            if statistics is not None:
                self._believed[scale_set.id] = statistics

    def fail_next(self, call: str, error: GitHubError, times: int = 1, *, after: bool = False) -> None:
        """Let the next calls of this method of `ScaleSetService` raise the error; `after` they took effect,
        as if only the reply were lost."""
        with self.lock:
            self.failures[call].extend([(error, after)] * times)

    def report(self, set_name: str, trouble: Trouble | None) -> None:
        """Report trouble to the client of that scale set, as a call that is being retried would."""
        self._reports[set_name.lower()](trouble)

    @contextmanager
    def _changing(self, set_name: str) -> Iterator[ScaleSet]:
        with self.lock:
            scale_set = self._store.named_set(set_name)
            if scale_set is None:
                raise LookupError(f"no scale set {set_name!r}")
            yield scale_set

    @contextmanager
    def _registration(self, runner_id: int) -> Iterator[Runner]:
        with self.lock:
            runner = self._store.runners.get(runner_id)
            if runner is None or runner.state is RunnerState.GONE:
                raise LookupError(f"runner {runner_id} is not registered")
            yield runner
