"""`github.base.ScaleSetService` on top of `MemoryGitHub`: what a scale set's actors are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.secrets import Secret
from runscaler.errors import (
    Interrupted,
    JobStillRunning,
    NotFound,
    QueueTokenExpired,
    Refused,
    RunnerExists,
    ScaleSetGone,
    SessionConflict,
    SessionGone,
)
from runscaler.github.base import JitConfig, ScaleSetId, Session, SessionId
from runscaler.testing.memory_records import RunnerState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.github.messages import Batch, JobAvailable, RegisteredRunner, RunnerScaleSet
    from runscaler.interrupt import Interrupt
    from runscaler.names import RunnerName
    from runscaler.testing.memory_records import MemorySession
    from runscaler.testing.memory_scale_set import MemoryScaleSet
    from runscaler.testing.memory_world import MemoryWorld


class MemoryService:
    """One config URL's view of a `MemoryWorld`; `retry_for` means nothing here, as nothing is retried."""

    def __init__(self, world: MemoryWorld, url: str) -> None:
        self._world = world
        self._url = url

    def group_id(self, name: str, interrupt: Interrupt, retry_for: float | None = 30.0) -> int:
        with self._world.call("group_id", interrupt):
            number = self._world.groups.get(name.lower())
            if number is None:
                there = ", ".join(self._world.groups)
                raise NotFound(f"runner group {name!r} does not exist; there are: {there}", status=200)
            return number

    def find_scale_set(
        self, name: str, group_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        with self._world.call("find_scale_set", interrupt):
            found = self._named(name, group_id)
            return found.described() if found else None

    def scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        with self._world.call("scale_set", interrupt):
            found = self._world.scale_sets.get(scale_set_id)
            return found.described() if found is not None and found.live else None

    def create_scale_set(
        self,
        name: str,
        group_id: int,
        labels: Sequence[str],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        with self._world.call("create_scale_set", interrupt):
            if self._named(name, group_id) is not None:
                raise Refused(f"scale set {name!r} exists already", status=400)
            return self._world.add_scale_set(self._url, name, group_id, tuple(labels)).described()

    def update_scale_set(
        self,
        scale_set_id: ScaleSetId,
        name: str,
        group_id: int,
        labels: Sequence[str],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        with self._world.call("update_scale_set", interrupt):
            scale_set = self._live(scale_set_id)
            if self._named(name, group_id) not in (None, scale_set):
                raise Refused(f"scale set {name!r} exists already", status=400)
            scale_set.name, scale_set.group_id, scale_set.labels = name, group_id, tuple(labels)
            return scale_set.described()

    def delete_scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 10.0
    ) -> None:
        with self._world.call("delete_scale_set", interrupt):
            scale_set = self._world.scale_sets.get(scale_set_id)
            if scale_set is None or not scale_set.live:
                return
            if scale_set.running:
                raise Refused(f"scale set {scale_set.name!r} has a job that runs", status=400)
            self._world.drop(scale_set)
            scale_set.news.notify_all()

    def open_session(
        self,
        scale_set_id: ScaleSetId,
        owner_name: str,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> Session:
        with self._world.call("open_session", interrupt):
            scale_set = self._live(scale_set_id)
            if scale_set.session is not None:
                owner = scale_set.session.owner
                raise SessionConflict(f"{owner} holds a session of {scale_set.name!r}", status=409)
            scale_set.session = self._world.new_session(owner_name)
            scale_set.capacity = 0
            return self._session(scale_set, scale_set.session)

    def refresh_session(
        self, session: Session, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> Session:
        with self._world.call("refresh_session", interrupt):
            scale_set = self._live(session.scale_set_id)
            live = self._own(scale_set, session.id)
            live.token, live.token_expired = self._world.new_token(), False
            return self._session(scale_set, live)

    def close_session(
        self,
        scale_set_id: ScaleSetId,
        session_id: SessionId,
        interrupt: Interrupt,
        retry_for: float | None = 10.0,
    ) -> None:
        with self._world.call("close_session", interrupt):
            scale_set = self._world.scale_sets.get(scale_set_id)
            if scale_set and scale_set.session and scale_set.session.id == session_id:
                scale_set.session = None
                scale_set.news.notify_all()

    def poll(
        self, session: Session, last_message_id: int, capacity: int, interrupt: Interrupt
    ) -> Batch | None:
        with self._world.call("poll", interrupt):
            scale_set, live = self._queue(session)
            live.polls += 1
            turn = live.polls
            scale_set.capacity = capacity
        self._world.settle(scale_set)
        return self._wait_for_batch(session, turn, last_message_id, interrupt)

    def _wait_for_batch(self, session: Session, turn: int, after: int, interrupt: Interrupt) -> Batch | None:
        scale_set = self._world.scale_sets[session.scale_set_id]
        batch: Batch | None = None

        def answered() -> bool:
            nonlocal batch
            superseded = self._queue(session)[1].polls != turn
            if not superseded and not interrupt.is_set():
                batch = scale_set.next_batch(after)
            return superseded or interrupt.is_set() or batch is not None

        with interrupt.cancelling(scale_set.wake), scale_set.news:
            scale_set.news.wait_for(answered, self._world.poll_seconds if self._world.blocking else 0)
        if batch is None and interrupt.is_set():
            raise Interrupted
        return batch

    def acknowledge(
        self, session: Session, batch_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> None:
        with self._world.call("acknowledge", interrupt):
            self._queue(session)[0].undeleted.pop(batch_id, None)

    def acquirable_jobs(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> tuple[JobAvailable, ...]:
        with self._world.call("acquirable_jobs", interrupt):
            self._live(scale_set_id)
            return ()

    def acquire_jobs(
        self,
        session: Session,
        request_ids: Sequence[int],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> tuple[int, ...]:
        with self._world.call("acquire_jobs", interrupt):
            self._queue(session)
            return tuple(request_ids)

    def jit_config(
        self,
        scale_set_id: ScaleSetId,
        runner: RunnerName,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> JitConfig:
        with self._world.call("jit_config", interrupt):
            scale_set = self._live(scale_set_id)
            if runner in self._world.runner_names:
                raise RunnerExists(f"runner {runner} exists already", status=409)
            made = self._world.add_runner(scale_set, runner)
            return JitConfig(made.id, runner, Secret(f"jit-{made.id}"))

    def runner(
        self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        with self._world.call("runner", interrupt):
            found = self._world.runners.get(runner_id)
            return found.registered() if found else None

    def find_runner(
        self, name: RunnerName, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        with self._world.call("find_runner", interrupt):
            found = self._world.runner_names.get(name)
            return found.registered() if found else None

    def remove_runner(self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0) -> None:
        with self._world.call("remove_runner", interrupt):
            found = self._world.runners.get(runner_id)
            if found is None:
                return
            if found.state is RunnerState.BUSY:
                raise JobStillRunning(f"runner {found.name} has a job", status=400)
            self._world.remove_runner(found)

    def _named(self, name: str, group_id: int) -> MemoryScaleSet | None:
        wanted = (self._url, group_id, name.lower())
        live = (each for each in self._world.scale_sets.values() if each.live)
        return next((each for each in live if (each.url, each.group_id, each.name.lower()) == wanted), None)

    def _live(self, scale_set_id: ScaleSetId) -> MemoryScaleSet:
        scale_set = self._world.scale_sets.get(scale_set_id)
        if scale_set is None or not scale_set.live:
            raise ScaleSetGone(f"scale set {scale_set_id} does not exist", status=404)
        return scale_set

    def _own(self, scale_set: MemoryScaleSet, session_id: SessionId) -> MemorySession:
        if scale_set.session is None or scale_set.session.id != session_id:
            raise SessionGone(f"session {session_id} is over", status=404)
        return scale_set.session

    def _queue(self, session: Session) -> tuple[MemoryScaleSet, MemorySession]:
        """The message queue's own checks: it knows only sessions and their tokens."""
        scale_set = self._world.scale_sets[session.scale_set_id]
        live = self._own(scale_set, session.id)
        if live.token_expired or live.token != session.queue_token.reveal():
            raise QueueTokenExpired(f"the queue token of session {session.id} is over", status=401)
        return scale_set, live

    def _session(self, scale_set: MemoryScaleSet, live: MemorySession) -> Session:
        return Session(
            SessionId(live.id),
            ScaleSetId(scale_set.id),
            f"memory://queue/{scale_set.id}",
            Secret(live.token),
            scale_set.statistics(),
        )
