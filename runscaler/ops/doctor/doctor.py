"""Looks at all engines, hosts and registrations, and removes what is to be removed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runscaler.errors import BackendError, JobStillRunning
from runscaler.ops.doctor.findings import Diagnosis, Found, Outcome, Problem, Verdict
from runscaler.ops.doctor.registrations import AWAY, created_in, notes_in
from runscaler.ops.doctor.verdicts import (
    Judgement,
    Owner,
    OwnerState,
    is_volume,
    judge_job,
    judge_resource,
    judge_volume,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.backends.leftovers import Leftover, Survey
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt
    from runscaler.names import OwnerId, ScaleSetKey
    from runscaler.ops.doctor.owners import Owners
    from runscaler.ops.doctor.registrations import GitHub, Note

REGISTRATION = "registration"
ENDING_SECONDS, LOOK_SECONDS = 5.0, 0.2


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for: `named` are the owners whose resources go though nobody can tell whether they
    live; `go_lives` says that a daemon of the Go tool answers."""

    fix: bool = False
    force: bool = False
    named: frozenset[OwnerId] = frozenset()
    go_lives: bool = False
    configured: tuple[ScaleSetKey, ...] = ()


@dataclass(slots=True)
class _Case:
    """A leftover and what is to become of it."""

    survey: Survey
    leftover: Leftover
    owner: Owner | None
    judgement: Judgement
    outcome: Outcome = Outcome.LEFT
    error: str = ""

    @property
    def is_orphan(self) -> bool:
        return self.judgement.verdict is Verdict.ORPHAN

    @property
    def runner(self) -> tuple[str, str]:
        """Its state directory and the name of its runner."""
        state_dir = self.owner.state_dir if self.owner is not None else ""
        return state_dir, self.leftover.runner or self.leftover.name

    def found(self) -> Found:
        return Found(
            kind=self.leftover.kind.value,
            name=self.leftover.name,
            where=self.survey.name,
            verdict=self.judgement.verdict,
            reason=self.judgement.reason,
            owner=self.leftover.owner,
            state_dir=self.owner.state_dir if self.owner is not None else "",
            outcome=self.outcome,
            error=self.error,
        )


