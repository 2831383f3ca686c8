"""Carry out the actions of a plan, and remember what was done."""

from __future__ import annotations

from collections import Counter
from functools import singledispatchmethod
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

from chaos_plan.plan import (
    Action,
    BreakEngine,
    BreakWire,
    ContinueRunners,
    EndDaemon,
    EndEngine,
    EndSession,
    KillRunner,
    PauseRunner,
    QueueJob,
    StartDaemon,
    StartEngine,
)
from chaos_plan.run_context import REGISTERED
from runscaler.simulator.http_messages import BadBody
from runscaler.testing.simulator import Match

if TYPE_CHECKING:
    from pathlib import Path

    from chaos_plan.run_context import RunContext
    from runscaler.testing.simulator import SimulatedGitHub

DELETION_RULE = 8
"""The number of the rule that a delivered message must be deleted."""
DELETE_SCALE_SET = ("F58", "F98")
EXIT_AT_SECOND_SIGNAL = 128 + SIGTERM
BETWEEN_SIGNALS = 0.1
"""Seconds."""


class Executor:
    """Acts on what `context` holds. Used by one thread.

    `killed` are the runners that an action killed or may have killed. `excused` counts the messages that were
    under way when the daemon was stopped or when their scale set was deleted: it then cancels its poll, so it
    may never have got them, and cannot delete them once their scale set is gone. `unexpected_exits` has a
    sentence for each time that the daemon ended as it should not have.
    """

    def __init__(self, context: RunContext, folder: Path) -> None:
        self._context = context
        self._github, self._daemon, self._target = context.github, context.daemon, context.target
        self._timeline = context.timeline
        self._output_folder = folder / "job-output"
        self._output_folder.mkdir()
        self._output_folder.chmod(0o777)
        folder.chmod(0o711)
        self._numbers: dict[str, int] = {}
        self._faults: list[int] = []
        self._paused: set[str] = set()
        self._hits = 0
        self._done: Counter[str] = Counter()
        self.killed: set[str] = set()
        self.excused: Counter[str] = Counter()
        self.unexpected_exits: list[str] = []

    @property
    def jobs(self) -> list[str]:
        """Ids of all jobs that were queued, in order."""
        return list(self._numbers)

    def job_output(self) -> dict[str, tuple[str, ...]]:
        """The words that each job wrote on its runner, by job id."""
        files = {job: self._output_file(number) for job, number in self._numbers.items()}
        return {job: tuple(file.read_text().split()) for job, file in files.items() if file.exists()}

    def clear_faults(self) -> None:
        """From now on nothing more goes wrong."""
        self._resume_runners()
        self._hits = sum(self._github.hits(fault) for fault in self._faults)
        self._github.clear_faults()
        if self._context.proxy is not None:
            self._hits += self._context.proxy.hits
            self._context.proxy.clear_faults()
        self._timeline.note("no more faults; waiting for the jobs")

    def tally(self) -> str:
        """How often what was done, for the summary."""
        counts = ", ".join(f"{self._done[what]} {what}" for what in sorted(self._done))
        return f"{counts}, {self._hits} hits of faults"

    def stop_daemon(self) -> None:
        """Send SIGTERM and wait for its end, which should have exit code 0."""
        self._expect_alive()
        self._timeline.note("SIGTERM to the daemon")
        code = self._daemon.stop()
        self._timeline.note(f"the daemon has ended with {code}")
        self._check_exit(code, "SIGTERM", 0)
        self._github.client_restarted()

    def start_daemon(self) -> None:
        self._daemon.start()
        self._timeline.note("started the daemon")

    @singledispatchmethod
    def execute(self, action: Action) -> None:
        raise AssertionError(f"cannot execute {action}")

    @execute.register
    def _(self, action: QueueJob) -> None:
        file = self._output_file(action.number)
        step = f"echo start >> {file}; sleep {action.seconds}; echo end >> {file}"
        (job,) = self._github.queue_jobs(action.scale_set, steps=[step], display_name=f"job {action.number}")
        self._numbers[job] = action.number
        self._timeline.note(f"job {action.number} of {action.seconds} s for {action.scale_set}")

    # -- GitHub ---------------------------------------------------------------------------------------

    @execute.register
    def _(self, action: BreakWire) -> None:
        params: dict[str, Any] = dict(action.params)  # each fault has its own
        match = Match(path=action.path, scale_set=action.scale_set)
        what = f"fault {action.fault} × {action.count} {action.scale_set} {params or ''}".rstrip()
        try:
            self._faults.append(self._github.inject(action.fault, count=action.count, match=match, **params))
        except BadBody as error:
            self._timeline.note(f"no {what}: {error}")
            return
        if action.fault in DELETE_SCALE_SET:
            self.excused |= unacknowledged(self._github, action.scale_set)
        self._note("faults", what)

    @execute.register
    def _(self, action: EndSession) -> None:
        try:
            self._github.change_session(action.scale_set, action.how)
        except LookupError:
            self._timeline.note(f"{action.scale_set} has no session to {action.how}")
        else:
            self._note("sessions ended", f"session of {action.scale_set}: {action.how}")

    # -- runners --------------------------------------------------------------------------------------

    @execute.register
    def _(self, action: KillRunner) -> None:
        """From now on its job, also one that it takes at this very moment, may fail."""
        name = self._pick(action.busy, action.pick)
        if not name:
            return
        self.killed.add(name)
        existed = self._target.remove(name) if action.removed else self._target.kill(name)
        how = "removed" if action.removed else "killed"
        missing = "" if existed else ": it does not exist"
        self._note("runners killed", f"{how} {state_name(action.busy)} runner {name}{missing}")

    @execute.register
    def _(self, action: PauseRunner) -> None:
        name = self._pick(action.busy, action.pick)
        if name and self._target.pause(name):
            self._paused.add(name)
            self._note("runners paused", f"paused {state_name(action.busy)} runner {name}")

    @execute.register
    def _(self, action: ContinueRunners) -> None:
        self._resume_runners()

    def _pick(self, busy: bool, pick: float) -> str:
        """The name of a runner in that state; empty if there is none."""
        names = [runner.name for runner in self._github.state().runners_in(state_name(busy))]
        if not names:
            self._timeline.note(f"there is no {state_name(busy)} runner")
            return ""
        return names[int(pick * len(names))]

    def _resume_runners(self) -> None:
        for name in sorted(self._paused):
            self._target.resume(name)
            self._timeline.note(f"resumed runner {name}")
        self._paused.clear()

    def _mark_all_killed(self) -> None:
        """Because the next action may kill any runner that exists now."""
        self.killed |= {runner.name for runner in self._github.state().runners_in(*REGISTERED)}

    # -- the daemon -----------------------------------------------------------------------------------

    @execute.register
    def _(self, action: EndDaemon) -> None:
        self._resume_runners()  # nobody does so while this waits for the daemon's end
        if action.how == "kill":
            self._kill_daemon()
            return
        if not self._context.settings.drains:
            self._mark_all_killed()
        if action.how == "twice":
            self._stop_daemon_with_two_signals()
        else:
            self.stop_daemon()
            self._done["daemons stopped"] += 1
        self.excused |= unacknowledged(self._github)

    @execute.register
    def _(self, action: StartDaemon) -> None:
        self.start_daemon()

    def _kill_daemon(self) -> None:
        self._expect_alive()
        self._daemon.kill()
        self._github.client_restarted()
        self._note("daemons killed", "killed the daemon")

    def _stop_daemon_with_two_signals(self) -> None:
        self._daemon.terminate()
        self._context.pause(BETWEEN_SIGNALS)
        code = self._daemon.stop()
        self._github.client_restarted()
        self._note("daemons stopped twice", f"the daemon has ended with {code} after two SIGTERM")
        self._check_exit(code, "two SIGTERM", 0, EXIT_AT_SECOND_SIGNAL, -SIGTERM)

    def _expect_alive(self) -> None:
        if not self._daemon.alive:
            self._unexpected_exit(f"the daemon had ended by itself with {self._daemon.stop()}")

    def _check_exit(self, code: int, after: str, *expected: int) -> None:
        """A daemon that has not installed its signal handler yet is ended by the signal itself."""
        if code not in expected and not (code == -SIGTERM and self._daemon.is_still_starting):
            self._unexpected_exit(f"the daemon ended with {code} after {after}")

    def _unexpected_exit(self, text: str) -> None:
        self.unexpected_exits.append(text)
        self._timeline.note(f"!! {text}")

    # -- the engine -----------------------------------------------------------------------------------

    @execute.register
    def _(self, action: BreakEngine) -> None:
        proxy = self._context.proxy
        assert proxy is not None
        match action.how:
            case "cut":
                proxy.cut_events()
            case "away":
                proxy.go_away(action.seconds)
            case "hang":
                proxy.faults.hang(action.seconds)
            case "slow":
                proxy.faults.slow(action.count, action.seconds)
            case "full":
                proxy.faults.fill_disk(action.what, action.count)
        details = " ".join(str(one) for one in (action.what, action.count, action.seconds) if one)
        self._note("engine faults", f"engine: {action.how} {details}".rstrip())

    @execute.register
    def _(self, action: EndEngine) -> None:
        assert self._context.engine is not None
        self._resume_runners()
        self._mark_all_killed()
        self._context.engine.end(by_force=action.by_force)
        self._note("engines ended", "killed the engine" if action.by_force else "stopped the engine")

    @execute.register
    def _(self, action: StartEngine) -> None:
        assert self._context.engine is not None
        self._mark_all_killed()
        self._context.engine.start()
        self._timeline.note("started the engine")

    def _note(self, kind: str, text: str) -> None:
        self._done[kind] += 1
        self._timeline.note(text)

    def _output_file(self, number: int) -> Path:
        return self._output_folder / str(number)


def state_name(busy: bool) -> str:
    return "busy" if busy else "idle"


def unacknowledged(github: SimulatedGitHub, scale_set: str = "") -> Counter[str]:
    """Violations of the deletion rule if everything ended now; only those of `scale_set` if it is given."""
    found = (one.text for one in github.final_violations() if one.rule == DELETION_RULE)
    return Counter(text for text in found if f" of {scale_set}" in text)
