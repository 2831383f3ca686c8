"""The doctor on engines in memory and GitHub in memory: what goes in which order, and what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runscaler.backends.leftovers import Kind, Leftover
from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import BackendDown, BackendError, Unreachable
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId, RunnerName, ScaleSetKey
from runscaler.ops.doctor.doctor import Doctor, Request
from runscaler.ops.doctor.owners import Owners
from runscaler.ops.doctor.registrations import GitHub
from runscaler.ops.doctor.report import as_json, lines
from runscaler.ops.owner import load_or_create_owner
from runscaler.ops.records import CreatedScaleSets, Registrations
from runscaler.testing.clock import FakeClock
from runscaler.testing.memory_github import MemoryGitHub

LINUX = ScaleSetSettings(url="https://github.com/my-org", name="linux", token=Secret("t"))
OTHER = ScaleSetSettings(url="https://github.com/my-org", name="other", token=Secret("t"))
RUNNER = RunnerName("runner-0000000a")
SECOND = RunnerName("runner-0000000b")
UNKNOWN = OwnerId("e" * 32)
FIX = Request(fix=True, configured=(LINUX.key,))
LOOK = Request(configured=(LINUX.key,))


class Engine:
    """A `Survey` in memory. `jobs` are the answers to `runs_a_job`, one after another, by name."""

    name = "docker unix:///engine"

    def __init__(self, *there):
        self.there = list(there)
        self.jobs = {}
        self.refused = set()
        self.down = False

    def leftovers(self):
        if self.down:
            raise BackendDown("the engine does not answer", fixes=("start it",))
        return list(self.there)

    def runs_a_job(self, leftover, interrupt):
        answers = self.jobs.get(leftover.name, [False])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BackendError):
            raise answer
        return answer

    def remove(self, leftover, interrupt):
        if leftover.name in self.refused:
            raise BackendError(f"cannot remove {leftover.name}")
        self.there.remove(leftover)

    def close(self):
        """Nothing is open."""


class Rig:
    def __init__(self, path):
        self.path = path
        self.owner = load_or_create_owner(path)
        self.engine = Engine()
        self.clock = FakeClock()
        self.github = MemoryGitHub(FakeClock(), blocking=False)
        self.registrations = Registrations(path / "registrations")

    def container(self, name=RUNNER, owner=None):
        made = Leftover(Kind.CONTAINER, f"id-{name}", name, owner or self.owner, str(self.path))
        self.engine.there.append(made)
        return made

    def register(self, settings, runner=RUNNER):
        """A scale set with that runner at GitHub; returns the runner's id."""
        service, interrupt = self.github.connect(settings), Interrupt()
        made = service.find_scale_set(settings.name, 1, interrupt)
        made = made or service.create_scale_set(settings.name, 1, (), interrupt)
        return service.jit_config(made.id, runner, interrupt).runner_id

    def diagnose(self, request, configured=(LINUX,)):
        github = GitHub(configured, self.github.connect, Interrupt())
        with Owners([self.path], hold=request.fix) as owners:
            return Doctor(request, [self.engine], owners, github, Interrupt(), self.clock).diagnose()


