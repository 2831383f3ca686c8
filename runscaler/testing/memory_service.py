"""`github.base.ScaleSetService` for `MemoryGitHub`: calls the simulator's machine directly."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar, cast

from runscaler.config.secrets import Secret
from runscaler.errors import Interrupted, NotFound, QueueTokenExpired, ScaleSetGone, SessionGone
from runscaler.github import decode, error_replies, wire
from runscaler.github.base import JitConfig, ScaleSetId, Session, SessionId
from runscaler.github.messages import Batch, RegisteredRunner, RunnerScaleSet
from runscaler.simulator.bodies import acquirable_job, listing
from runscaler.simulator.checks import check_token
from runscaler.simulator.jit import encoded_jit_config
from runscaler.simulator.records import UnknownEvent
from runscaler.simulator.refusals import Refusal
from runscaler.simulator.scale_sets import ScaleSetSpec
from runscaler.simulator.tokens import TokenKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runscaler.errors import GitHubError
    from runscaler.github.base import ScaleSetChange
    from runscaler.github.fields import JsonValue
    from runscaler.github.messages import JobAvailable
    from runscaler.interrupt import Interrupt
    from runscaler.names import RunnerName
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.records import Message, Runner, ScaleSet
    from runscaler.simulator.records import Session as SimulatedSession
    from runscaler.testing.memory_github import MemoryGitHub

T = TypeVar("T")
URL = "memory://github"
UNAUTHORISED = 401


class MemoryService:
    """The service for the scale sets of one scope. `retry_for` has no effect, because nothing is retried."""

    def __init__(self, github: MemoryGitHub, scope: str) -> None:
        self._github = github
        self._scope = scope

    def clock_skew(self) -> float:
        return self._github.clock_skew

    def moved_to(self) -> str:
        return self._github.moved_to

    def group_id(self, name: str, interrupt: Interrupt, retry_for: float | None = 30.0) -> int:
        with self._call("group_id", interrupt) as machine:
            groups = {each.lower(): number for number, each in machine.store.groups.items()}
            if name.lower() not in groups:
                there = ", ".join(groups)
                raise NotFound(f"runner group {name!r} does not exist; there are: {there}", status=200)
            return groups[name.lower()]

    def find_scale_set(
        self, name: str, group_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        with self._call("find_scale_set", interrupt) as machine:
            found = machine.scale_sets.find(self._scope, name, group_id)
            return self._described(found[0]) if found else None

    def scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        with suppress(NotFound, ScaleSetGone), self._call("scale_set", interrupt) as machine:
            return self._described(machine.scale_sets.get(self._scope, scale_set_id))
        return None

    def create_scale_set(
        self,
        name: str,
        group_id: int,
        labels: Sequence[str],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        with self._call("create_scale_set", interrupt) as machine:
            return self._described(machine.scale_sets.create(self._scope, spec(name, group_id, labels)))

    def update_scale_set(
        self,
        scale_set_id: ScaleSetId,
        change: ScaleSetChange,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        with self._call("update_scale_set", interrupt, ScaleSetGone) as machine:
            scale_set = machine.scale_sets.get(self._scope, scale_set_id)
            name = change.name or scale_set.name
            group_id = change.runner_group_id or scale_set.group_id
            labels = change.labels or scale_set.label_names
            machine.scale_sets.update(scale_set, spec(name, group_id, labels), by_client=True)
            return self._described(scale_set)

    def delete_scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 10.0
    ) -> None:
        with suppress(NotFound, ScaleSetGone), self._call("delete_scale_set", interrupt) as machine:
            machine.scale_sets.delete(machine.scale_sets.get(self._scope, scale_set_id))

    def open_session(
        self,
        scale_set_id: ScaleSetId,
        owner_name: str,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> Session:
        with self._call("open_session", interrupt, ScaleSetGone) as machine:
            scale_set = machine.scale_sets.get(self._scope, scale_set_id)
            return self._session(machine.sessions.create(scale_set, owner_name))

    def refresh_session(
        self, session: Session, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> Session:
        with self._call("refresh_session", interrupt, SessionGone) as machine:
            scale_set = machine.scale_sets.get(self._scope, session.scale_set_id)
            return self._session(machine.sessions.refresh(scale_set, session.id))

    def close_session(
        self,
        scale_set_id: ScaleSetId,
        session_id: SessionId,
        interrupt: Interrupt,
        retry_for: float | None = 10.0,
    ) -> None:
        gone = (NotFound, ScaleSetGone, SessionGone)
        with suppress(*gone), self._call("close_session", interrupt) as machine:
            machine.sessions.delete(machine.scale_sets.get(self._scope, scale_set_id), session_id)

    def poll(
        self, session: Session, last_message_id: int, capacity: int, interrupt: Interrupt
    ) -> Batch | None:
        with self._call("poll", interrupt, SessionGone) as machine:
            live = live_session(machine, session)
            number = machine.sessions.poll_begins(live, last_message_id, capacity)

        def answer() -> tuple[Batch, ...] | None:
            """Empty if the poll ends without a message."""
            if interrupt.is_set() or live.poll != number:
                return ()
            message = machine.sessions.next_message(live, last_message_id)
            return (self._batch(message, live.scale_set),) if message is not None else None

        try:
            answered = self._wait(live, answer, interrupt)
        finally:
            with self._github.lock:
                machine.sessions.poll_ends(live)
        if not answered and interrupt.is_set():
            raise Interrupted
        return answered[0] if answered else None

    def acknowledge(
        self, session: Session, batch_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> None:
        with suppress(NotFound), self._call("acknowledge", interrupt) as machine:
            machine.message_queue.delete(live_session(machine, session).scale_set, batch_id)

    def acquirable_jobs(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> tuple[JobAvailable, ...]:
        with self._call("acquirable_jobs", interrupt, ScaleSetGone) as machine:
            offers = machine.scale_sets.get(self._scope, scale_set_id).offers.values()
            return decode.available_jobs(
                cast("JsonValue", listing([acquirable_job(job, URL) for job in offers]))
            )

    def acquire_jobs(
        self,
        session: Session,
        request_ids: Sequence[int],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> tuple[int, ...]:
        with self._call("acquire_jobs", interrupt, ScaleSetGone) as machine:
            scale_set = live_session(machine, session).scale_set
            return tuple(machine.dispatch.acquire(scale_set, request_ids))

    def jit_config(
        self,
        scale_set_id: ScaleSetId,
        runner: RunnerName,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> JitConfig:
        with self._call("jit_config", interrupt, ScaleSetGone) as machine:
            scale_set = machine.scale_sets.get(self._scope, scale_set_id)
            made = machine.runners.register(scale_set, runner, "", repeated=False)
            return JitConfig(made.id, runner, Secret(encoded_jit_config(made, URL, f"{URL}/{self._scope}")))

    def runner(
        self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        with suppress(NotFound), self._call("runner", interrupt) as machine:
            return registered(machine.runners.get(self._scope, runner_id))
        return None

    def find_runner(
        self, name: RunnerName, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        with self._call("find_runner", interrupt) as machine:
            found = machine.runners.find(self._scope, name)
            return registered(found[0]) if found else None

    def remove_runner(self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0) -> None:
        with self._call("remove_runner", interrupt) as machine:
            machine.runners.remove(self._scope, runner_id)

    @contextmanager
    def _call(
        self, name: str, interrupt: Interrupt, missing: type[GitHubError] = NotFound
    ) -> Iterator[Machine]:
        """Run the body of a call with the lock held: counted, delayed, and failed where a test says so."""
        github = self._github
        if github.latency and name != "poll":
            github.clock.pause(github.latency, interrupt)
        if interrupt.is_set():
            raise Interrupted
        with github.lock as machine, client_errors(name, missing):
            github.calls[name] += 1
            failures = github.failures.get(name)
            error, after = failures.popleft() if failures else (None, False)
            if error is not None and not after:
                raise error
            yield machine
        if error is not None:
            raise error

    def _wait(
        self, session: SimulatedSession, answer: Callable[[], T | None], interrupt: Interrupt
    ) -> T | None:
        lock = self._github.lock
        seconds = lock.machine.store.timers.long_poll if self._github.blocking else 0.0
        with client_errors("poll", SessionGone), interrupt.cancelling(lambda: lock.wake(session.id)):
            return lock.wait(session.id, answer, seconds)

    def _described(self, scale_set: ScaleSet) -> RunnerScaleSet:
        return RunnerScaleSet(
            id=scale_set.id,
            name=scale_set.name,
            runner_group_id=scale_set.group_id,
            runner_group_name=self._github.lock.machine.store.groups[scale_set.group_id],
            labels=scale_set.label_names,
            statistics=self._github.statistics(scale_set),
        )

    def _session(self, session: SimulatedSession) -> Session:
        scale_set = session.scale_set
        return Session(
            id=SessionId(session.id),
            scale_set_id=ScaleSetId(scale_set.id),
            queue_url=f"{URL}/queue/{scale_set.id}",
            queue_token=Secret(session.token),
            statistics=self._github.statistics(scale_set),
        )

    def _batch(self, message: Message, scale_set: ScaleSet) -> Batch:
        return Batch(
            id=message.id,
            statistics=None if scale_set.deaf else self._github.statistics(scale_set),
            events=tuple(event for event in message.events if not isinstance(event, UnknownEvent)),
            problems=tuple(event.kind for event in message.events if isinstance(event, UnknownEvent)),
        )


def spec(name: str, group_id: int, labels: Sequence[str]) -> ScaleSetSpec:
    return ScaleSetSpec(name, group_id, tuple((label, "System") for label in labels), disable_update=True)


def live_session(machine: Machine, session: Session) -> SimulatedSession:
    """The live session for a call to its queue, whose token is checked."""
    live = machine.sessions.live(session.id)
    token = session.queue_token.reveal()
    check_token(machine.store, token, TokenKind.QUEUE, live.id, f"a call on {session.queue_url}")
    return live


def registered(runner: Runner) -> RegisteredRunner:
    status = "online" if runner.online else "offline"
    return RegisteredRunner(runner.id, runner.name, runner.scale_set.id, status, runner.busy)


@contextmanager
def client_errors(name: str, missing: type[GitHubError]) -> Iterator[None]:
    """Turn refusals of the simulator into the errors that the real client raises for them. `missing` is
    its error for a 404 in this call."""
    try:
        yield
    except Refusal as refusal:
        raise client_error(refusal, name, missing) from None


def client_error(refusal: Refusal, name: str, missing: type[GitHubError]) -> GitHubError:
    request = wire.Request(name.replace("_", " "), "", URL, wire.bearer(Secret("")), {})
    reply = wire.Reply(refusal.status, {}, refusal.body(), request.host)
    if refusal.status == UNAUTHORISED:
        return error_replies.reply_error(QueueTokenExpired, request, reply)
    error = error_replies.error_from_reply(request, reply)
    return missing(str(error), status=error.status) if type(error) is NotFound else error
