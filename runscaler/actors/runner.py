"""The actor of one slot: registers, starts, retires and removes one runner at a time.

It blocks in calls to GitHub and to the backend. Each has a deadline, and the parent can cut it.

A registration that no runner uses any more is a *pending deregistration*: it is removed in the background,
however long GitHub takes to agree, and the slot does not wait for it (docs/protocol.md § 4.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.backends.base import RunnerOrder
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
    ServerError,
    Unreachable,
    VmLimitReached,
)
from runscaler.github.base import ScaleSetId
from runscaler.policy.backoff import Backoff

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Backend, Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import JitConfig, ScaleSetService
    from runscaler.interrupt import Interrupt
    from runscaler.names import Generation, RunnerName, SlotNumber

OUTPUT_BYTES = 64 * 1024
"""How much of a failed runner's output is kept (docs/behaviour.md § 5.4)."""
DEREGISTER_SECONDS = 30.0
"""Between two attempts at the pending deregistrations (docs/protocol.md § 7)."""
GITHUB_AWAY = (Unreachable, ServerError, RateLimited)
"""Errors that any other call to GitHub would meet just now, too."""
_REMOVAL_BACKOFF = Backoff(first=1.0, cap=30.0)


@dataclass(slots=True)
class _CurrentRunner:
    """The runner that the slot holds; what is not known (yet) is None, or 0 for `runner_id`."""

    generation: Generation
    name: RunnerName | None = None
    runner_id: int = 0
    resource: Resource | None = None
    removal: m.RemoveRunner | None = None
    removal_failures: int = 0


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
        self._scale_set_id = ScaleSetId(0)
        self._current: _CurrentRunner | None = None
        self._pending: dict[RunnerName, int] = {}
        """The pending deregistrations, in the order to try them: runner ids by name, 0 where unknown."""
        self._logged_pending: set[RunnerName] = set()
        """Those of which a log line at info says that GitHub refuses."""
        self._retry_planned = False
        self._log = logger.bind(scale_set=settings.name, slot=slot)

    def receive(self, message: m.RunnerMessage) -> None:
        match message:
            case m.StartRunner():
                self._start(message)
            case m.CancelStart(generation):
                self._interrupt.clear()
                self._cancel(generation)
            case m.AdoptRunner(generation, resource):
                self._current = _CurrentRunner(generation, resource.runner, resource.runner_id, resource)
                self._detect_job(generation, resource)
            case m.RetireRunner(generation, scale_set_id, after_job):
                self._scale_set_id = scale_set_id
                self._retire(generation, after_job)
            case m.CheckRegistration(generation):
                self._check_registration(generation)
            case m.RemoveRunner():
                self._interrupt.clear()
                self._scale_set_id = message.scale_set_id
                self._begin_removal(message)
            case m.RetryRemoval(generation):
                self._remove(generation)
            case m.DeregisterRunner(runner, runner_id, scale_set_id):
                self._scale_set_id = scale_set_id
                self._add_pending(runner, runner_id)
                self._deregister_pending(runner)
            case m.RetryDeregistration():
                self._retry_planned = False
                self._deregister_pending(*self._pending)
            case m.StopRunnerActor():
                self._interrupt.clear()
                self._stop_in_order()
            case _:
                assert_never(message)

    def _current_of(self, generation: Generation) -> _CurrentRunner | None:
        """The slot's runner, if it is still the one of that generation."""
        current = self._current
        return current if current is not None and current.generation == generation else None

    # -- starting -----------------------------------------------------------------------------------

    def _start(self, order: m.StartRunner) -> None:
        self._scale_set_id = order.scale_set_id
        current = self._current = _CurrentRunner(order.generation, order.runner)

        def register() -> JitConfig:
            self._state_store.note_registration(self._settings.key, order.runner)
            jit = self._service.jit_config(order.scale_set_id, order.runner, self._interrupt)
            current.runner_id = jit.runner_id
            return jit

        runner_order = RunnerOrder(
            key=self._settings.key,
            slot=self._slot,
            runner=order.runner,
            settings=self._settings,
            jit=register,
            deadline=order.deadline,
            place=order.place,
        )
        try:
            current.resource = self._backend.start(runner_order, self._interrupt)
        except Interrupted:
            return  # CancelStart, StopRunnerActor or Abandon follows and says what becomes of the runner
        except RunscalerError as error:
            self._start_failed(order, current.runner_id, error)
        else:
            self.report(m.RunnerUp(self._slot, order.generation, current.resource))

    def _start_failed(self, order: m.StartRunner, runner_id: int, error: RunscalerError) -> None:
        self._current = None
        may_be_registered = _may_have_registered(error)
        if may_be_registered:
            self._add_pending(order.runner, runner_id)
        else:
            self._state_store.clear_registration(self._settings.key, order.runner)
        self.report(
            m.RunnerStartFailed(
                self._slot,
                order.generation,
                str(error),
                error.fixes,
                rate_limited=isinstance(error, RateLimited),
                image_missing=isinstance(error, ImageMissing),
                vm_limit_reached=isinstance(error, VmLimitReached),
            )
        )
        if may_be_registered:
            self._deregister_pending(order.runner)

    def _cancel(self, generation: Generation) -> None:
        self._begin_removal(
            m.RemoveRunner(generation, self._scale_set_id, force=True, deregister=True, keep_output=True)
        )

    def _detect_job(self, generation: Generation, resource: Resource) -> None:
        """Report if a job runs in the adopted runner. If the backend cannot tell, GitHub's messages will."""
        try:
            runs_a_job = self._backend.runs_a_job(resource, self._interrupt)
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
                self._deregister(current.name, current.runner_id)
        except JobStillRunning:
            return False
        if after_job or current.resource is None:
            return True
        return not self._backend.runs_a_job(current.resource, self._interrupt)

    def _check_registration(self, generation: Generation) -> None:
        current = self._current_of(generation)
        if current is None or not current.runner_id:
            return
        try:
            found = self._service.runner(current.runner_id, self._interrupt, retry_for=5.0)
        except (GitHubError, Interrupted):
            return  # the scale set checks again
        self.report(m.RegistrationChecked(self._slot, generation, found is not None))

    # -- removing: tried until the resource is gone -----------------------------------------------------

    def _begin_removal(self, order: m.RemoveRunner) -> None:
        current = self._current_of(order.generation)
        if current is None:
            self.report(m.RunnerGone(self._slot, order.generation))
            return
        current.removal = order
        self._remove(order.generation)

    def _remove(self, generation: Generation) -> None:
        current = self._current_of(generation)
        if current is None or current.removal is None:
            return
        try:
            output = self._remove_resource(current.resource, current.removal)
        except Interrupted:
            return
        except BackendError as error:
            self._removal_failed(current, error)
        else:
            self._removed(current, deregister=current.removal.deregister, output=output)

    def _removed(self, current: _CurrentRunner, *, deregister: bool, output: Path | None) -> None:
        self._current = None
        runner = current.name
        if runner is not None and deregister:
            self._add_pending(runner, current.runner_id)
        elif runner is not None:
            self._state_store.clear_registration(self._settings.key, runner)
        self.report(m.RunnerGone(self._slot, current.generation, output))
        if runner is not None and deregister:
            self._deregister_pending(runner)

    def _remove_resource(self, resource: Resource | None, order: m.RemoveRunner) -> Path | None:
        """Returns where its last output was saved."""
        if resource is None:
            return None
        output = self._save_output(resource, order) if order.keep_output else None
        self._backend.remove(resource, force=order.force, interrupt=self._interrupt)
        return output

    def _save_output(self, resource: Resource, order: m.RemoveRunner) -> Path | None:
        """If there is output and it can be read; the removal goes on in any case."""
        try:
            output = self._backend.logs(resource, OUTPUT_BYTES, self._interrupt)
        except BackendError as error:
            self._log.warning("the output of {} could not be saved: {}", resource.runner, error)
            return None
        if not output:
            return None
        return self._state_store.keep_output(self._settings.key, resource.runner, output, order.ending)

    def _removal_failed(self, current: _CurrentRunner, error: BackendError) -> None:
        current.removal_failures += 1
        if current.removal_failures == 1:
            self.report(m.RemovalFailed(self._slot, current.generation, str(error)))
        wait = _REMOVAL_BACKOFF.delay(current.removal_failures)
        self.after(wait, m.RetryRemoval(current.generation))

    # -- pending deregistrations ------------------------------------------------------------------------

    def _add_pending(self, runner: RunnerName, runner_id: int) -> None:
        self._pending[runner] = runner_id
        self._state_store.note_registration(self._settings.key, runner)
        self.report(m.DeregistrationPending(self._slot, runner, runner_id))

    def _deregister_pending(self, *runners: RunnerName) -> None:
        """Try each of these once, and plan a retry if any pending deregistration is left.

        While GitHub does not answer, only one is tried, as a start may be waiting for this actor.
        """
        for runner in runners:
            try:
                self._deregister(runner, self._pending[runner])
            except Interrupted:
                break
            except GitHubError as error:
                self._log_pending(runner, error)
                if isinstance(error, GITHUB_AWAY):
                    self._pending[runner] = self._pending.pop(runner)  # last in turn
                    break
            else:
                self._deregistered(runner)
        if self._pending and not self._retry_planned:
            self._retry_planned = True
            self.after(DEREGISTER_SECONDS, m.RetryDeregistration())

    def _deregistered(self, runner: RunnerName) -> None:
        del self._pending[runner]
        self._logged_pending.discard(runner)
        self._state_store.clear_registration(self._settings.key, runner)
        self.report(m.DeregistrationDone(self._slot, runner))

    def _log_pending(self, runner: RunnerName, error: GitHubError) -> None:
        """Once for each runner at info; not if GitHub is away, which the scale set reports for all calls."""
        level = "DEBUG" if isinstance(error, GITHUB_AWAY) or runner in self._logged_pending else "INFO"
        self._log.log(level, "{} is still registered at GitHub, trying again: {}", runner, error)
        if level == "INFO":
            self._logged_pending.add(runner)

    def _deregister(self, runner: RunnerName, runner_id: int) -> None:
        """Without an id (0) the runner is looked up by name, and removed only if it is of this scale set
        (docs/protocol.md § 4.6)."""
        if not runner_id:
            found = self._service.find_runner(runner, self._interrupt, retry_for=5.0)
            if found is None or found.scale_set_id not in (0, self._scale_set_id):
                return
            runner_id = found.id
        self._service.remove_runner(runner_id, self._interrupt, retry_for=5.0)

    def _stop_in_order(self) -> None:
        self._deregister_pending(*self._pending)
        if self._pending:
            runners = ", ".join(self._pending)
            self._log.warning("still registered at GitHub, for the next start to remove: {}", runners)
        self.end(m.RunnerActorStopped(self._slot))


def _may_have_registered(error: RunscalerError) -> bool:
    """Whether GitHub may have the registration: unless it refused with certainty (docs/protocol.md § 4.6)."""
    return not isinstance(error, AccessDenied | RateLimited | ScaleSetGone)