class Doctor:
    """For one use. `problems` are those of opening the surveys."""

    def __init__(
        self,
        request: Request,
        surveys: Sequence[Survey],
        owners: Owners,
        github: GitHub,
        interrupt: Interrupt,
        clock: Clock,
        problems: Sequence[Problem] = (),
    ) -> None:
        self._request = request
        self._surveys = surveys
        self._owners = owners
        self._github = github
        self._interrupt = interrupt
        self._clock = clock
        self._problems = list(problems)

    def diagnose(self) -> Diagnosis:
        """Registrations go before their runners: GitHub refuses those whose runner has got a job."""
        known = self._owners.known()
        listed = self._listed()
        resources = [self._case(survey, one) for survey, one in listed if not is_volume(one)]
        self._refuse_living([*known, *(case.owner for case in resources if case.owner is not None)])
        self._look_for_jobs(resources)
        registrations = self._registrations(resources)
        self._remove(resources)
        volumes = [self._volume(survey, one, resources, known) for survey, one in listed if is_volume(one)]
        self._remove(volumes)
        found = [*(case.found() for case in (*resources, *volumes)), *registrations]
        notes = [*self._notes(), *self._absent(found)]
        return Diagnosis(tuple(found), tuple(self._problems), tuple(notes))

    # -- looking ------------------------------------------------------------------------------------

    def _listed(self) -> list[tuple[Survey, Leftover]]:
        """Each once, also if two surveys look at the same engine."""
        found: dict[tuple[str, str], tuple[Survey, Leftover]] = {}
        for survey in self._surveys:
            try:
                leftovers = survey.leftovers()
            except BackendError as error:
                self._problems.append(Problem(f"{survey.name}: {error}", error.fixes))
                continue
            for one in leftovers:
                place = survey.name if is_volume(one) else ""
                found.setdefault((f"{one.kind} {place}", one.id), (survey, one))
        return list(found.values())

    def _case(self, survey: Survey, leftover: Leftover) -> _Case:
        owner = self._owners.owner(leftover.owner, leftover.state_dir) if leftover.owner else None
        request = self._request
        judgement = judge_resource(owner, request.named, go_lives=request.go_lives)
        return _Case(survey, leftover, owner, judgement)

    def _refuse_living(self, owners: Sequence[Owner]) -> None:
        living = {one.id: one for one in owners if one.state is OwnerState.LIVE}
        for owner in sorted(self._request.named & living.keys()):
            reason = living[owner].reason
            self._problems.append(
                Problem(f"owner {owner} is refused: {reason}", ("stop that daemon: it removes its runners",))
            )

    def _look_for_jobs(self, cases: Sequence[_Case]) -> None:
        for case in cases:
            if case.is_orphan:
                case.judgement = judge_job(case.judgement, self._runs_a_job(case), force=self._request.force)

    def _look_for_jobs_again(self, case: _Case) -> None:
        """A runner whose registration has just gone ends, and for a moment its engine may not be able to tell
        what runs in it. By force it goes whatever runs."""
        deadline = self._clock.monotonic() + (0.0 if self._request.force else ENDING_SECONDS)
        while (runs_a_job := self._runs_a_job(case)) is None and self._clock.monotonic() < deadline:
            self._clock.pause(LOOK_SECONDS, self._interrupt)
        case.judgement = judge_job(case.judgement, runs_a_job, force=self._request.force)

    def _runs_a_job(self, case: _Case) -> bool | None:
        case.error = ""
        try:
            return case.survey.runs_a_job(case.leftover, self._interrupt)
        except BackendError as error:
            case.error = str(error)
            return None

    def _volume(
        self, survey: Survey, volume: Leftover, resources: Sequence[_Case], known: Sequence[Owner]
    ) -> _Case:
        """Judged after the containers were removed, which may use it."""
        here = [case for case in resources if case.survey is survey]
        gone = {case.leftover.id for case in here if self._is_gone(case)}
        owners = [*known, *(case.owner for case in here if case.owner is not None)]
        request = self._request
        judgement = judge_volume(volume, gone, owners, request.named, go_lives=request.go_lives)
        return _Case(survey, volume, None, judgement)

    def _is_gone(self, case: _Case) -> bool:
        return case.outcome is Outcome.REMOVED if self._request.fix else case.is_orphan

    def _notes(self) -> list[Problem]:
        """Scale sets that dead daemons created, which their next start would serve or delete."""
        return [
            Problem(
                f"scale set {key} was created by a dead daemon and may still be at GitHub",
                ("start that daemon again, or delete it in the settings at GitHub if nobody serves it",),
            )
            for path in self._owners.dead_directories()
            for key in created_in(path)
        ]

    def _absent(self, found: Sequence[Found]) -> list[Problem]:
        """Owners that were asked for and have nothing here."""
        absent = self._request.named - {one.owner for one in found}
        return [Problem(f"owner {one} has nothing here") for one in sorted(absent)]

    # -- removing -----------------------------------------------------------------------------------

    def _remove(self, cases: Sequence[_Case]) -> None:
        """What begins a job meanwhile is kept."""
        for case in cases if self._request.fix else ():
            if case.is_orphan:
                self._look_for_jobs_again(case)
            if not case.is_orphan:
                continue
            try:
                case.survey.remove(case.leftover, self._interrupt)
            except BackendError as error:
                case.outcome, case.error = Outcome.FAILED, str(error)
            else:
                case.outcome = Outcome.REMOVED

    # -- registrations ------------------------------------------------------------------------------

    def _registrations(self, resources: Sequence[_Case]) -> list[Found]:
        """Those of dead daemons; removed with --fix. A resource whose runner GitHub knows as busy is kept."""
        by_runner = {case.runner: case for case in resources}
        found = []
        for path in self._owners.dead_directories():
            for note in notes_in(path, self._request.configured):
                one = self._registration(note, by_runner.get((str(path), note.runner)))
                if one is not None:
                    found.append(one)
        return found

    def _registration(self, note: Note, case: _Case | None) -> Found | None:
        """None if it is not registered any more."""
        found = Found(REGISTRATION, note.runner, note.where, Verdict.UNKNOWN, state_dir=str(note.state_dir))
        if not self._github.knows(note):
            return replace(found, reason="a dead daemon noted it, and the configuration at hand cannot ask")
        try:
            return self._asked(note, found, case)
        except AWAY as error:
            return replace(found, reason=f"GitHub cannot be asked: {error}")

    def _asked(self, note: Note, found: Found, case: _Case | None) -> Found | None:
        runner = self._github.find(note)
        if runner is None:
            if self._request.fix:
                self._github.forget(note)
            return None
        is_ours = self._github.is_of_its_scale_set(note, runner)
        if not is_ours:
            other = "GitHub says that it is of another scale set"
            reason = "GitHub does not say of which scale set it is" if is_ours is None else other
            return replace(found, verdict=Verdict.UNKNOWN if is_ours is None else Verdict.LIVE, reason=reason)
        if case is not None and not case.is_orphan:
            return replace(found, verdict=Verdict.BUSY, reason=f"its {case.leftover.kind} is kept")
        if runner.busy and not self._request.force:
            return self._busy(found, case)
        found = replace(found, verdict=Verdict.ORPHAN, reason="its daemon is dead")
        if not self._request.fix:
            return found
        try:
            self._github.remove(note, runner)
        except JobStillRunning as error:
            if not self._request.force:
                return self._busy(found, case)
            return replace(found, outcome=Outcome.FAILED, error=str(error))
        except AWAY as error:
            return replace(found, outcome=Outcome.FAILED, error=str(error))
        return replace(found, outcome=Outcome.REMOVED)

    def _busy(self, found: Found, case: _Case | None) -> Found:
        judgement = Judgement(Verdict.BUSY, "GitHub says that it runs a job")
        if case is not None:
            case.judgement = judgement
        return replace(found, verdict=judgement.verdict, reason=judgement.reason)
