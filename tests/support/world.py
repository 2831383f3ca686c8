"""A whole system without threads: GitHub, the backend and time are in memory, and the test plays them.

world = World(max_runners=5)
world.queue(3)                      # three jobs at GitHub
world.play()                        # everything that follows from it, to the end
assert world.backend_peak() == 3
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.planted import TOKEN

from runscaler.actors.context import ActorContext, Configuration
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.listener import ListenerActor
from runscaler.actors.messages import Shutdown
from runscaler.actors.root import RootActor
from runscaler.actors.scale_set import ScaleSetActor
from runscaler.autoscaler import metrics_of
from runscaler.backends.memory import MemoryBackend
from runscaler.config.model import Config, MetricsSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import Interrupted
from runscaler.policy.host_guard import Measurement
from runscaler.simulator.options import Flavour
from runscaler.status import ScaleSetStatus, SetState, Status
from runscaler.testing.clock import FakeClock
from runscaler.testing.memory_github import UNTIMED, MemoryGitHub
from runscaler.testing.probe import MOST_MESSAGES, ActorHarness, InlineWorkerPool, deliver_one, is_due

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.actors.base import SupervisedActor
    from runscaler.backends.base import Ending, Resource
    from runscaler.events import Event
    from runscaler.github.base import ScaleSetId, ScaleSetService, SessionId, TroubleReport
    from runscaler.github.messages import Batch, JobEvent
    from runscaler.interrupt import Interrupt
    from runscaler.names import RunnerName, ScaleSetKey
    from runscaler.simulator.records import Job

POLL_SECONDS = 50.0
URL = "https://github.com/my-org"


class PatientService:
    """A `ScaleSetService` whose long poll ends as if cut when there is nothing: the listener is quiet
    until `World.poll` lets it poll again. After `POLL_SECONDS` the poll has ended in vain."""

    def __init__(self, inner: ScaleSetService, world: World) -> None:
        self._inner, self._world, self._clock = inner, world, world.clock
        self._since: float | None = None
        self.quiet = False
        """The latest poll found nothing yet."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def poll(self, session: Any, last: int, capacity: int, interrupt: Interrupt) -> Batch | None:
        self.quiet = False
        now = self._clock.monotonic()
        since = now if self._since is None else self._since
        self._since = None
        batch = self._inner.poll(session, last, capacity, interrupt)
        if batch is None and now - since < POLL_SECONDS:
            self.quiet, self._since = True, since
            raise Interrupted
        return None if batch is None else self._world.what_arrives(batch)


class MemoryStateStore:
    """`ActorContext.state_store`, in memory."""

    def __init__(self) -> None:
        self.sessions: dict[ScaleSetKey, tuple[ScaleSetId, SessionId]] = {}
        self.registrations: defaultdict[ScaleSetKey, set[RunnerName]] = defaultdict(set)
        self.created: dict[ScaleSetKey, ScaleSetId] = {}
        self.outputs: dict[str, bytes] = {}
        self.aside: list[str] = []
        self.journal_entries: list[tuple[str, dict[str, object]]] = []

    def load_session(self, key: ScaleSetKey) -> tuple[ScaleSetId, SessionId] | None:
        return self.sessions.get(key)

    def save_session(self, key: ScaleSetKey, scale_set_id: ScaleSetId, session_id: SessionId) -> None:
        self.sessions[key] = (scale_set_id, session_id)

    def clear_session(self, key: ScaleSetKey) -> None:
        self.sessions.pop(key, None)

    def save_created(self, key: ScaleSetKey, scale_set_id: ScaleSetId) -> None:
        self.created[key] = scale_set_id

    def created_scale_set(self, key: ScaleSetKey) -> ScaleSetId | None:
        return self.created.get(key)

    def clear_created(self, key: ScaleSetKey) -> None:
        self.created.pop(key, None)

    def created_scale_sets(self) -> list[ScaleSetKey]:
        return sorted(self.created)

    def note_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        self.registrations[key].add(runner)

    def clear_registration(self, key: ScaleSetKey, runner: RunnerName) -> None:
        self.registrations[key].discard(runner)

    def noted_registrations(self, key: ScaleSetKey) -> list[RunnerName]:
        return sorted(self.registrations[key])

    def set_aside(self, key: ScaleSetKey, batch_id: int, content: str) -> Path | None:
        self.aside.append(content)
        return None

    def journal(self, key: ScaleSetKey, kind: str, **content: object) -> None:
        self.journal_entries.append((kind, content))

    def keep_output(self, key: ScaleSetKey, runner: str, output: bytes, ending: Ending | None) -> Path | None:
        self.outputs[runner] = output
        return Path(f"logs/{runner}.log")


class MemoryBoard:
    def __init__(self, status: Status) -> None:
        self.status = status

    def read(self) -> Status:
        return self.status

    def write(self, status: Status) -> None:
        self.status = status


