"""Do what a plan says, and keep in mind what was done."""

from __future__ import annotations

from collections import Counter
from functools import singledispatchmethod
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

from chaos_plan.plan import (
    BreakEngine,
    BreakWire,
    ContinueRunners,
    Deed,
    EndDaemon,
    EndEngine,
    EndSession,
    KillRunner,
    PauseRunner,
    QueueJob,
    StartDaemon,
    StartEngine,
)
from chaos_plan.scene import LIVING
from runscaler.simulator.http_messages import BadBody
from runscaler.testing.simulator import Match

if TYPE_CHECKING:
    from pathlib import Path

    from chaos_plan.scene import Scene
    from runscaler.testing.simulator import SimulatedGitHub

DELETION = 8
"""The rule that a delivered message is deleted."""
DELETES_SET = "F58"
LEFT_AT_ONCE = 128 + SIGTERM
BETWEEN_SIGNALS = 0.1


class Stage:
    """`jobs` are the ids of all that were queued, in order, `killed` the runners that a deed killed.

    `excused` are messages that were on their way when the daemon was stopped in the middle of its
    work, or when its scale set was deleted: it cuts its poll, so it may not have got them, and its
    scale sets are gone with them. `wrong_ends` are lives of the daemon that ended as none should.
    """

    def __init__(self, scene: Scene, folder: Path) -> None:
        self._scene = scene
        self._github, self._daemon, self._ground = scene.github, scene.daemon, scene.ground
        self._timeline = scene.timeline
        self._proofs = folder / "proofs"
        self._proofs.mkdir()
        self._proofs.chmod(0o777)
        folder.chmod(0o711)
        self._numbers: dict[str, int] = {}
        self._faults: list[int] = []
        self._paused: set[str] = set()
        self._hits = 0
        self._done: Counter[str] = Counter()
        self.killed: set[str] = set()
        self.excused: Counter[str] = Counter()
        self.wrong_ends: list[str] = []

    @property
    def jobs(self) -> list[str]:
        return list(self._numbers)

    def proofs(self) -> dict[str, tuple[str, ...]]:
        """What each job wrote where it ran."""
        files = {job: self._proof(number) for job, number in self._numbers.items()}
        return {job: tuple(file.read_text().split()) for job, file in files.items() if file.exists()}

    def mend(self) -> None:
        """From here on nothing more goes wrong."""
        self._continue()
        self._hits = sum(self._github.hits(fault) for fault in self._faults)
        self._github.clear_faults()
        if self._scene.door is not None:
            self._hits += self._scene.door.hits
            self._scene.door.mend()
        self._timeline.note("no more faults; waiting for the jobs")

    def tally(self) -> str:
        counts = ", ".join(f"{self._done[what]} {what}" for what in sorted(self._done))
        return f"{counts}, {self._hits} hits of faults"

    def stop_daemon(self) -> int:
        """In order; the exit code."""
        if not self._daemon.alive:
            self._wrong_end(f"the daemon had ended by itself with {self._daemon.stop()}")
        self._timeline.note("SIGTERM to the daemon")
        code = self._daemon.stop()
        self._timeline.note(f"the daemon has ended with {code}")
        self._judge(code, "SIGTERM", 0)
        self._github.client_restarted()
        return code

    def start_daemon(self) -> None:
        self._daemon.start()
        self._timeline.note("started the daemon")

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

    # -- at GitHub ------------------------------------------------------------------------------------

    @play.register
    def _(self, deed: BreakWire) -> None:
        params: dict[str, Any] = dict(deed.params)  # each fault takes its own
        match = Match(path=deed.path, scale_set=deed.scale_set)
        what = f"fault {deed.fault} × {deed.count} {deed.scale_set} {params or ''}".rstrip()
        try:
            self._faults.append(self._github.inject(deed.fault, count=deed.count, match=match, **params))
        except BadBody as error:
            self._timeline.note(f"no {what}: {error}")
            return
        if deed.fault == DELETES_SET:
            self.excused |= unacknowledged(self._github, deed.scale_set)
        self._note("faults", what)

    @play.register
    def _(self, deed: EndSession) -> None:
        try:
            self._github.change_session(deed.scale_set, deed.how)
        except LookupError:
            self._timeline.note(f"{deed.scale_set} has no session to {deed.how}")
        else:
            self._note("sessions ended", f"session of {deed.scale_set}: {deed.how}")

    # -- runners --------------------------------------------------------------------------------------

    @play.register
    def _(self, deed: KillRunner) -> None:
        """Its job, or one that it takes at this very moment, may fail from here on."""
        name = self._picked(deed.busy, deed.pick)
        if not name:
            return
        self.killed.add(name)
        there = self._ground.take_away(name) if deed.removed else self._ground.kill(name)
        how = "took away" if deed.removed else "killed"
        self._note(
            "runners killed", f"{how} {kind(deed.busy)} runner {name}" + ("" if there else ": not there")
        )

    @play.register
    def _(self, deed: PauseRunner) -> None:
        name = self._picked(deed.busy, deed.pick)
        if name and self._ground.pause(name):
            self._paused.add(name)
            self._note("runners paused", f"paused {kind(deed.busy)} runner {name}")

    @play.register
    def _(self, deed: ContinueRunners) -> None:
        self._continue()

    def _picked(self, busy: bool, pick: float) -> str:
        """Empty where there is none."""
        there = [runner.name for runner in self._github.state().runners_in(kind(busy))]
        if not there:
            self._timeline.note(f"no {kind(busy)} runner to hurt")
            return ""
        return there[int(pick * len(there))]

    def _continue(self) -> None:
        for name in sorted(self._paused):
            self._ground.resume(name)
            self._timeline.note(f"runner {name} goes on")
        self._paused.clear()

    def _doom(self) -> None:
        """Whatever runs now may be killed by what the plan does next."""
        self.killed |= {runner.name for runner in self._github.state().runners_in(*LIVING)}

    # -- the daemon -----------------------------------------------------------------------------------

    @play.register
    def _(self, deed: EndDaemon) -> None:
        self._continue()  # nobody lets them go on while this waits for the daemon's end
        if deed.how == "kill":
            self._kill_daemon()
        else:
            if not self._scene.setting.drains:
                self._doom()
            if deed.how == "twice":
                self._stop_daemon_at_once()
            else:
                self.stop_daemon()
                self._done["daemons stopped"] += 1
            self.excused |= unacknowledged(self._github)

    @play.register
    def _(self, deed: StartDaemon) -> None:
        self.start_daemon()

    def _kill_daemon(self) -> None:
        if not self._daemon.alive:
            self._wrong_end(f"the daemon had ended by itself with {self._daemon.stop()}")
        self._daemon.kill()
        self._github.client_restarted()
        self._note("daemons killed", "killed the daemon")

    def _stop_daemon_at_once(self) -> None:
        self._daemon.ask_to_end()
        self._scene.pause(BETWEEN_SIGNALS)
        code = self._daemon.stop()
        self._github.client_restarted()
        self._note("daemons stopped twice", f"the daemon has ended with {code} after two SIGTERM")
        self._judge(code, "two SIGTERM", 0, LEFT_AT_ONCE, -SIGTERM)

    def _judge(self, code: int, after: str, *right: int) -> None:
        """Before it listens to signals, and after its work is done, one is its end as any program's."""
        if code not in right and not (code == -SIGTERM and self._daemon.has_only_begun):
            self._wrong_end(f"the daemon ended with {code} after {after}")

    def _wrong_end(self, text: str) -> None:
        self.wrong_ends.append(text)
        self._timeline.note(f"!! {text}")

    # -- the engine -----------------------------------------------------------------------------------

    @play.register
    def _(self, deed: BreakEngine) -> None:
        door = self._scene.door
        assert door is not None
        match deed.how:
            case "cut":
                door.cut_events()
            case "away":
                door.leave(deed.seconds)
            case "hang":
                door.trouble.hang(deed.seconds)
            case "slow":
                door.trouble.slow(deed.count, deed.seconds)
            case "full":
                door.trouble.fill(deed.what, deed.count)
        details = " ".join(str(one) for one in (deed.what, deed.count, deed.seconds) if one)
        self._note("engine troubles", f"engine: {deed.how} {details}".rstrip())

    @play.register
    def _(self, deed: EndEngine) -> None:
        assert self._scene.engine is not None
        self._continue()
        self._doom()
        self._scene.engine.end(by_force=deed.by_force)
        self._note("engines ended", "the engine was killed" if deed.by_force else "the engine has ended")

    @play.register
    def _(self, deed: StartEngine) -> None:
        assert self._scene.engine is not None
        self._doom()
        self._scene.engine.start()
        self._timeline.note("the engine is back")

    def _note(self, kind: str, text: str) -> None:
        self._done[kind] += 1
        self._timeline.note(text)

    def _proof(self, number: int) -> Path:
        return self._proofs / str(number)


def kind(busy: bool) -> str:
    return "busy" if busy else "idle"


def unacknowledged(github: SimulatedGitHub, scale_set: str = "") -> Counter[str]:
    """What the rule of deletion would say if all were over now, about one set or all."""
    found = (one.text for one in github.final_violations() if one.rule == DELETION)
    return Counter(text for text in found if f" of {scale_set}" in text)
