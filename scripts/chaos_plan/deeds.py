"""Do what a plan says, and keep in mind what was done."""

from __future__ import annotations

from collections import Counter
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

from chaos_plan.plan import (
    BreakWire,
    Deed,
    EndDaemon,
    EndSession,
    KillRunner,
    QueueJob,
    StartDaemon,
)

if TYPE_CHECKING:
    from pathlib import Path

    from chaos_plan.daemon import Daemon
    from chaos_plan.ground import Ground
    from chaos_plan.timeline import Timeline
    from runscaler.testing.simulator import SimulatedGitHub

DELETION = 8
"""The rule that a delivered message is deleted."""


class Stage:
    """`jobs` are the ids of all that were queued, in order, `killed` the runners that a deed killed.

    `excused` are messages that were on their way when the daemon was stopped in the middle of its
    work: it cuts its poll, so it may not have got them, and its scale sets are gone with them.
    """

    def __init__(
        self, github: SimulatedGitHub, daemon: Daemon, ground: Ground, timeline: Timeline, folder: Path
    ) -> None:
        self._github, self._daemon, self._ground = github, daemon, ground
        self._timeline = timeline
        self._proofs = folder / "proofs"
        self._proofs.mkdir()
        self._proofs.chmod(0o777)
        folder.chmod(0o711)
        self._numbers: dict[str, int] = {}
        self._faults: list[int] = []
        self._hits = 0
        self._done: Counter[str] = Counter()
        self.killed: set[str] = set()
        self.excused: Counter[str] = Counter()

    @property
    def jobs(self) -> list[str]:
        return list(self._numbers)

    def proofs(self) -> dict[str, tuple[str, ...]]:
        """What each job wrote where it ran."""
        files = {job: self._proof(number) for job, number in self._numbers.items()}
        return {job: tuple(file.read_text().split()) for job, file in files.items() if file.exists()}

    def mend(self) -> None:
        """From here on nothing more goes wrong."""
        self._hits = sum(self._github.hits(fault) for fault in self._faults)
        self._github.clear_faults()
        self._timeline.note("no more faults; waiting for the jobs")

    def tally(self) -> str:
        counts = ", ".join(f"{self._done[what]} {what}" for what in sorted(self._done))
        return f"{counts}, {self._hits} hits of faults"

    @singledispatchmethod
    def play(self, deed: Deed) -> None:
        raise AssertionError(f"no way to do {deed}")

    @play.register
    def _(self, deed: QueueJob) -> None:
        file = self._proof(deed.number)
        step = f"echo start >> {file}; sleep {deed.seconds}; echo end >> {file}"
        (job,) = self._github.queue_jobs(deed.scale_set, steps=[step], display_name=f"job {deed.number}")
        self._numbers[job] = deed.number
        self._timeline.note(f"job {deed.number} of {deed.seconds} s for {deed.scale_set}")

    @play.register
    def _(self, deed: BreakWire) -> None:
        params: dict[str, Any] = dict(deed.params)  # each fault takes its own
        self._faults.append(self._github.inject(deed.fault, count=deed.count, **params))
        self._note("faults", f"fault {deed.fault} × {deed.count} {params or ''}")

    @play.register
    def _(self, deed: EndSession) -> None:
        try:
            self._github.change_session(deed.scale_set, deed.how)
        except LookupError:
            self._timeline.note(f"{deed.scale_set} has no session to {deed.how}")
        else:
            self._note("sessions ended", f"session of {deed.scale_set}: {deed.how}")

    @play.register
    def _(self, deed: KillRunner) -> None:
        """Its job, or one that it takes at this very moment, may fail from here on."""
        state = "busy" if deed.busy else "idle"
        there = [runner.name for runner in self._github.state().runners_in(state)]
        if not there:
            self._timeline.note(f"no {state} runner to kill")
            return
        name = there[int(deed.pick * len(there))]
        self.killed.add(name)
        killed = self._ground.kill(name)
        self._note("runners killed", f"killed {state} runner {name}" + ("" if killed else ": not there"))

    @play.register
    def _(self, deed: EndDaemon) -> None:
        if deed.by_force:
            self._daemon.kill()
            self._github.client_restarted()
            self._note("daemons killed", "killed the daemon")
        else:
            self._timeline.note("SIGTERM to the daemon")
            code = self._daemon.stop()
            self.excused = unacknowledged(self._github)
            self._note("daemons stopped", f"the daemon has ended with {code}")

    @play.register
    def _(self, deed: StartDaemon) -> None:
        self._daemon.start()
        self._timeline.note("started the daemon")

    def _note(self, kind: str, text: str) -> None:
        self._done[kind] += 1
        self._timeline.note(text)

    def _proof(self, number: int) -> Path:
        return self._proofs / str(number)


def unacknowledged(github: SimulatedGitHub) -> Counter[str]:
    """What the rule of deletion would say if all were over now."""
    return Counter(one.text for one in github.final_violations() if one.rule == DELETION)
