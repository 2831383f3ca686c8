"""The actor of one slot: registers, starts, retires and removes one runner at a time.

It blocks in calls to GitHub and to the backend. Each has a deadline, and the parent can cut it. What a runner
leaves is cleared away in the background, and the slot does not wait for it: a registration that no runner
uses any more (`UnusedRegistrations`), a resource that has ended and cannot be removed yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.measuring import count_failed_start, count_start, measured
from runscaler.actors.place import place_of
from runscaler.actors.start_failures import failure_reason
from runscaler.actors.start_timer import StartTimer
from runscaler.actors.unused_registrations import UnusedRegistrations
from runscaler.backends.base import RunnerOrder
from runscaler.config.secret_forms import masked_output
from runscaler.errors import (
    AccessDenied,
    BackendError,
    GitHubError,
    ImageMissing,
    Interrupted,
    JobStillRunning,
    RateLimited,
    RunscalerError,
    ScaleSetGone,
    VmLimitReached,
)
from runscaler.metrics.words import Operation
from runscaler.policy.backoff import Backoff

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Backend, Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import JitConfig, ScaleSetService
    from runscaler.interrupt import Interrupt
    from runscaler.metrics.words import FailureReason
    from runscaler.names import Generation, RunnerName, SlotNumber

OUTPUT_BYTES = 64 * 1024
"""How much of a failed runner's output is kept (docs/behaviour.md § 5.4)."""
LAST_LINE_BYTES = 4 * 1024
"""How much of a runner's output is read for its last line."""
_REMOVAL_BACKOFF = Backoff(first=1.0, cap=30.0)


@dataclass(slots=True)
class _CurrentRunner:
    """The runner that the slot holds; what is not known (yet) is None, or 0 for `runner_id`."""

    generation: Generation
    name: RunnerName | None = None
    runner_id: int = 0
    resource: Resource | None = None


@dataclass(slots=True)
class _Removal:
    """A runner that is being removed, and how often that has failed."""

    runner: _CurrentRunner
    order: m.RemoveRunner
    failures: int = 0


