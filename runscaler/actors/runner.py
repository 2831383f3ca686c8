"""One slot's worker: registers, starts, retires and removes one runner at a time.

It blocks in calls to GitHub and to the backend, each with a deadline, and its parent cuts them with
the interrupt. What it may owe GitHub afterwards, a registration that nobody uses, it remembers and
removes, however long that takes (docs/protocol.md § 4.6); the slot does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors.base import SupervisedActor
from runscaler.actors.messages import (
    AdoptRunner,
    CancelStart,
    CheckRegistration,
    DeregisterRunner,
    EndRunner,
    JobSeen,
    Ref,
    RegistrationOwed,
    RegistrationSeen,
    RegistrationSettled,
    RemovalFailed,
    RemoveRunner,
    RetireAgreed,
    RetireFailed,
    RetireRefused,
    RetireRunner,
    RetryDeregistration,
    RetryRemoval,
    RunnerEnded,
    RunnerGone,
    RunnerMessage,
    RunnerStartFailed,
    RunnerUp,
    StartRunner,
)
from runscaler.backends.base import RunnerOrder
from runscaler.errors import (
    AccessDenied,
    BackendError,
    GitHubError,
    ImageMissing,
    Interrupted,
    JobStillRunning,
    PlacesTaken,
    RateLimited,
    RunscalerError,
    ScaleSetGone,
    ServerError,
    Unreachable,
)
from runscaler.github.base import ScaleSetId
from runscaler.policy.backoff import Backoff

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.actors.house import House
    from runscaler.backends.base import Backend, Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import JitConfig, ScaleSetService
    from runscaler.interrupt import Interrupt
    from runscaler.names import Generation, RunnerName, SlotNumber

OUTPUT_BYTES = 64 * 1024
"""How much of a failed runner's output is kept (docs/behaviour.md § 5.4)."""
DEREGISTER_SECONDS = 30.0
"""Between two tries at a registration that GitHub holds on to (docs/protocol.md § 7)."""
AWAY = (Unreachable, ServerError, RateLimited)
"""GitHub does not answer, whatever is asked."""
_REMOVAL = Backoff(first=1.0, cap=30.0)


@dataclass(slots=True)
class _Tenancy:
    """The runner that the slot holds now."""

    generation: Generation
    runner: RunnerName | None = None
    runner_id: int = 0
    resource: Resource | None = None
    removal: RemoveRunner | None = None
    removal_failures: int = 0


