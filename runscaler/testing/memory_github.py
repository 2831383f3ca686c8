"""GitHub in memory: the simulator's state machine behind `github.base.ScaleSetService`, without HTTP.

    github = MemoryGitHub(clock)
    service = github.connect(settings)          # what an actor is given
    github.queue("my-runners", 3)               # jobs
    job = github.runner_online(runner_id)       # an agent connects ...
    github.start_job(runner_id)                 # ... begins its job ...
    github.finish_job(runner_id, "succeeded")   # ... and is done

No timer runs by itself, unless the options have shorter ones: what time would do (a lost lease, a
withdrawn assignment, an expired session) is a method that the test calls. All methods may be called from
any thread; `on_job` is called on the thread whose call gave the job away, with no lock held.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from runscaler.simulator.admin_actions import steal
from runscaler.simulator.machine import Machine
from runscaler.simulator.machine_lock import MachineLock
from runscaler.simulator.options import Options
from runscaler.simulator.records import JobSpec, RunnerState, SessionState, UnknownEvent
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

NEVER = 1e9
"""Seconds, some thirty years."""
UNTIMED = Options(
    timers=Timers(
        queue_token=NEVER,
        session=NEVER,
        agent_silence=NEVER,
        registration=NEVER,
        lease=NEVER,
        pick_up=NEVER,
        start=NEVER,
        queue=NEVER,
        dormant=NEVER,
    )
)


class MemoryGitHub:
    """One GitHub for any number of scale sets and organisations.

    `blocking=False` is for tests without threads: an empty poll returns None at once instead of waiting
    for the long poll's (real) seconds. `latency` seconds pass on the clock in every call but polls.
    `calls` counts the calls of `ScaleSetService` by name.
    """

    def __init__(
        self, clock: Clock, options: Options = UNTIMED, *, blocking: bool = True, latency: float = 0.0
    ) -> None:
        self.clock = clock
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
        """What `github.client.connect` returns, for this GitHub."""
        scope = self._scopes[settings.name.lower()] = scope_of(settings.url)
        if report is not None:
            self._reports[settings.name.lower()] = report
        return MemoryService(self, scope)

    # What there is

    def scale_set(self, set_name: str) -> ScaleSet | None:
        """The live scale set of that name, case ignored, whatever its organisation."""
        with self.lock:
            return self._store.named_set(set_name)

    @property
    def runners(self) -> dict[int, Runner]:
        """The registrations that there are, by id."""
        with self.lock:
            return {runner.id: runner for runner in self._store.names.values()}

    @property
    def runner_names(self) -> dict[str, Runner]:
        """The registrations that there are, by name."""
        return {runner.name: runner for runner in self.runners.values()}

    def statistics(self, scale_set: ScaleSet) -> Statistics:
        """What GitHub says: the truth, unless it was made to lie."""
        return self._believed.get(scale_set.id) or scale_set.statistics

    # Jobs

    def queue(self, set_name: str, count: int = 1) -> list[Job]:
        """Queue jobs for that scale set; they wait for it if it is not there yet."""
        with self.lock as machine:
            there = self._store.named_set(set_name)
            scope = there.scope if there else self._scopes.get(set_name.lower(), "my-org")
            order = JobSpec(scope, (set_name,), count=count, repository=default_repository(scope))
            return machine.jobs.queue(order)

    def cancel(self, job: Job) -> None:
        with self.lock as machine:
            machine.jobs.cancel(job)

    def withdraw(self, job: Job) -> None:
        """Take an assignment back that no runner started; the job is queued again (fault F83)."""
        with self.lock as machine:
            machine.dispatch.withdraw(job)

    # The agent of a runner

    def runner_online(self, runner_id: int, on_job: Callable[[Job], None] | None = None) -> Job | None:
        """An agent connects: the job it gets at once, or None; then `on_job` is called when one comes.

        Raises `LookupError` when the registration is gone.
        """
        with self._registration(runner_id) as runner:
            agents = self.lock.machine.agents
            agent = agents.register(runner_id, (runner.client_id, runner.secret), "")
            agents.poll_begins(agent)
            return self._next_job(agent, on_job)

    def _next_job(self, agent: AgentSession, on_job: Callable[[Job], None] | None) -> Job | None:
        """The agent's poll ends with a job, or goes on until the agent is woken."""
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
            except AgentRefusal:  # its registration is gone
                return
        if job is not None:
            on_job(job)

    def start_job(self, runner_id: int) -> None:
        """The agent begins the job it was given: JobStarted."""
        with self._registration(runner_id) as runner:
            if runner.job is not None:
                self.lock.machine.leases.start(runner, runner.job.id)

    def finish_job(self, runner_id: int, result: str = "succeeded") -> None:
        """The job is over (JobCompleted) and the registration gone."""
        with self._registration(runner_id) as runner:
            assert runner.job is not None, f"{runner.name} has no job"
            self.lock.machine.leases.complete(runner, runner.job.id, result)

    def runner_gone(self, runner_id: int) -> None:
        """The agent has vanished: offline; with a running job it counts as busy until `lease_over`."""
        with self.lock as machine:
            runner = self._store.runners.get(runner_id)
            if runner is None or runner.agent is None:
                return
            if runner.agent.polls:
                machine.agents.poll_ends(runner.agent, lost=True)
            machine.agents.go_offline(runner)

    def lease_over(self, runner_id: int) -> None:
        """GitHub gives up the job of a runner that vanished: it has failed, the registration goes."""
        with self.lock as machine:
            runner = self._store.runners.get(runner_id)
            if runner is not None and runner.state is RunnerState.BUSY and runner.job is not None:
                machine.leases.end(runner.job, "failed")

    # What else happens at GitHub

    def add_scale_set(self, url: str, name: str, group_id: int, labels: tuple[str, ...]) -> ScaleSet:
        """Somebody else creates it."""
        spec = ScaleSetSpec(name, group_id, tuple((label, "System") for label in labels))
        with self.lock as machine:
            return machine.scale_sets.create(scope_of(url), spec)

    def hold_session(self, set_name: str) -> None:
        """Another listener takes the scale set: ours is over, and opening one is a conflict (F34, F37)."""
        with self._changing(set_name) as scale_set:
            steal(self.lock.machine, scale_set)

    def end_session(self, set_name: str) -> None:
        """The session is over, whoever holds it (F36)."""
        with self._changing(set_name) as scale_set:
            if scale_set.session is not None:
                self.lock.machine.sessions.end(scale_set.session, SessionState.EXPIRED)

    def expire_queue_token(self, set_name: str) -> None:
        """The session's token is over before its time (F25)."""
        with self._changing(set_name) as scale_set:
            if scale_set.session is not None:
                self.lock.machine.sessions.expire_token(scale_set.session)

    def delete_scale_set(self, set_name: str) -> None:
        """Somebody deletes it (F58); its jobs wait for another of that name."""
        with self._changing(set_name) as scale_set:
            self.lock.machine.scale_sets.end(scale_set)

    def change_scale_set(
        self, set_name: str, *, name: str = "", group_id: int = 0, labels: tuple[str, ...] = ()
    ) -> None:
        """Somebody changes it by hand (F59); what is empty stays."""
        changed = tuple((label, "System") for label in labels) or None
        with self._changing(set_name) as scale_set:
            self._store.groups.setdefault(group_id or 1, f"group {group_id}")
            self.lock.machine.scale_sets.update(scale_set, ScaleSetSpec(name, group_id, changed))

    def restart_ids(self, set_name: str, first: int = 1) -> None:
        """From now on the ids of its batches count up from `first` again (F55)."""
        with self._changing(set_name) as scale_set:
            self.lock.machine.message_queue.restart_ids(scale_set, first)

    def deregister(self, runner_id: int) -> None:
        """Somebody removes a registration (F78, F79), busy or not."""
        with self._registration(runner_id) as runner:
            self.lock.machine.runners.deregister(runner)

    def say(self, set_name: str, *events: JobEvent, problems: tuple[str, ...] = ()) -> None:
        """Put job messages of the test's own making into the queue; `problems` are ones that nobody can read."""
        with self._changing(set_name) as scale_set:
            self.lock.machine.message_queue.post(scale_set, *events, *map(UnknownEvent, problems))

    def say_again(self, set_name: str) -> None:
        """Repeat the job messages of all batches not yet acknowledged, under a new id (F42)."""
        with self._changing(set_name) as scale_set:
            for message in list(scale_set.undeleted.values()):
                self.lock.machine.message_queue.post(scale_set, *message.events)

    def believe(self, set_name: str, statistics: Statistics | None) -> None:
        """Make the counts of that set lie (F66 to F70); None: the truth again."""
        with self._changing(set_name) as scale_set:
            self._believed.pop(scale_set.id, None)
            if statistics is not None:
                self._believed[scale_set.id] = statistics

    def fail_next(self, call: str, error: GitHubError, times: int = 1, *, after: bool = False) -> None:
        """The next calls of that method of `ScaleSetService` raise; `after`: once they took effect."""
        with self.lock:
            self.failures[call].extend([(error, after)] * times)

    def report(self, set_name: str, trouble: Trouble | None) -> None:
        """Tell whoever connected that scale set of trouble, as a call that is being retried would."""
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
