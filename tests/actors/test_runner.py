"""One slot's actor alone: its parent is a probe, GitHub and the backend are in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.solo import Solo

from runscaler.actors.messages import (
    AdoptRunner,
    CancelStart,
    CheckRegistration,
    ChildCrashed,
    DeregisterRunner,
    EndRunner,
    JobSeen,
    RegistrationSeen,
    RemovalFailed,
    RemoveRunner,
    RetireAgreed,
    RetireFailed,
    RetireRefused,
    RetireRunner,
    RetryRemoval,
    RunnerEnded,
    RunnerGone,
    RunnerStartFailed,
    RunnerUp,
    StartRunner,
)
from runscaler.backends.base import Ending, Place
from runscaler.errors import (
    AccessDenied,
    BackendDown,
    BackendError,
    GitHubError,
    ImageMissing,
    Interrupted,
    JobStillRunning,
    RateLimited,
    RunnerExists,
    RunscalerError,
    ScaleSetGone,
    ServerTrouble,
    StartFailed,
    Unreachable,
)
from runscaler.github.base import ScaleSetId
from runscaler.interrupt import Interrupt
from runscaler.names import Generation, RunnerName, SlotNumber

if TYPE_CHECKING:
    from runscaler.actors.runner import RunnerActor

FIRST, SECOND = Generation(1), Generation(2)
SCALE_SET = ScaleSetId(42)
"""The first that GitHub in memory makes."""
NAME = RunnerName("runner-00000001")
STILL = JobStillRunning("a job still runs", status=400)


class Slot:
    """A slot of a scale set that GitHub knows, with its actor."""

    def __init__(self) -> None:
        self.solo = Solo()
        made = self.solo.github.add_scale_set(self.solo.settings.url, "linux", 1, ("linux",))
        self.scale_set_id = ScaleSetId(made.id)
        self.actor: RunnerActor = self.solo.runner()

    def tell(self, *messages: object) -> None:
        self.solo.tell(self.actor, *messages)

    def order(self, generation: Generation = FIRST, runner: str = NAME) -> StartRunner:
        deadline = self.solo.clock.monotonic() + 300
        return StartRunner(generation, RunnerName(runner), self.scale_set_id, Place(), deadline)

    def start(self) -> RunnerUp:
        self.tell(self.order())
        return self.solo.heard(RunnerUp)[-1]

    def begin_job(self, up: RunnerUp) -> None:
        """The agent connects and gets a job."""
        service = self.solo.github.connect(self.solo.settings)
        session = service.open_session(self.scale_set_id, "host-a", Interrupt())
        service.poll(session, 0, 10, Interrupt())
        self.solo.github.queue("linux")
        self.solo.github.runner_online(up.resource.runner_id)
        self.solo.github.start_job(up.resource.runner_id)

    def registered(self) -> list[str]:
        """The runners that are registered at GitHub, by name."""
        return sorted(self.solo.github.runner_names)

    def living(self) -> list[str]:
        """The runners that are left at the backend, by name."""
        return [one.runner for one in self.solo.backend.inventory()]


@pytest.fixture
def slot() -> Slot:
    return Slot()


def removal(
    generation: Generation = FIRST,
    *,
    force: bool = True,
    deregister: bool = False,
    keep_output: bool = False,
    ending: Ending | None = None,
) -> RemoveRunner:
    return RemoveRunner(generation, SCALE_SET, force, deregister, keep_output, ending)


# -- starting -----------------------------------------------------------------------------------------


def test_a_runner_is_registered_and_started(slot: Slot) -> None:
    up = slot.start()

    assert (up.slot, up.generation) == (0, FIRST)
    assert (up.resource.runner, up.resource.key) == (NAME, slot.solo.settings.key)
    assert up.resource.runner_id == slot.solo.github.runner_names[NAME].id
    assert slot.living() == [NAME]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("jit_config", Unreachable("the reply was lost")),
        ("jit_config", ServerTrouble("500", status=500)),
        ("jit_config", RunnerExists("it is there already", status=409)),
    ],
)
def test_a_registration_whose_fate_is_unclear_is_looked_for_and_removed(
    slot: Slot, call: str, error: GitHubError
) -> None:
    slot.solo.github.fail_next(call, error, after=True)
    slot.tell(slot.order())

    (told,) = slot.solo.heard(RunnerStartFailed)
    assert (told.slot, told.generation, told.reason) == (0, FIRST, str(error))
    assert slot.registered() == []
    assert slot.living() == []
    assert "find_runner" in slot.solo.service.names()


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("bad credentials", status=401),
        RateLimited("too many requests", retry_after=60),
        ScaleSetGone("no such scale set", status=404),
    ],
)
def test_after_a_definite_no_nothing_is_looked_for(slot: Slot, error: GitHubError) -> None:
    slot.solo.github.fail_next("jit_config", error)
    slot.tell(slot.order())

    (told,) = slot.solo.heard(RunnerStartFailed)
    assert told.rate_limited is isinstance(error, RateLimited)
    assert slot.solo.service.names() == ["jit_config"]


@pytest.mark.parametrize(
    "error",
    [
        StartFailed("the container ended at once", fixes=("look at its log",)),
        BackendDown("the engine does not answer"),
        ImageMissing("no such image"),
    ],
)
def test_a_start_that_the_backend_refuses_is_told_with_what_to_do(slot: Slot, error: RunscalerError) -> None:
    slot.solo.backend.fail_next("start", error)
    slot.tell(slot.order())

    (told,) = slot.solo.heard(RunnerStartFailed)
    assert (told.reason, told.fixes) == (str(error), error.fixes)
    assert told.image_missing is isinstance(error, ImageMissing)
    assert not told.rate_limited
    assert slot.registered() == []


def test_the_registration_goes_when_the_resource_fails_after_it_was_made(slot: Slot) -> None:
    def fail(_: object) -> None:
        assert slot.registered() == [NAME]
        raise StartFailed("it could not be started")

    slot.solo.backend.on_start = fail
    slot.tell(slot.order())

    assert slot.registered() == []
    assert slot.solo.service.names() == ["jit_config", "remove_runner"]


def test_what_no_backend_may_raise_is_a_crash(slot: Slot) -> None:
    slot.solo.backend.fail_next("start", KeyError("a bug"))
    slot.tell(slot.order())

    (crash,) = slot.solo.heard(ChildCrashed)
    assert (crash.name, crash.handling) == ("runner 0 linux", "StartRunner")


# -- cancelling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["jit_config", "start"])
def test_a_start_that_is_cut_says_nothing_until_it_is_cancelled_and_leaves_nothing(
    slot: Slot, call: str
) -> None:
    if call == "start":
        slot.solo.backend.on_start = lambda _: slot.solo.interrupt.wait(0)
    slot.solo.service.during["jit_config"] = slot.solo.interrupt.set
    slot.tell(slot.order())
    assert slot.solo.heard(RunnerStartFailed) == []
    assert slot.solo.heard(RunnerUp) == []

    slot.tell(CancelStart(FIRST, NAME))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)]
    assert (slot.registered(), slot.living()) == ([], [])
    assert not slot.solo.interrupt.is_set()


def test_a_start_cut_after_its_registration_leaves_none(slot: Slot) -> None:
    def cut(jit: object) -> object:
        slot.solo.interrupt.set()
        return jit

    slot.solo.service.answers["jit_config"] = cut
    slot.tell(slot.order())
    assert slot.registered() == [NAME]

    slot.tell(CancelStart(FIRST, NAME))

    assert (slot.registered(), slot.living()) == ([], [])


def test_a_start_that_finished_is_undone_by_a_cancel(slot: Slot) -> None:
    up = slot.start()
    slot.solo.backend.engine.write(up.resource.id, b"connecting ...")
    slot.solo.interrupt.set()

    slot.tell(CancelStart(FIRST, NAME))

    assert slot.solo.heard(RunnerGone)
    assert (slot.registered(), slot.living()) == ([], [])
    assert slot.solo.shelf.outputs == {NAME: b"connecting ..."}


def test_cancelling_what_is_not_there_says_that_it_is_gone(slot: Slot) -> None:
    slot.tell(CancelStart(FIRST, NAME))
    slot.tell(slot.order(SECOND), CancelStart(FIRST, NAME))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)] * 2
    assert slot.living() == [NAME]


# -- retiring -----------------------------------------------------------------------------------------


def test_an_idle_runner_is_deregistered_and_may_go(slot: Slot) -> None:
    slot.start()
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireAgreed) == [RetireAgreed(SlotNumber(0), FIRST)]
    assert slot.registered() == []
    assert slot.living() == [NAME]


def test_a_runner_whose_job_github_knows_is_not_retired(slot: Slot) -> None:
    slot.begin_job(slot.start())
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireRefused) == [RetireRefused(SlotNumber(0), FIRST)]
    assert slot.registered() == [NAME]


def test_a_runner_in_which_the_backend_sees_a_job_is_not_retired(slot: Slot) -> None:
    up = slot.start()
    slot.solo.backend.engine.jobs_running.add(up.resource.id)
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireRefused) == [RetireRefused(SlotNumber(0), FIRST)]


@pytest.mark.parametrize("where", ["github", "backend"])
def test_who_cannot_be_asked_has_not_agreed(slot: Slot, where: str) -> None:
    slot.start()
    if where == "github":
        slot.solo.github.fail_next("remove_runner", Unreachable("no reply"))
    else:
        slot.solo.backend.fail_next("runs_a_job", BackendDown("no reply"))
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireFailed) == [RetireFailed(SlotNumber(0), FIRST, "no reply")]
    assert slot.solo.heard(RetireAgreed) == []


def test_a_retirement_that_is_cut_says_nothing(slot: Slot) -> None:
    slot.start()
    slot.solo.interrupt.set()
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert not slot.solo.heard(RetireAgreed)
    assert not slot.solo.heard(RetireFailed)


def test_retiring_an_earlier_runner_or_none_does_nothing(slot: Slot) -> None:
    slot.tell(RetireRunner(FIRST, SCALE_SET))
    slot.tell(slot.order(SECOND), RetireRunner(FIRST, SCALE_SET))

    assert slot.registered() == [NAME]
    assert not slot.solo.heard(RetireAgreed)


def test_a_look_into_an_adopted_runner_that_is_cut_says_nothing_and_its_removal_follows(slot: Slot) -> None:
    up = slot.start()
    slot.solo.backend.engine.jobs_running.add(up.resource.id)
    slot.solo.interrupt.set()
    slot.tell(AdoptRunner(SECOND, up.resource), removal(SECOND, deregister=True))

    assert not slot.solo.heard(JobSeen)
    assert [gone.generation for gone in slot.solo.heard(RunnerGone)] == [SECOND]


def test_a_runner_without_an_id_is_removed_by_its_name(slot: Slot) -> None:
    unmarked = replace(slot.start().resource, runner_id=0)
    slot.tell(AdoptRunner(SECOND, unmarked), RetireRunner(SECOND, SCALE_SET))

    assert slot.solo.heard(RetireAgreed)
    assert slot.registered() == []


def test_a_cut_start_has_nothing_that_the_backend_could_be_asked_about(slot: Slot) -> None:
    slot.solo.interrupt.set()
    slot.tell(slot.order())
    slot.solo.interrupt.clear()

    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireAgreed)


# -- removing -----------------------------------------------------------------------------------------


def test_a_removed_runner_is_gone_and_deregistered_where_that_is_due(slot: Slot) -> None:
    slot.start()
    slot.tell(removal(deregister=True))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)]
    assert (slot.registered(), slot.living()) == ([], [])


def test_a_runner_that_had_its_job_is_not_deregistered(slot: Slot) -> None:
    slot.start()
    slot.tell(removal())

    assert slot.solo.heard(RunnerGone)
    assert "remove_runner" not in slot.solo.service.names()


def test_an_adopted_runner_is_removed_like_one_of_its_own(slot: Slot) -> None:
    up = slot.start()
    heir = slot.solo.runner()
    slot.solo.tell(heir, AdoptRunner(SECOND, up.resource), removal(SECOND, deregister=True))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), SECOND)]
    assert (slot.registered(), slot.living()) == ([], [])


def test_removing_what_is_not_there_says_that_it_is_gone(slot: Slot) -> None:
    slot.tell(removal())
    slot.tell(slot.order(SECOND), removal(FIRST))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)] * 2
    assert slot.living() == [NAME]


def test_a_removal_is_tried_again_until_the_resource_is_gone(slot: Slot) -> None:
    slot.start()
    for _ in range(3):
        slot.solo.backend.fail_next("remove", BackendError("device is busy"))
    slot.tell(removal())

    assert slot.solo.heard(RemovalFailed) == [RemovalFailed(SlotNumber(0), FIRST, "device is busy")]
    for seconds in (1, 2):
        slot.solo.advance(seconds)
        assert slot.living() == [NAME]
    slot.solo.advance(4)

    assert slot.living() == []
    assert len(slot.solo.heard(RunnerGone)) == 1
    assert len(slot.solo.heard(RemovalFailed)) == 1


def test_a_removal_that_came_about_is_not_tried_again(slot: Slot) -> None:
    slot.start()
    slot.tell(removal(deregister=True), RetryRemoval(FIRST))
    slot.tell(slot.order(SECOND), RetryRemoval(FIRST), RetryRemoval(SECOND))

    assert len(slot.solo.heard(RunnerGone)) == 1
    assert slot.living() == [NAME]


def test_a_removal_that_is_cut_says_nothing(slot: Slot) -> None:
    slot.start()
    slot.solo.backend.fail_next("remove", Interrupted())
    slot.tell(removal())

    assert slot.solo.heard(RunnerGone) == []
    assert slot.solo.heard(RemovalFailed) == []
    slot.tell(removal())
    assert slot.solo.heard(RunnerGone)


def test_the_last_output_is_kept_with_how_it_ended(slot: Slot) -> None:
    up = slot.start()
    slot.solo.backend.engine.write(up.resource.id, b"x" * 100_000 + b"the end")
    slot.solo.backend.end(up.resource.id, 7)
    slot.tell(removal(force=False, keep_output=True))

    kept = slot.solo.shelf.outputs[NAME]
    assert kept.endswith(b"the end")
    assert len(kept) == 64 * 1024


def test_output_that_cannot_be_had_does_not_hold_up_the_removal(slot: Slot) -> None:
    slot.start()
    slot.solo.backend.fail_next("logs", BackendError("no such log"))
    slot.tell(removal(keep_output=True))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)]
    assert slot.solo.shelf.outputs == {}


def test_a_runner_that_printed_nothing_leaves_no_output(slot: Slot) -> None:
    slot.start()
    slot.tell(removal(keep_output=True))

    assert slot.solo.heard(RunnerGone)
    assert slot.solo.shelf.outputs == {}


# -- what is owed at GitHub -----------------------------------------------------------------------------


def test_a_registration_that_github_holds_on_to_is_tried_every_half_minute(slot: Slot) -> None:
    slot.start()
    slot.solo.github.fail_next("remove_runner", Unreachable("no reply"), times=3)
    slot.tell(removal(deregister=True))

    assert slot.solo.heard(RunnerGone), "the slot does not wait for it"
    for _ in range(2):
        slot.solo.advance(30)
        assert slot.registered() == [NAME]
    slot.solo.advance(29)
    assert slot.registered() == [NAME]
    slot.solo.advance(1)
    assert slot.registered() == []

    calls = len(slot.solo.service.calls)
    slot.solo.advance(300)
    assert len(slot.solo.service.calls) == calls


def test_several_registrations_that_are_owed_have_one_timer(slot: Slot) -> None:
    slot.solo.github.fail_next("find_runner", Unreachable("no reply"), times=2)
    for name in ("runner-0000000a", "runner-0000000b"):
        slot.tell(DeregisterRunner(RunnerName(name), 0, slot.scale_set_id))
    slot.solo.service.calls.clear()

    slot.solo.advance(30)

    assert slot.solo.service.args("find_runner") == [("runner-0000000a",), ("runner-0000000b",)]


def test_a_new_debt_asks_for_no_other(slot: Slot) -> None:
    names = [f"runner-0000000{digit}" for digit in "abcd"]
    slot.solo.github.fail_next("find_runner", STILL, times=4)
    for name in names:
        slot.tell(DeregisterRunner(RunnerName(name), 0, slot.scale_set_id))

    assert slot.solo.service.args("find_runner") == [(name,) for name in names]


def test_that_github_holds_on_to_a_registration_is_said_once(slot: Slot, log_lines: list[str]) -> None:
    slot.solo.github.fail_next("find_runner", STILL, times=20)
    slot.tell(DeregisterRunner(NAME, 0, slot.scale_set_id))
    for _ in range(20):
        slot.solo.advance(30)

    assert len([line for line in log_lines if NAME in line]) == 1


def test_while_github_is_away_one_registration_is_tried_and_the_others_in_turn(slot: Slot) -> None:
    names = ["runner-0000000a", "runner-0000000b", "runner-0000000c"]
    slot.solo.github.fail_next("find_runner", Unreachable("no reply"), times=3 + 2)
    for name in names:
        slot.tell(DeregisterRunner(RunnerName(name), 0, slot.scale_set_id))
    slot.solo.service.calls.clear()

    slot.solo.advance(30)
    slot.solo.advance(30)
    assert len(slot.solo.service.args("find_runner")) == 2
    slot.solo.advance(30)

    assert {name for (name,) in slot.solo.service.args("find_runner")} == set(names)


def test_a_registration_whose_job_still_runs_is_tried_again(slot: Slot) -> None:
    up = slot.start()
    slot.begin_job(up)
    slot.tell(removal(deregister=True))
    assert slot.registered() == [NAME]

    slot.solo.github.lease_over(up.resource.runner_id)
    slot.solo.advance(30)

    calls = len(slot.solo.service.calls)
    slot.solo.advance(30)
    assert len(slot.solo.service.calls) == calls


def test_a_registration_is_removed_by_its_id_where_that_is_known(slot: Slot) -> None:
    up = slot.start()
    slot.tell(DeregisterRunner(NAME, up.resource.runner_id, slot.scale_set_id))

    assert slot.registered() == []
    assert "find_runner" not in slot.solo.service.names()


def test_by_name_only_a_runner_of_the_same_scale_set_is_removed(slot: Slot) -> None:
    other = slot.solo.github.add_scale_set(slot.solo.settings.url, "other", 1, ("other",))
    service = slot.solo.github.connect(slot.solo.settings)
    service.jit_config(ScaleSetId(other.id), NAME, Interrupt())

    slot.tell(DeregisterRunner(NAME, 0, slot.scale_set_id))

    assert slot.registered() == [NAME]
    slot.solo.advance(30)
    assert slot.solo.service.names() == ["find_runner"], "it is not looked for again"


def test_a_registration_that_is_not_there_is_settled(slot: Slot) -> None:
    slot.tell(DeregisterRunner(NAME, 0, slot.scale_set_id))
    slot.solo.advance(60)

    assert slot.solo.service.names() == ["find_runner"]


def test_settling_that_is_cut_is_made_up_for(slot: Slot) -> None:
    up = slot.start()
    slot.solo.service.during["remove_runner"] = slot.solo.interrupt.set
    slot.tell(removal(deregister=True))
    assert slot.registered() == [NAME]

    slot.tell(slot.order(SECOND, "runner-00000002"), CancelStart(SECOND, RunnerName("runner-00000002")))
    slot.solo.advance(30)

    assert up.resource.runner_id not in slot.solo.github.runners
    assert slot.registered() == []


def test_settling_that_is_cut_is_tried_again_though_nothing_else_follows(slot: Slot) -> None:
    up = slot.start()
    slot.solo.service.during["remove_runner"] = slot.solo.interrupt.set
    slot.tell(DeregisterRunner(NAME, up.resource.runner_id, slot.scale_set_id))
    slot.tell(CancelStart(SECOND, RunnerName("runner-00000002")))

    slot.solo.advance(30)

    assert slot.registered() == []


# -- is it still known? -------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_it_tells_whether_github_still_knows_its_runner(slot: Slot, known: bool) -> None:
    up = slot.start()
    if not known:
        slot.solo.github.deregister(up.resource.runner_id)
    slot.tell(CheckRegistration(FIRST))

    assert slot.solo.heard(RegistrationSeen) == [RegistrationSeen(SlotNumber(0), FIRST, known)]


def test_it_tells_nothing_of_a_runner_that_github_cannot_be_asked_about(slot: Slot) -> None:
    slot.tell(CheckRegistration(FIRST))
    up = slot.start()
    slot.solo.github.fail_next("runner", Unreachable("no reply"))
    slot.tell(CheckRegistration(SECOND), CheckRegistration(FIRST))
    slot.solo.interrupt.set()
    slot.tell(CheckRegistration(FIRST))
    slot.solo.interrupt.clear()
    slot.tell(AdoptRunner(SECOND, replace(up.resource, runner_id=0)), CheckRegistration(SECOND))

    assert slot.solo.heard(RegistrationSeen) == []


# -- the end --------------------------------------------------------------------------------------------


def test_the_end_settles_what_is_owed_once(slot: Slot) -> None:
    slot.start()
    slot.solo.github.fail_next("remove_runner", Unreachable("no reply"))
    slot.tell(removal(deregister=True))
    slot.solo.interrupt.set()

    slot.tell(EndRunner())

    assert slot.registered() == []
    assert slot.solo.heard(RunnerEnded) == [RunnerEnded(SlotNumber(0))]
    assert slot.actor.actor_stopped.is_set()


def test_the_end_does_not_wait_for_what_github_holds_on_to(slot: Slot) -> None:
    slot.start()
    slot.solo.github.fail_next("remove_runner", Unreachable("no reply"), times=2)
    slot.tell(removal(deregister=True))

    slot.tell(EndRunner())

    assert slot.registered() == [NAME]
    assert slot.solo.heard(RunnerEnded) == [RunnerEnded(SlotNumber(0))]
    assert slot.actor.actor_stopped.is_set()