class RunnerActor(SupervisedActor[RunnerMessage]):
    def __init__(
        self,
        name: str,
        parent: Ref,
        house: House,
        settings: ScaleSetSettings,
        slot: SlotNumber,
        service: ScaleSetService,
        backend: Backend,
        interrupt: Interrupt,
    ) -> None:
        super().__init__(name, parent, house.clock)
        self._house, self._settings, self._slot = house, settings, slot
        self._service, self._backend, self._interrupt = service, backend, interrupt
        self._tenancy: _Tenancy | None = None
        self._scale_set_id = ScaleSetId(0)
        self._owed: dict[RunnerName, int] = {}
        self._said_of: set[RunnerName] = set()
        """Those of which was said that GitHub holds on to their registration."""
        self._retrying = False
        self._log = logger.bind(scale_set=settings.name, slot=slot)

    def receive(self, message: RunnerMessage) -> None:
        match message:
            case StartRunner():
                self._start(message)
            case CancelStart(generation):
                self._interrupt.clear()
                self._cancel(generation)
            case AdoptRunner(generation, resource):
                self._tenancy = _Tenancy(generation, resource.runner, resource.runner_id, resource)
                self._look_inside(generation, resource)
            case RetireRunner(generation, scale_set_id, after_job):
                self._scale_set_id = scale_set_id
                self._retire(generation, after_job)
            case CheckRegistration(generation):
                self._check_registration(generation)
            case RemoveRunner():
                self._scale_set_id = message.scale_set_id
                self._begin_removal(message)
            case RetryRemoval(generation):
                self._remove(generation)
            case DeregisterRunner(runner, runner_id, scale_set_id):
                self._scale_set_id = scale_set_id
                self._owe(runner, runner_id)
                self._settle(runner)
            case RetryDeregistration():
                self._retrying = False
                self._settle(*self._owed)
            case EndRunner():
                self._end()
            case _:
                assert_never(message)

    # -- starting ---------------------------------------------------------------------------------

    def _start(self, order: StartRunner) -> None:
        self._scale_set_id = order.scale_set_id
        tenancy = self._tenancy = _Tenancy(order.generation, order.runner)

        def register() -> JitConfig:
            self._house.memory.note_registration(self._settings.key, order.runner)
            jit = self._service.jit_config(order.scale_set_id, order.runner, self._interrupt)
            tenancy.runner_id = jit.runner_id
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
            tenancy.resource = self._backend.start(runner_order, self._interrupt)
        except Interrupted:
            return  # CancelStart, EndRunner or Abandon says what becomes of it
        except RunscalerError as error:
            self._start_failed(order, tenancy, error)
        else:
            self.report(RunnerUp(self._slot, order.generation, tenancy.resource))

    def _start_failed(self, order: StartRunner, tenancy: _Tenancy, error: RunscalerError) -> None:
        owed = _may_have_registered(error)
        if owed:
            self._owe(order.runner, tenancy.runner_id)
        else:
            self._house.memory.clear_registration(self._settings.key, order.runner)
        self._tenancy = None
        self.report(
            RunnerStartFailed(
                self._slot,
                order.generation,
                str(error),
                error.fixes,
                rate_limited=isinstance(error, RateLimited),
                image_missing=isinstance(error, ImageMissing),
                no_place=isinstance(error, PlacesTaken),
            )
        )
        if owed:
            self._settle(order.runner)

    def _cancel(self, generation: Generation) -> None:
        tenancy = self._tenancy
        if tenancy is None or tenancy.generation != generation:
            self.report(RunnerGone(self._slot, generation))
            return
        order = RemoveRunner(generation, self._scale_set_id, force=True, deregister=True, keep_output=True)
        self._begin_removal(order)

    def _look_inside(self, generation: Generation, resource: Resource) -> None:
        """Is it at work? Where the backend cannot tell, GitHub's messages will."""
        try:
            at_work = self._backend.runs_a_job(resource, self._interrupt)
        except Interrupted:
            return
        except BackendError as error:
            self._log.debug("cannot look into {}: {}", resource.runner, error)
            return
        if at_work:
            self.report(JobSeen(self._slot, generation))

    # -- retiring: GitHub first, then the backend (docs/behaviour.md § 6.2) -------------------------------------

    def _retire(self, generation: Generation, after_job: bool) -> None:
        tenancy = self._tenancy
        if tenancy is None or tenancy.generation != generation:
            return
        try:
            self.report(self._asked(tenancy, after_job))
        except Interrupted:
            return
        except RunscalerError as error:
            self.report(RetireFailed(self._slot, generation, str(error)))

    def _asked(self, tenancy: _Tenancy, after_job: bool) -> RetireAgreed | RetireRefused:
        try:
            if tenancy.runner is not None:
                self._deregister(tenancy.runner, tenancy.runner_id)
        except JobStillRunning:
            return RetireRefused(self._slot, tenancy.generation)
        looked_into = tenancy.resource if not after_job else None
        if looked_into is not None and self._backend.runs_a_job(looked_into, self._interrupt):
            return RetireRefused(self._slot, tenancy.generation)
        return RetireAgreed(self._slot, tenancy.generation)

    def _check_registration(self, generation: Generation) -> None:
        tenancy = self._tenancy
        if tenancy is None or tenancy.generation != generation or not tenancy.runner_id:
            return
        try:
            found = self._service.runner(tenancy.runner_id, self._interrupt, retry_for=5.0)
        except (GitHubError, Interrupted):
            return  # asked again at the next round
        self.report(RegistrationSeen(self._slot, generation, found is not None))

    # -- removing: again and again until it is gone ---------------------------------------------------

    def _begin_removal(self, order: RemoveRunner) -> None:
        self._interrupt.clear()
        tenancy = self._tenancy
        if tenancy is None or tenancy.generation != order.generation:
            self.report(RunnerGone(self._slot, order.generation))
            return
        tenancy.removal = order
        self._remove(order.generation)

    def _remove(self, generation: Generation) -> None:
        tenancy = self._tenancy
        if tenancy is None or tenancy.generation != generation or tenancy.removal is None:
            return
        try:
            output = self._removed(tenancy, tenancy.removal)
        except Interrupted:
            return
        except BackendError as error:
            self._try_removal_again(tenancy, error)
            return
        self._tenancy = None
        runner, owed = tenancy.runner, tenancy.removal.deregister
        if runner is not None and owed:
            self._owe(runner, tenancy.runner_id)
        elif runner is not None:
            self._house.memory.clear_registration(self._settings.key, runner)
        self.report(RunnerGone(self._slot, generation, output))
        if runner is not None and owed:
            self._settle(runner)

    def _removed(self, tenancy: _Tenancy, order: RemoveRunner) -> Path | None:
        resource = tenancy.resource
        if resource is None:
            return None
        output = self._kept(resource, order) if order.keep_output else None
        self._backend.remove(resource, force=order.force, interrupt=self._interrupt)
        return output

    def _kept(self, resource: Resource, order: RemoveRunner) -> Path | None:
        """Its last output, as far as it can be had: that must not hold up the removal."""
        try:
            output = self._backend.logs(resource, OUTPUT_BYTES, self._interrupt)
        except BackendError as error:
            self._log.warning("the output of {} could not be kept: {}", resource.runner, error)
            return None
        if not output:
            return None
        return self._house.memory.keep_output(self._settings.key, resource.runner, output, order.ending)

    def _try_removal_again(self, tenancy: _Tenancy, error: BackendError) -> None:
        tenancy.removal_failures += 1
        wait = _REMOVAL.delay(tenancy.removal_failures)
        if tenancy.removal_failures == 1:
            self.report(RemovalFailed(self._slot, tenancy.generation, str(error)))
        self.after(wait, RetryRemoval(tenancy.generation))

    # -- what is owed at GitHub -------------------------------------------------------------------------

    def _owe(self, runner: RunnerName, runner_id: int) -> None:
        self._owed[runner] = runner_id
        self._house.memory.note_registration(self._settings.key, runner)
        self.report(RegistrationOwed(self._slot, runner, runner_id))

    def _settle(self, *runners: RunnerName) -> None:
        """Try each of these registrations once; what GitHub holds on to is tried again in 30 s. While GitHub
        does not answer, the first try is enough: a start may be waiting."""
        for runner in runners:
            try:
                self._deregister(runner, self._owed[runner])
            except Interrupted:
                break
            except GitHubError as error:
                self._say_owed(runner, error)
                if isinstance(error, AWAY):
                    self._owed[runner] = self._owed.pop(runner)
                    break
            else:
                del self._owed[runner]
                self._said_of.discard(runner)
                self._house.memory.clear_registration(self._settings.key, runner)
                self.report(RegistrationSettled(self._slot, runner))
        if self._owed and not self._retrying:
            self._retrying = True
            self.after(DEREGISTER_SECONDS, RetryDeregistration())

    def _say_owed(self, runner: RunnerName, error: GitHubError) -> None:
        """Once. What keeps GitHub from answering is the scale set's trouble, said and shown for all calls."""
        level = "DEBUG" if isinstance(error, AWAY) or runner in self._said_of else "INFO"
        self._log.log(level, "the registration of {} is still there, trying again: {}", runner, error)
        if level == "INFO":
            self._said_of.add(runner)

    def _deregister(self, runner: RunnerName, runner_id: int) -> None:
        if not runner_id:
            found = self._service.find_runner(runner, self._interrupt, retry_for=5.0)
            if found is None or found.scale_set_id not in (0, self._scale_set_id):
                return  # never another scale set's runner (docs/protocol.md § 4.6)
            runner_id = found.id
        self._service.remove_runner(runner_id, self._interrupt, retry_for=5.0)

    def _end(self) -> None:
        self._interrupt.clear()
        self._settle(*self._owed)
        if self._owed:
            self._log.warning("left at GitHub for the next start to remove: {}", ", ".join(self._owed))
        self.end(RunnerEnded(self._slot))


def _may_have_registered(error: RunscalerError) -> bool:
    """Unless GitHub said a definite no, the registration may exist (docs/protocol.md § 4.6)."""
    return not isinstance(error, AccessDenied | RateLimited | ScaleSetGone)