class World:
    """`settings` are those of one scale set called linux, unless `scale_sets` are given."""

    def __init__(
        self,
        *,
        scale_sets: tuple[ScaleSetSettings, ...] = (),
        host_cap: int = 0,
        host: Mapping[str, object] = {},
        backend: type[MemoryBackend] = MemoryBackend,
        flavour: Flavour = Flavour.ASSIGN,
        metrics: MetricsSettings | None = None,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        self.github = MemoryGitHub(self.clock, replace(UNTIMED, flavour=flavour), blocking=False)
        self.backend = backend(self.clock, on_start=self._agent_starts)
        self.agents_connect = True
        self.lose_messages = False
        """Whether all job messages and statistics get lost."""
        self.counts_are_lost = False
        """Whether the statistics of messages get lost on their way."""
        self.withheld: tuple[type[JobEvent], ...] = ()
        """Kinds of job messages that get lost on their way; the statistics beside them do not."""
        self.delayed: tuple[type[JobEvent], ...] = ()
        """Kinds of job messages that are kept back until `deliver_late`; they wait in `late`."""
        self.late: list[JobEvent] = []
        self.unreadable = 0
        """So many more batches arrive with job messages that nobody can read (fault F51)."""
        self.deaf_next = 0
        """So many more agents start and never connect (fault F76): they are in `deaf`."""
        self.deaf: set[str] = set()
        self.running: dict[str, Resource] = {}
        """Agents that live, by runner."""
        self.connected: set[str] = set()
        self.started: list[str] = []
        """Every runner that was ever started, in order."""
        self.begun: dict[str, str] = {}
        """The job that each runner began, by runner."""
        self.cut_down: list[str] = []
        """Runners that were removed, not by the test, while their job ran."""
        self.hanging: tuple[type[Any], ...] = ()
        """Kinds of actors that are in a call just now: they handle no message."""
        self.events: list[Event] = []
        self.ended: list[str] = []
        self.state_store = MemoryStateStore()
        sets = scale_sets or (scale_set("linux", **settings),)
        self.config = Config(
            scale_sets=sets,
            host={"max_runners": host_cap, **host},  # type: ignore[arg-type]
            metrics=metrics or MetricsSettings(),
        )
        self.measured = Measurement()
        """What is measured on this host."""
        self.start()

    def start(self) -> None:
        """A new process: nothing in memory but what GitHub, the backend and the state store hold."""
        self.harness = ActorHarness()
        self.board = MemoryBoard(blank(self.config))
        self.metrics = metrics_of(self.config)
        context = ActorContext(
            configuration=Configuration(self.config),
            clock=self.clock,
            state_store=self.state_store,
            board=self.board,
            host_name="host-a",
            connect=self._connect,
            backend_id_of=self.backend_id_of,
            open_backend=self.open_backend,
            emit=self.events.append,
            make_worker_pool=InlineWorkerPool,
            measure_host=lambda: self.measure(),
            launch=self.harness.launch,
            metrics=self.metrics,
        )
        self.root = self.harness.add(RootActor(context, self.ended.append))
        self.root.on_start()

    def kill(self) -> None:
        """The process dies as by kill -9: its actors are no more, nothing was told to anybody."""
        for actor in self.harness.actors:
            actor.actor_stopped.set()
        for watch in list(self.backend.engine._watchers):
            watch.stop()

    def measure(self) -> Measurement:
        return self.measured

    def backend_id_of(self, _settings: ScaleSetSettings) -> str:
        return "memory"

    def open_backend(self, _settings: ScaleSetSettings) -> MemoryBackend:
        return self.backend

    def _connect(self, settings: ScaleSetSettings, report: TroubleReport) -> ScaleSetService:
        return PatientService(self.github.connect(settings, report), self)  # type: ignore[return-value]

    def _agent_starts(self, resource: Resource) -> None:
        self.started.append(resource.runner)
        self.running[resource.runner] = resource
        if self.deaf_next:
            self.deaf_next -= 1
            self.deaf.add(resource.runner)

    def what_arrives(self, batch: Batch) -> Batch:
        """The batch, without the job messages that are lost or late, and perhaps without its counts."""
        if self.counts_are_lost or self.lose_messages:
            batch = replace(batch, statistics=None)
        if self.lose_messages:
            batch = replace(batch, events=())
        events = [one for one in batch.events if not isinstance(one, self.withheld)]
        if self.unreadable:
            self.unreadable -= 1
            return replace(batch, events=(), problems=("a message that nobody can read",))
        self.late += [one for one in events if isinstance(one, self.delayed)]
        return replace(batch, events=tuple(one for one in events if not isinstance(one, self.delayed)))

    # -- what the test does --------------------------------------------------------------------------

    def queue(self, count: int = 1, name: str = "linux") -> list[Job]:
        return self.github.queue(name, count)

    def deliver_late(self, name: str = "linux") -> None:
        """The job messages that were kept back come now."""
        self.delayed, late, self.late = (), self.late, []
        self.github.say(name, *late)

    def play(self) -> None:
        """Deliver everything; listeners poll until GitHub has no more to say."""
        while True:
            self.live_agents()
            self.deliver()
            before = self._progress()
            self.poll()
            self.deliver()
            self._bury_agents()
            if self._progress() == before and not self.unconnected():
                return

    def deliver(self) -> None:
        """What is due now, and what follows from it, until every inbox is quiet."""
        for _ in range(MOST_MESSAGES):
            due = self.due()
            if not due:
                return
            for actor in due:
                deliver_one(actor)
        raise AssertionError(f"the actors were still busy after {MOST_MESSAGES} rounds")

    def due(self) -> list[SupervisedActor[Any]]:
        """The actors that have a message to handle, in the order in which they were made."""
        return [one for one in self.harness.actors if is_due(one) and not isinstance(one, self.hanging)]

    def poll(self) -> None:
        """Listeners whose long poll is under way poll again, once."""
        for listener in self.harness.alive(ListenerActor):
            service: Any = listener._service
            if service.quiet:
                service.quiet = False
                listener._schedule_turn()

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time, delivering what becomes due."""
        whole, rest = divmod(seconds, 1.0)
        for step in [1.0] * int(whole) + ([rest] if rest else []):
            self.clock.advance(step)
            self.play()

    def _progress(self) -> tuple[int, int]:
        """Grows with everything that happens, but not with a poll that found nothing."""
        calls = self.github.calls
        return sum(calls.values()) - calls["poll"], len(self.events)

    def unconnected(self) -> list[Resource]:
        if not self.agents_connect:
            return []
        return [one for one in self.running.values() if one.runner not in self.connected | self.deaf]

    def live_agents(self) -> None:
        """What happens to the agents by itself: the removed die, the started connect, jobs begin."""
        self._bury_agents()
        for resource in self.unconnected():
            self.connected.add(resource.runner)
            try:
                job = self.github.runner_online(
                    resource.runner_id, on_job=lambda job, r=resource: self._begin(r, job)
                )
            except LookupError:  # its registration is gone: GitHub will not have it
                self.end(resource.runner, 0)
                continue
            if job is not None:
                self._begin(resource, job)

    def _bury_agents(self) -> None:
        for runner, resource in list(self.running.items()):
            if not self._lives(resource):
                del self.running[runner]
                if runner in self.begun:
                    self.cut_down.append(runner)
                self.github.runner_gone(resource.runner_id)

    def _lives(self, resource: Resource) -> bool:
        found = self.backend.engine.find(resource.id)
        return found is not None and found.ending is None

    def _begin(self, resource: Resource, job: Job) -> None:
        if not self._lives(resource):
            self.github.runner_gone(resource.runner_id)
            return
        self.backend.engine.jobs_running.add(resource.id)
        self.begun[resource.runner] = job.id
        self.github.start_job(resource.runner_id)

    def working(self) -> list[str]:
        """Runners whose job runs."""
        return [runner for runner in self.running if runner in self.begun]

    def end(self, runner: str, exit_code: int | None = 0, **how: Any) -> None:
        """The runner's process ends by itself, whatever it was doing."""
        resource = self.running.pop(runner)
        self.backend.end(resource.id, exit_code, **how)
        self.github.runner_gone(resource.runner_id)

    def vanish(self, runner: str) -> None:
        """Somebody removes the runner's resource by hand."""
        resource = self.running.pop(runner)
        self.backend.engine.vanish(resource.id)
        self.github.runner_gone(resource.runner_id)

    def end_unregistered(self) -> None:
        """Idle agents whose registration is gone notice that, and end (fault F78)."""
        for runner in list(self.running):
            if runner not in self.begun and runner not in self.github.runner_names:
                self.end(runner, 0)

    def finish(self, runner: str, *, ends: bool = True, result: str = "succeeded") -> None:
        """The runner's job is over; `ends`: and its process too, else that lingers."""
        resource = self.running.pop(runner)
        self.backend.engine.jobs_running.discard(resource.id)
        self.github.finish_job(resource.runner_id, result)
        if ends:
            self.backend.end(resource.id, 0)

    def finish_all(self) -> None:
        for runner in self.working():
            self.finish(runner)

    def shut_down(self) -> None:
        self.root.actor_ref.tell(Shutdown())

    def crash(self, kind: type[Any], number: int = 0) -> None:
        """That actor dies of a message it does not know."""
        self.harness.alive(kind)[number].actor_ref.tell(object())

    # -- what the test sees --------------------------------------------------------------------------

    def status(self, number: int = 0) -> ScaleSetStatus:
        """The latest snapshot: a publication is at most 50 ms old."""
        self.clock.advance(0.05)
        self.deliver()
        return self.board.read().scale_sets[number]

    def states(self, number: int = 0) -> list[str]:
        return [slot.state for slot in self.status(number).slots]

    def resources(self) -> list[Resource]:
        return self.backend.inventory()


def scale_set(name: str, **settings: Any) -> ScaleSetSettings:
    return ScaleSetSettings(**{"url": URL, "name": name, "token": Secret(TOKEN), **settings})


def blank(config: Config) -> Status:
    sets = tuple(
        ScaleSetStatus(one.name, one.url, one.runner_group, one.backend, SetState.STARTING)
        for one in config.scale_sets
    )
    return Status("0", 0.0, sets)


__all__ = ["KeeperActor", "ScaleSetActor", "World", "scale_set"]