class RunnerActor(SupervisedActor[m.RunnerMessage]):
    def __init__(
        self,
        name: str,
        parent: m.Ref,
        context: ActorContext,
        settings: ScaleSetSettings,
        slot: SlotNumber,
        service: ScaleSetService,
        backend: Backend,
        interrupt: Interrupt,
    ) -> None:
        super().__init__(name, parent, context.clock)
        self._state_store, self._settings, self._slot = context.state_store, settings, slot
        self._service, self._backend, self._interrupt = service, backend, interrupt
        self._metrics = context.metrics
        self._current: _CurrentRunner | None = None
        self._removals: dict[Generation, _Removal] = {}
        """What is being removed: tried until it is gone, beside whatever runner comes next."""
        self._log = logger.bind(**place_of(settings), slot=slot)
        self._registrations = UnusedRegistrations(
            settings.key, slot, service, context.state_store, interrupt, self.report, self.after, self._log
        )

    def receive(self, message: m.RunnerMessage) -> None:
        match message:
            case m.StartRunner():
                self._registrations.scale_set_id = message.scale_set_id
                self._start(message)
            case m.CancelStart(generation):
                self._interrupt.clear()
                self._cancel(generation)
            case m.AdoptRunner(generation, resource):
                self._current = _CurrentRunner(generation, resource.runner, resource.runner_id, resource)
                self._detect_job(generation, resource)
            case m.RetireRunner(generation, scale_set_id, after_job):
                self._registrations.scale_set_id = scale_set_id
                self._retire(generation, after_job)
            case m.CheckRegistration(generation):
                self._check_registration(generation)
            case m.RemoveRunner():
                self._interrupt.clear()
                self._registrations.scale_set_id = message.scale_set_id
                self._begin_removal(message)
            case m.RetryRemoval(generation):
                self._retry_removal(generation)
            case m.UseSettings(settings, service):
                self._settings, self._service = settings, service
                self._registrations.service = service
            case m.StopRunnerActor():
                self._interrupt.clear()
                self._registrations.finish()
                self.end(m.RunnerActorStopped(self._slot))
            case _:
                self._receive_about_registration(message)

    def _receive_about_registration(
        self, message: m.DeregisterRunner | m.RetryDeregistration | m.ProveEnd
    ) -> None:
        match message:
            case m.DeregisterRunner(runner, runner_id, scale_set_id):
                self._registrations.scale_set_id = scale_set_id
                self._registrations.remove(runner, runner_id)
            case m.RetryDeregistration():
                self._registrations.try_all()
            case m.ProveEnd(runner):
                self._registrations.look(runner)
            case _:
                assert_never(message)

    def _current_of(self, generation: Generation) -> _CurrentRunner | None:
        """The slot's runner, if it is still the one of that generation."""
        current = self._current
        return current if current is not None and current.generation == generation else None

    # -- starting -----------------------------------------------------------------------------------

    def _start(self, order: m.StartRunner) -> None:
        current = self._current = _CurrentRunner(order.generation, order.runner)
        timer = StartTimer(self.clock, order.ordered_at, order.place)
        timer.began()

        def register() -> JitConfig:
            timer.jit_asked()
            self._state_store.note_registration(self._settings.key, order.runner)
            jit = self._service.jit_config(order.scale_set_id, order.runner, self._interrupt)
            current.runner_id = jit.runner_id
            self._registrations.registered(order.runner, jit.runner_id)
            timer.jit_answered()
            return jit

        runner_order = RunnerOrder(
            key=self._settings.key,
            slot=self._slot,
            runner=order.runner,
            settings=self._settings,
            jit=register,
            deadline=order.deadline,
            place=order.place,
            reached=timer.reached,
        )
        try:
            current.resource = self._backend.start(runner_order, self._interrupt)
        except Interrupted:
            return  # CancelStart, StopRunnerActor or Abandon follows and says what becomes of the runner
        except RunscalerError as error:
            overdue = self.clock.monotonic() >= order.deadline
            kind = failure_reason(error, timer.phase, is_vm=timer.is_vm, overdue=overdue)
            count_failed_start(self._metrics, self._backend.name, timer)
            self._start_failed(order, current.runner_id, error, kind)
        else:
            phases = timer.up()
            count_start(self._metrics, self._backend.name, phases, is_vm=timer.is_vm)
            self.report(m.RunnerUp(self._slot, order.generation, current.resource, phases, timer.reaction))

    def _start_failed(
        self, order: m.StartRunner, runner_id: int, error: RunscalerError, kind: FailureReason
    ) -> None:
        self._current = None
        may_be_registered = _may_have_registered(error)
        if may_be_registered:
            self._registrations.note(order.runner, runner_id)
        else:
            self._state_store.clear_registration(self._settings.key, order.runner)
        self.report(
            m.RunnerStartFailed(
                self._slot,
                order.generation,
                str(error),
                error.fixes,
                kind,
                rate_limited=isinstance(error, RateLimited),
                image_missing=isinstance(error, ImageMissing),
                vm_limit_reached=isinstance(error, VmLimitReached),
                scale_set_gone=isinstance(error, ScaleSetGone),
            )
        )
        if may_be_registered:
            self._registrations.try_again(order.runner)

    def _cancel(self, generation: Generation) -> None:
        self._begin_removal(
            m.RemoveRunner(
                generation, self._registrations.scale_set_id, force=True, deregister=True, keep_output=True
            )
        )

    def _detect_job(self, generation: Generation, resource: Resource) -> None:
        """Report if a job runs in the adopted runner. If the backend cannot tell, GitHub's messages will."""
        try:
            runs_a_job = self._runs_a_job(resource)
        except Interrupted:
            return
        except BackendError as error:
            self._log.debug("cannot tell whether {} runs a job: {}", resource.runner, error)
            return
        if runs_a_job:
            self.report(m.JobDetected(self._slot, generation))

    # -- retiring: first GitHub, then the backend (docs/behaviour.md § 6.2) -----------------------------

    def _retire(self, generation: Generation, after_job: bool) -> None:
        current = self._current_of(generation)
        if current is None:
            return
        try:
            may_go = self._may_go(current, after_job)
        except Interrupted:
            return
        except RunscalerError as error:
            self.report(m.RetireFailed(self._slot, generation, str(error)))
            return
        self.report((m.RetireAgreed if may_go else m.RetireRefused)(self._slot, generation))

    def _may_go(self, current: _CurrentRunner, after_job: bool) -> bool:
        """Whether GitHub has removed the registration and, unless the job is known to be over, the backend
        sees no job in the runner."""
        try:
            if current.name is not None:
                self._registrations.deregister(current.name, current.runner_id)
        except JobStillRunning:
            return False
        if after_job or current.resource is None:
            return True
        return not self._runs_a_job(current.resource)

    def _runs_a_job(self, resource: Resource) -> bool | None:
        with self._measured(Operation.EXEC):
            return self._backend.runs_a_job(resource, self._interrupt)

    def _output_of(self, resource: Resource, tail: int) -> bytes:
        with self._measured(Operation.LOGS):
            return self._backend.logs(resource, tail, self._interrupt)

    def _measured(self, operation: Operation) -> AbstractContextManager[None]:
        return measured(self._metrics, self.clock, self._backend.name, operation)

    def _check_registration(self, generation: Generation) -> None:
        current = self._current_of(generation)
        if current is None or not current.runner_id:
            return
        try:
            found = self._service.runner(current.runner_id, self._interrupt, retry_for=5.0)
        except (GitHubError, Interrupted):
            return  # the scale set checks again
        online = None if found is None else _is_online(found.status)
        last_line = "" if found is None or online else self._last_line(current)
        self.report(m.RegistrationChecked(self._slot, generation, found is not None, online, last_line))

    def _last_line(self, current: _CurrentRunner) -> str:
        """Of its output, for people; empty where there is none or it cannot be read."""
        if current.resource is None:
            return ""
        try:
            output = self._output_of(current.resource, LAST_LINE_BYTES)
        except (BackendError, Interrupted):
            return ""
        return _last_line(output)

    # -- removing: tried until the resource is gone -----------------------------------------------------

    def _begin_removal(self, order: m.RemoveRunner) -> None:
        if order.generation in self._removals:
            self._retry_removal(order.generation)
            return
        current = self._current_of(order.generation)
        if current is None:
            self.report(m.RunnerGone(self._slot, order.generation))
            return
        self._current = None
        removal = self._removals[order.generation] = _Removal(current, order)
        if order.keep_output and current.resource is not None:
            output, last_line = self._save_output(current.resource, order)
            self.report(m.OutputKept(self._slot, order.generation, output, last_line))
        self._remove(removal)
        self._clear_registration(removal)

    def _retry_removal(self, generation: Generation) -> None:
        if (removal := self._removals.get(generation)) is not None:
            self._remove(removal)

    def _remove(self, removal: _Removal) -> None:
        runner, order = removal.runner, removal.order
        try:
            if runner.resource is not None:
                with self._measured(Operation.REMOVE):
                    self._backend.remove(
                        runner.resource, force=order.force, interrupt=self._interrupt, grace=order.grace
                    )
        except Interrupted:
            return
        except BackendError as error:
            self._removal_failed(removal, error)
        else:
            del self._removals[order.generation]
            self.report(m.RunnerGone(self._slot, order.generation))

    def _removal_failed(self, removal: _Removal, error: BackendError) -> None:
        removal.failures += 1
        if removal.failures == 1:
            self.report(m.RemovalFailed(self._slot, removal.order.generation, str(error)))
        wait = _REMOVAL_BACKOFF.delay(removal.failures)
        self.after(wait, m.RetryRemoval(removal.order.generation))

    def _clear_registration(self, removal: _Removal) -> None:
        """Once, whether its resource is gone already or not."""
        runner, order = removal.runner, removal.order
        if runner.name is None:
            return
        if order.prove:
            self._registrations.prove(runner.name, runner.runner_id)
        elif order.deregister:
            self._registrations.remove(runner.name, runner.runner_id)
        else:
            self._state_store.clear_registration(self._settings.key, runner.name)

    def _save_output(self, resource: Resource, order: m.RemoveRunner) -> tuple[Path | None, str]:
        """If there is output and it can be read: where it is, and its last line. The removal goes on in any
        case."""
        try:
            output = self._output_of(resource, OUTPUT_BYTES)
        except Interrupted:
            return None, ""
        except BackendError as error:
            self._log.info("the output of {} could not be saved: {}", resource.runner, error)
            return None, ""
        if not output:
            return None, ""
        kept = self._state_store.keep_output(self._settings.key, resource.runner, output, order.ending)
        return kept, _last_line(output)


def _last_line(output: bytes) -> str:
    """With secrets masked, before anything is cut off."""
    lines = masked_output(output)[-LAST_LINE_BYTES:].decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _is_online(status: str) -> bool | None:
    """What GitHub's word for a runner's connection says; None for none, or another one."""
    return {"online": True, "offline": False}.get(status.lower())


def _may_have_registered(error: RunscalerError) -> bool:
    """Whether GitHub may have the registration: unless it refused with certainty (docs/protocol.md § 4.6)."""
    return not isinstance(error, AccessDenied | RateLimited | ScaleSetGone)