@pytest.fixture
def rig(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return Rig(path)


def verdicts(diagnosis):
    return {(one.kind, one.name): (one.verdict, one.outcome) for one in diagnosis.found}


def told(diagnosis):
    return [(one.level, one.message, one.fixes) for one in lines(diagnosis)]


def test_an_engine_that_does_not_answer_is_a_problem_whatever_else_is_well(rig):
    rig.engine.down = True
    diagnosis = rig.diagnose(FIX)

    assert not diagnosis.is_clean
    assert told(diagnosis) == [("error", "docker unix:///engine: the engine does not answer", ("start it",))]


def test_a_removal_that_fails_is_reported_and_the_others_go_on(rig):
    rig.container()
    rig.container(SECOND)
    rig.engine.refused = {RUNNER}
    diagnosis = rig.diagnose(FIX)

    assert not diagnosis.is_clean
    assert verdicts(diagnosis) == {
        ("container", RUNNER): ("orphan", "failed"),
        ("container", SECOND): ("orphan", "removed"),
    }
    assert told(diagnosis) == [
        (
            "error",
            f"container {RUNNER} on docker unix:///engine could not be removed: cannot remove {RUNNER}",
            ("try again: runner doctor --fix",),
        ),
        ("ok", f"removed container {SECOND} on docker unix:///engine", ()),
    ]


def test_a_job_that_begins_after_the_first_look_is_not_killed(rig):
    rig.container()
    rig.engine.jobs[RUNNER] = [False, True]
    diagnosis = rig.diagnose(FIX)

    assert verdicts(diagnosis) == {("container", RUNNER): ("busy", "left")}
    assert len(rig.engine.there) == 1


def test_a_runner_that_ends_with_its_registration_goes_though_its_engine_cannot_tell_for_a_moment(rig):
    rig.container()
    rig.engine.jobs[RUNNER] = [False, None, BackendError("no such process"), False]

    assert verdicts(rig.diagnose(FIX)) == {("container", RUNNER): ("orphan", "removed")}


@pytest.mark.parametrize("last", [None, True])
def test_what_goes_on_not_telling_or_begins_a_job_meanwhile_is_kept(rig, last):
    rig.container()
    rig.engine.jobs[RUNNER] = [False, None, last]

    assert verdicts(rig.diagnose(FIX)) == {("container", RUNNER): ("busy", "left")}


def test_by_force_nothing_is_waited_for(rig):
    rig.container()
    rig.engine.jobs[RUNNER] = [None]
    diagnosis = rig.diagnose(replace(FIX, force=True))

    assert verdicts(diagnosis) == {("container", RUNNER): ("orphan", "removed")}
    assert rig.clock.pauses == []


def test_where_it_cannot_be_told_whether_a_job_runs_it_is_said_why(rig):
    rig.container()
    rig.engine.jobs[RUNNER] = [BackendError("cannot look into it")]
    diagnosis = rig.diagnose(FIX)

    (line,) = told(diagnosis)
    assert line[1].endswith("whether it runs a job cannot be told (cannot look into it)")
    assert len(rig.engine.there) == 1


def test_the_volume_goes_after_the_last_container_that_used_it(rig):
    container = rig.container()
    rig.engine.there.append(Leftover(Kind.VOLUME, "runner-shared", "runner-shared", users=(container.id,)))

    assert verdicts(rig.diagnose(LOOK))[("volume", "runner-shared")] == ("orphan", "left")
    assert verdicts(rig.diagnose(FIX))[("volume", "runner-shared")] == ("orphan", "removed")
    assert rig.engine.there == []


def test_the_volume_stays_if_a_container_that_uses_it_does(rig):
    container = rig.container()
    rig.engine.there.append(Leftover(Kind.VOLUME, "runner-shared", "runner-shared", users=(container.id,)))
    rig.engine.refused = {RUNNER}

    assert verdicts(rig.diagnose(FIX))[("volume", "runner-shared")] == ("live", "left")


def test_a_fix_stands_once_below_the_last_line_that_it_is_about(rig):
    rig.container()
    rig.container(SECOND)
    rig.container(RunnerName("runner-0000000c"), UNKNOWN)

    fixes = [fix for _, _, fix in told(rig.diagnose(LOOK))]
    assert fixes == [
        (),
        ("remove them: runner doctor --fix",),
        (f"if that daemon is dead, remove them: runner doctor --fix --owner {UNKNOWN}",),
    ]


def test_an_owner_that_has_nothing_here_is_said(rig):
    diagnosis = rig.diagnose(Request(named=frozenset([UNKNOWN])))

    assert diagnosis.is_clean
    assert [one.message for one in diagnosis.notes] == [f"owner {UNKNOWN} has nothing here"]


def test_the_json_has_all_keys_always(rig):
    rig.container()
    (found,) = as_json(rig.diagnose(LOOK))["found"]

    assert found == {
        "kind": "container",
        "name": RUNNER,
        "where": "docker unix:///engine",
        "verdict": "orphan",
        "reason": f"its daemon is dead: nobody holds the lock of {rig.path}",
        "owner": rig.owner,
        "state_dir": str(rig.path),
        "outcome": "left",
        "error": "",
    }


# -- registrations ----------------------------------------------------------------------------------


def test_a_noted_registration_goes_if_github_agrees_that_it_is_of_the_scale_set(rig):
    rig.register(LINUX)
    rig.registrations.note(LINUX.key, RUNNER)

    assert verdicts(rig.diagnose(LOOK)) == {("registration", RUNNER): ("orphan", "left")}
    assert rig.github.runner_names.keys() == {RUNNER}
    assert verdicts(rig.diagnose(FIX)) == {("registration", RUNNER): ("orphan", "removed")}
    assert not rig.github.runner_names
    assert rig.registrations.noted(LINUX.key) == []


def test_a_registration_of_another_scale_set_is_not_removed_whatever_the_note_says(rig):
    rig.register(LINUX, SECOND)
    rig.register(OTHER)
    rig.registrations.note(LINUX.key, RUNNER)

    assert verdicts(rig.diagnose(FIX)) == {("registration", RUNNER): ("live", "left")}
    assert RUNNER in rig.github.runner_names


def test_a_registration_that_nobody_noted_is_not_looked_for(rig):
    rig.register(LINUX)
    rig.container()

    assert verdicts(rig.diagnose(FIX)) == {("container", RUNNER): ("orphan", "removed")}
    assert RUNNER in rig.github.runner_names


def test_without_a_credential_for_its_scale_set_a_registration_is_listed(rig):
    rig.register(LINUX)
    rig.registrations.note(LINUX.key, RUNNER)
    CreatedScaleSets(rig.path / "scale-sets").save(LINUX.key, 1)
    diagnosis = rig.diagnose(Request(fix=True), configured=(OTHER,))

    assert verdicts(diagnosis) == {("registration", RUNNER): ("unknown", "left")}
    assert diagnosis.found[0].where == str(LINUX.key)
    assert [one.message for one in diagnosis.notes] == [
        f"scale set {LINUX.key} was created by a dead daemon and may still be at GitHub"
    ]
    assert RUNNER in rig.github.runner_names


def test_a_note_of_a_scale_set_that_nothing_names_is_listed_too(rig):
    rig.registrations.note(ScaleSetKey.of("https://github.com/x", "default", "gone"), RUNNER)
    diagnosis = rig.diagnose(FIX)

    assert verdicts(diagnosis) == {("registration", RUNNER): ("unknown", "left")}
    assert diagnosis.found[0].where == "a scale set that is not known any more"


def test_a_note_of_a_runner_that_github_has_forgotten_goes_with_fix_only(rig):
    rig.registrations.note(LINUX.key, RUNNER)

    assert rig.diagnose(LOOK).is_clean
    assert rig.registrations.noted(LINUX.key) == [RUNNER]
    assert rig.diagnose(FIX).is_clean
    assert rig.registrations.noted(LINUX.key) == []


def test_while_github_is_away_registrations_are_listed_and_the_rest_is_removed(rig):
    rig.register(LINUX)
    rig.registrations.note(LINUX.key, RUNNER)
    rig.container()
    rig.github.fail_next("find_runner", Unreachable("no route"))
    diagnosis = rig.diagnose(FIX)

    assert verdicts(diagnosis) == {
        ("container", RUNNER): ("orphan", "removed"),
        ("registration", RUNNER): ("unknown", "left"),
    }
    assert "no route" in diagnosis.found[1].reason


@pytest.mark.parametrize(("force", "container"), [(False, ("busy", "left")), (True, ("orphan", "removed"))])
def test_a_runner_that_github_knows_as_busy_goes_by_force_only_though_the_engine_sees_no_job(
    rig, force, container
):
    runner = rig.register(LINUX)
    rig.registrations.note(LINUX.key, RUNNER)
    rig.container()
    rig.github.queue("linux")
    service, interrupt = rig.github.connect(LINUX), Interrupt()
    session = service.open_session(rig.github.scale_set("linux").id, "dead", interrupt)
    service.poll(session, 0, 10, interrupt)
    rig.github.runner_online(runner)
    rig.github.start_job(runner)
    diagnosis = rig.diagnose(Request(fix=True, force=force, configured=(LINUX.key,)))

    assert verdicts(diagnosis)[("container", RUNNER)] == container
    assert not diagnosis.is_clean
    assert RUNNER in rig.github.runner_names
