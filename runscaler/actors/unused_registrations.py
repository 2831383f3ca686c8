"""Registrations of runners that are gone: proved, removed, and tried until GitHub agrees.

A part of the actor of a slot; the slot does not wait for it. A registration tells what its runner was: GitHub
removes it when the runner's job is over, so that one which is still there after the end had no job.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from runscaler.actors import messages as m
from runscaler.errors import (
    GitHubError,
    Interrupted,
    JobStillRunning,
    RateLimited,
    ServerError,
    Unreachable,
)
from runscaler.github.base import ScaleSetId

if TYPE_CHECKING:
    from collections.abc import Callable

    from loguru import Logger

    from runscaler.actors.context import StateStore
    from runscaler.github.base import ScaleSetService
    from runscaler.github.messages import RegisteredRunner
    from runscaler.interrupt import Interrupt
    from runscaler.names import RunnerName, ScaleSetKey, SlotNumber

DEREGISTER_SECONDS = 30.0
"""Between attempts to deregister a runner that GitHub refuses to remove (docs/protocol.md § 7)."""
PROOF_SECONDS = 3.0
"""Between two looks at a registration that may go a moment after its runner (docs/protocol.md § 8.4)."""
KNOWN_IDS = 64
GITHUB_AWAY = (Unreachable, ServerError, RateLimited)
"""GitHub does not answer, whatever is asked."""


class UnusedRegistrations:
    """`report` tells the scale set, `after` delivers a message to the slot's actor."""

    def __init__(
        self,
        key: ScaleSetKey,
        slot: SlotNumber,
        service: ScaleSetService,
        state_store: StateStore,
        interrupt: Interrupt,
        report: Callable[[m.RunnerReport], None],
        after: Callable[[float, m.RunnerMessage], None],
        log: Logger,
    ) -> None:
        self._key, self._slot, self.service = key, slot, service
        self._state_store, self._interrupt = state_store, interrupt
        self._report, self._after, self._log = report, after, log
        self.scale_set_id = ScaleSetId(0)
        self._known: deque[tuple[RunnerName, int]] = deque(maxlen=KNOWN_IDS)
        """Runners that GitHub registered for this actor, with the ids that it gave them."""
        self._pending: dict[RunnerName, int] = {}
        """The pending deregistrations, in the order to try them: runner ids by name, 0 where unknown."""
        self._unproven: dict[RunnerName, tuple[int, bool]] = {}
        """Runners whose end is to be proved: their id, and whether they were seen registered once."""
        self._logged_pending: set[RunnerName] = set()
        """Those of which a log line at info says that GitHub refuses."""
        self._retry_planned = False

    def registered(self, runner: RunnerName, runner_id: int) -> None:
        """GitHub has just registered it under that id, which is believed from now on. An id from anywhere
        else is a claim of whoever wrote the label: the runner is then looked up by its name."""
        self._known.append((runner, runner_id))

    # -- proving --------------------------------------------------------------------------------------

    def prove(self, runner: RunnerName, runner_id: int) -> None:
        """Find out whether the runner, which has ended, had a job; if it had none, deregister it."""
        self._unproven[runner] = (runner_id, False)
        self.look(runner)

    def look(self, runner: RunnerName) -> None:
        """Ask once. An answer that is not final, or does not come, is asked for again."""
        if runner not in self._unproven:
            return
        runner_id, seen = self._unproven[runner]
        try:
            registered = self._is_registered(runner, runner_id)
        except Interrupted:
            self._after(PROOF_SECONDS, m.ProveEnd(runner))
            return
        except GitHubError as error:
            self._log.debug("GitHub does not tell whether {} had a job: {}", runner, error)
            self._after(DEREGISTER_SECONDS, m.ProveEnd(runner))
            return
        if registered and not seen:
            self._unproven[runner] = (runner_id, True)
            self._after(PROOF_SECONDS, m.ProveEnd(runner))
            return
        del self._unproven[runner]
        self._report(m.EndProved(self._slot, runner, registered))
        if registered:
            self.remove(runner, runner_id)
        else:
            self._state_store.clear_registration(self._key, runner)

    def _is_registered(self, runner: RunnerName, runner_id: int) -> bool:
        if (runner, runner_id) in self._known:
            return self.service.runner(runner_id, self._interrupt, retry_for=5.0) is not None
        return self._find_ours(runner) is not None

    def _find_ours(self, runner: RunnerName) -> RegisteredRunner | None:
        """The runner of that name, if GitHub says that it is of this scale set. Where GitHub does not say of
        which it is, our own note that we registered it decides (docs/protocol.md § 4.6)."""
        found = self.service.find_runner(runner, self._interrupt, retry_for=5.0)
        if found is None or found.scale_set_id == self.scale_set_id != 0:
            return found
        if 0 in (found.scale_set_id, self.scale_set_id) and self._is_noted(runner):
            return found
        self._log.warning("{} at GitHub is not known to be a runner of this scale set: left alone", runner)
        return None

    def _is_noted(self, runner: RunnerName) -> bool:
        return runner in self._state_store.noted_registrations(self._key)

    # -- deregistering --------------------------------------------------------------------------------

    def remove(self, runner: RunnerName, runner_id: int) -> None:
        """Deregister the runner, now or as soon as GitHub agrees."""
        self.note(runner, runner_id)
        self.try_again(runner)

    def note(self, runner: RunnerName, runner_id: int) -> None:
        """It is to be deregistered; `try_again` does. It was noted when it was registered."""
        self._pending[runner] = runner_id
        self._report(m.DeregistrationPending(self._slot, runner, runner_id))

    def try_all(self) -> None:
        """The time for another attempt has come."""
        self._retry_planned = False
        self.try_again(*self._pending)

    def try_again(self, *runners: RunnerName) -> None:
        """Try each of these once, and plan a retry if any pending deregistration is left.

        While GitHub does not answer, only one is tried, as a start may be waiting for this actor.
        """
        for runner in runners:
            try:
                self.deregister(runner, self._pending[runner])
            except Interrupted:
                break
            except GitHubError as error:
                self._log_pending(runner, error)
                if isinstance(error, JobStillRunning):
                    self._report(m.DeregistrationRefused(self._slot, runner))
                if isinstance(error, GITHUB_AWAY):
                    self._pending[runner] = self._pending.pop(runner)  # last in turn
                    break
            else:
                self._deregistered(runner)
        if self._pending and not self._retry_planned:
            self._retry_planned = True
            self._after(DEREGISTER_SECONDS, m.RetryDeregistration())

    def deregister(self, runner: RunnerName, runner_id: int) -> None:
        """Remove one registration. Raises `JobStillRunning` where GitHub refuses.

        Unless GitHub gave its id to this actor, the runner is looked up by name, and removed only if it is of
        this scale set.
        """
        if (runner, runner_id) not in self._known:
            found = self._find_ours(runner)
            if found is None:
                return
            runner_id = found.id
        self.service.remove_runner(runner_id, self._interrupt, retry_for=5.0)

    def _deregistered(self, runner: RunnerName) -> None:
        del self._pending[runner]
        self._logged_pending.discard(runner)
        self._state_store.clear_registration(self._key, runner)
        self._report(m.DeregistrationDone(self._slot, runner))

    def _log_pending(self, runner: RunnerName, error: GitHubError) -> None:
        """Once for each runner at info; not if GitHub is away, which the scale set reports for all calls."""
        level = "DEBUG" if isinstance(error, GITHUB_AWAY) or runner in self._logged_pending else "INFO"
        self._log.log(level, "{} is still registered at GitHub, trying again: {}", runner, error)
        if level == "INFO":
            self._logged_pending.add(runner)

    # -- stopping -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """One last attempt at everything that is pending or unproven."""
        for runner, (runner_id, _) in self._unproven.items():
            self.note(runner, runner_id)
        self._unproven.clear()
        self.try_again(*self._pending)
        if self._pending:
            runners = ", ".join(self._pending)
            self._log.warning("still registered at GitHub, for the next start to remove: {}", runners)
