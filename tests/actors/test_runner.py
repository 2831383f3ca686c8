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
    DeregistrationDone,
    DeregistrationPending,
    JobDetected,
    RegistrationChecked,
    RemovalFailed,
    RemoveRunner,
    RetireAgreed,
    RetireFailed,
    RetireRefused,
    RetireRunner,
    RetryRemoval,
    RunnerActorStopped,
    RunnerGone,
    RunnerStartFailed,
    RunnerUp,
    StartRunner,
    StopRunnerActor,
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
    ServerError,
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
        now = self.solo.clock.monotonic()
        return StartRunner(generation, RunnerName(runner), self.scale_set_id, Place(), now + 300, now - 2)

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
        ("jit_config", ServerError("500", status=500)),
        ("jit_config", RunnerExists("it is there already", status=409)),
    ],
)
def test_a_registration_that_may_have_been_made_is_looked_up_and_removed(
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
def test_nothing_is_looked_up_after_a_definite_refusal(slot: Slot, error: GitHubError) -> None:
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
def test_a_start_that_fails_at_the_backend_is_reported_with_fixes(slot: Slot, error: RunscalerError) -> None:
    slot.solo.backend.fail_next("start", error)
    slot.tell(slot.order())

    (told,) = slot.solo.heard(RunnerStartFailed)
    assert (told.reason, told.fixes) == (str(error), error.fixes)
    assert told.image_missing is isinstance(error, ImageMissing)
    assert not told.rate_limited
    assert slot.registered() == []


def test_the_registration_is_removed_when_the_start_fails_after_it(slot: Slot) -> None:
    def fail(_: object) -> None:
        assert slot.registered() == [NAME]
        raise StartFailed("it could not be started")

    slot.solo.backend.on_start = fail
    slot.tell(slot.order())

    assert slot.registered() == []
    assert slot.solo.service.names() == ["jit_config", "remove_runner"]


def test_an_error_that_no_backend_may_raise_is_a_crash(slot: Slot) -> None:
    slot.solo.backend.fail_next("start", KeyError("a bug"))
    slot.tell(slot.order())

    (crash,) = slot.solo.heard(ChildCrashed)
    assert (crash.name, crash.handling) == ("runner 0 linux", "StartRunner")


# -- cancelling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["jit_config", "start"])
def test_a_cut_start_reports_nothing_until_it_is_cancelled_and_leaves_nothing(slot: Slot, call: str) -> None:
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


def test_a_start_that_is_cut_after_its_registration_leaves_no_registration(slot: Slot) -> None:
    def cut(jit: object) -> object:
        slot.solo.interrupt.set()
        return jit

    slot.solo.service.answers["jit_config"] = cut
    slot.tell(slot.order())
    assert slot.registered() == [NAME]

    slot.tell(CancelStart(FIRST, NAME))

    assert (slot.registered(), slot.living()) == ([], [])


def test_a_finished_start_is_undone_by_a_cancel(slot: Slot) -> None:
    up = slot.start()
    slot.solo.backend.engine.write(up.resource.id, b"connecting ...")
    slot.solo.interrupt.set()

    slot.tell(CancelStart(FIRST, NAME))

    assert slot.solo.heard(RunnerGone)
    assert (slot.registered(), slot.living()) == ([], [])
    assert slot.solo.state_store.outputs == {NAME: b"connecting ..."}


def test_cancelling_an_unknown_runner_reports_it_as_gone(slot: Slot) -> None:
    slot.tell(CancelStart(FIRST, NAME))
    slot.tell(slot.order(SECOND), CancelStart(FIRST, NAME))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)] * 2
    assert slot.living() == [NAME]


# -- retiring -----------------------------------------------------------------------------------------


def test_an_idle_runner_is_deregistered_and_may_be_removed(slot: Slot) -> None:
    slot.start()
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireAgreed) == [RetireAgreed(SlotNumber(0), FIRST)]
    assert slot.registered() == []
    assert slot.living() == [NAME]


def test_a_runner_with_a_job_at_github_is_not_retired(slot: Slot) -> None:
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
def test_a_retirement_fails_if_github_or_the_backend_cannot_be_asked(slot: Slot, where: str) -> None:
    slot.start()
    if where == "github":
        slot.solo.github.fail_next("remove_runner", Unreachable("no reply"))
    else:
        slot.solo.backend.fail_next("runs_a_job", BackendDown("no reply"))
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireFailed) == [RetireFailed(SlotNumber(0), FIRST, "no reply")]
    assert slot.solo.heard(RetireAgreed) == []


def test_a_cut_retirement_reports_nothing(slot: Slot) -> None:
    slot.start()
    slot.solo.interrupt.set()
    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert not slot.solo.heard(RetireAgreed)
    assert not slot.solo.heard(RetireFailed)


def test_retiring_an_earlier_or_unknown_runner_does_nothing(slot: Slot) -> None:
    slot.tell(RetireRunner(FIRST, SCALE_SET))
    slot.tell(slot.order(SECOND), RetireRunner(FIRST, SCALE_SET))

    assert slot.registered() == [NAME]
    assert not slot.solo.heard(RetireAgreed)


def test_a_cut_job_check_of_an_adopted_runner_reports_nothing_and_the_removal_goes_ahead(slot: Slot) -> None:
    up = slot.start()
    slot.solo.backend.engine.jobs_running.add(up.resource.id)
    slot.solo.interrupt.set()
    slot.tell(AdoptRunner(SECOND, up.resource), removal(SECOND, deregister=True))

    assert not slot.solo.heard(JobDetected)
    assert [gone.generation for gone in slot.solo.heard(RunnerGone)] == [SECOND]


def test_a_runner_without_an_id_is_removed_by_its_name(slot: Slot) -> None:
    unmarked = replace(slot.start().resource, runner_id=0)
    slot.tell(AdoptRunner(SECOND, unmarked), RetireRunner(SECOND, SCALE_SET))

    assert slot.solo.heard(RetireAgreed)
    assert slot.registered() == []


def test_a_cut_start_is_retired_without_asking_the_backend(slot: Slot) -> None:
    slot.solo.interrupt.set()
    slot.tell(slot.order())
    slot.solo.interrupt.clear()

    slot.tell(RetireRunner(FIRST, SCALE_SET))

    assert slot.solo.heard(RetireAgreed)


# -- removing -----------------------------------------------------------------------------------------


def test_a_removed_runner_is_deregistered_if_told_to(slot: Slot) -> None:
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


def test_removing_an_unknown_runner_reports_it_as_gone(slot: Slot) -> None:
    slot.tell(removal())
    slot.tell(slot.order(SECOND), removal(FIRST))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)] * 2
    assert slot.living() == [NAME]


def test_a_removal_is_retried_until_the_resource_is_gone(slot: Slot) -> None:
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


def test_a_removal_that_has_succeeded_is_not_retried(slot: Slot) -> None:
    slot.start()
    slot.tell(removal(deregister=True), RetryRemoval(FIRST))
    slot.tell(slot.order(SECOND), RetryRemoval(FIRST), RetryRemoval(SECOND))

    assert len(slot.solo.heard(RunnerGone)) == 1
    assert slot.living() == [NAME]


def test_a_cut_removal_reports_nothing(slot: Slot) -> None:
    slot.start()
    slot.solo.backend.fail_next("remove", Interrupted())
    slot.tell(removal())

    assert slot.solo.heard(RunnerGone) == []
    assert slot.solo.heard(RemovalFailed) == []
    slot.tell(removal())
    assert slot.solo.heard(RunnerGone)


def test_the_end_of_the_output_is_saved(slot: Slot) -> None:
    up = slot.start()
    slot.solo.backend.engine.write(up.resource.id, b"x" * 100_000 + b"the end")
    slot.solo.backend.end(up.resource.id, 7)
    slot.tell(removal(force=False, keep_output=True))

    kept = slot.solo.state_store.outputs[NAME]
    assert kept.endswith(b"the end")
    assert len(kept) == 64 * 1024


def test_output_that_cannot_be_read_does_not_stop_the_removal(slot: Slot) -> None:
    slot.start()
    slot.solo.backend.fail_next("logs", BackendError("no such log"))
    slot.tell(removal(keep_output=True))

    assert slot.solo.heard(RunnerGone) == [RunnerGone(SlotNumber(0), FIRST)]
    assert slot.solo.state_store.outputs == {}


def test_no_output_is_saved_of_a_runner_that_printed_nothing(slot: Slot) -> None:
    slot.start()
    slot.tell(removal(keep_output=True))

    assert slot.solo.heard(RunnerGone)
    assert slot.solo.state_store.outputs == {}


# -- pending deregistrations -----------------------------------------------------------------------------


def test_a_registration_that_cannot_be_removed_is_tried_every_30_seconds(slot: Slot) -> None:
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


def test_a_new_pending_deregistration_does_not_retry_the_others(slot: Slot) -> None:
    names = [f"runner-0000000{digit}" for digit in "abcd"]
    slot.solo.github.fail_next("find_runner", STILL, times=4)
    for name in names:
        slot.tell(DeregisterRunner(RunnerName(name), 0, slot.scale_set_id))

    assert slot.solo.service.args("find_runner") == [(name,) for name in names]


def test_a_refused_deregistration_is_logged_once(slot: Slot, log_lines: list[str]) -> None:
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
    assert len(set(slot.solo.service.args("find_runner"))) == 2
    slot.solo.advance(30)

    assert {name for (name,) in slot.solo.service.args("find_runner")} == set(names)


def test_the_deregistration_of_a_runner_whose_job_still_runs_is_retried(slot: Slot) -> None:
    up = slot.start()
    slot.begin_job(up)
    slot.tell(removal(deregister=True))
    assert slot.registered() == [NAME]

    slot.solo.github.lease_over(up.resource.runner_id)
    slot.solo.advance(30)

    calls = len(slot.solo.service.calls)
    slot.solo.advance(30)
    assert len(slot.solo.service.calls) == calls


def test_a_registration_is_removed_by_its_id_if_that_is_known(slot: Slot) -> None:
    up = slot.start()
    slot.tell(DeregisterRunner(NAME, up.resource.runner_id, slot.scale_set_id))

    assert slot.registered() == []
    assert "find_runner" not in slot.solo.service.names()


def test_an_id_that_github_did_not_give_is_not_believed(slot: Slot) -> None:
    """Whoever reaches the engine can label a container of ours with another runner's id."""
    victim = slot.solo.github.connect(slot.solo.settings).jit_config(
        ScaleSetId(slot.solo.github.add_scale_set(slot.solo.settings.url, "other", 1, ("other",)).id),
        RunnerName("runner-00000bad"),
        Interrupt(),
    )
    up = slot.start()

    slot.tell(DeregisterRunner(NAME, victim.runner_id, slot.scale_set_id))

    assert slot.registered() == ["runner-00000bad"]
    assert slot.solo.service.args("remove_runner") == [(up.resource.runner_id,)]


def test_a_name_of_another_scale_set_is_not_removed_though_github_does_not_say_whose_it_is(
    slot: Slot, log_lines: list[str]
) -> None:
    """Only our own note that we registered it would tell."""
    slot.solo.github.connect(slot.solo.settings).jit_config(slot.scale_set_id, NAME, Interrupt())
    slot.solo.service.answers["find_runner"] = lambda found: replace(found, scale_set_id=0)

    slot.tell(DeregisterRunner(NAME, 7, slot.scale_set_id))
    slot.solo.advance(60)

    assert slot.registered() == [NAME]
    assert slot.solo.state_store.registrations[slot.solo.settings.key] == set()
    assert len([line for line in log_lines if "left alone" in line]) == 1


def test_by_name_only_a_runner_of_the_same_scale_set_is_removed(slot: Slot) -> None:
    other = slot.solo.github.add_scale_set(slot.solo.settings.url, "other", 1, ("other",))
    service = slot.solo.github.connect(slot.solo.settings)
    service.jit_config(ScaleSetId(other.id), NAME, Interrupt())

    slot.tell(DeregisterRunner(NAME, 0, slot.scale_set_id))

    assert slot.registered() == [NAME]
    slot.solo.advance(30)
    assert slot.solo.service.names() == ["find_runner"], "it is not looked up again"


def test_a_deregistration_is_done_if_there_is_no_registration(slot: Slot) -> None:
    slot.tell(DeregisterRunner(NAME, 0, slot.scale_set_id))
    slot.solo.advance(60)

    assert slot.solo.service.names() == ["find_runner"]


def test_a_deregistration_that_was_cut_is_repeated(slot: Slot) -> None:
    up = slot.start()
    slot.solo.service.during["remove_runner"] = slot.solo.interrupt.set
    slot.tell(removal(deregister=True))
    assert slot.registered() == [NAME]

    slot.tell(slot.order(SECOND, "runner-00000002"), CancelStart(SECOND, RunnerName("runner-00000002")))
    slot.solo.advance(30)

    assert up.resource.runner_id not in slot.solo.github.runners
    assert slot.registered() == []


def test_a_deregistration_that_was_cut_is_repeated_though_no_message_follows(slot: Slot) -> None:
    up = slot.start()
    slot.solo.service.during["remove_runner"] = slot.solo.interrupt.set
    slot.tell(DeregisterRunner(NAME, up.resource.runner_id, slot.scale_set_id))
    slot.tell(CancelStart(SECOND, RunnerName("runner-00000002")))

    slot.solo.advance(30)

    assert slot.registered() == []


def test_pending_deregistrations_are_reported_and_noted_for_the_next_process_until_they_are_done(
    slot: Slot,
) -> None:
    slot.start()
    noted = slot.solo.state_store.registrations[slot.solo.settings.key]
    slot.solo.github.fail_next("find_runner", STILL)
    slot.tell(DeregisterRunner(NAME, 0, slot.scale_set_id))
    assert slot.solo.heard(DeregistrationPending) == [DeregistrationPending(SlotNumber(0), NAME, 0)]
    assert (slot.solo.heard(DeregistrationDone), noted) == ([], {NAME})

    slot.solo.advance(30)
    assert slot.solo.heard(DeregistrationDone) == [DeregistrationDone(SlotNumber(0), NAME)]
    assert noted == set()


def test_during_a_rate_limit_only_one_deregistration_is_tried(slot: Slot) -> None:
    slot.solo.github.fail_next("find_runner", STILL, times=2)
    for name in ("runner-0000000a", "runner-0000000b"):
        slot.tell(DeregisterRunner(RunnerName(name), 0, slot.scale_set_id))
    slot.solo.service.calls.clear()
    slot.solo.github.fail_next("find_runner", RateLimited("slow down", retry_after=60))

    slot.solo.advance(30)

    assert len(slot.solo.service.args("find_runner")) == 1


def test_a_runner_found_by_name_without_a_scale_set_is_removed(slot: Slot) -> None:
    slot.start()
    slot.solo.service.answers["find_runner"] = lambda found: replace(found, scale_set_id=0)

    slot.tell(DeregisterRunner(NAME, 0, slot.scale_set_id))

    assert slot.registered() == []


def test_a_definite_refusal_leaves_no_registration_noted(slot: Slot) -> None:
    slot.solo.github.fail_next("jit_config", AccessDenied("bad credentials", status=401))
    slot.tell(slot.order())

    assert slot.solo.state_store.registrations[slot.solo.settings.key] == set()


# -- checking the registration -------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_a_check_reports_whether_github_still_knows_the_runner(slot: Slot, known: bool) -> None:
    up = slot.start()
    if not known:
        slot.solo.github.deregister(up.resource.runner_id)
    slot.tell(CheckRegistration(FIRST))

    assert slot.solo.heard(RegistrationChecked) == [
        RegistrationChecked(SlotNumber(0), FIRST, known, online=False if known else None)
    ]


def test_a_check_that_cannot_be_made_reports_nothing(slot: Slot) -> None:
    slot.tell(CheckRegistration(FIRST))
    up = slot.start()
    slot.solo.github.fail_next("runner", Unreachable("no reply"))
    slot.tell(CheckRegistration(SECOND), CheckRegistration(FIRST))
    slot.solo.interrupt.set()
    slot.tell(CheckRegistration(FIRST))
    slot.solo.interrupt.clear()
    slot.tell(AdoptRunner(SECOND, replace(up.resource, runner_id=0)), CheckRegistration(SECOND))

    assert slot.solo.heard(RegistrationChecked) == []


# -- stopping --------------------------------------------------------------------------------------------


def test_a_stop_tries_the_pending_deregistrations_once_more(slot: Slot) -> None:
    slot.start()
    slot.solo.github.fail_next("remove_runner", Unreachable("no reply"))
    slot.tell(removal(deregister=True))
    slot.solo.interrupt.set()

    slot.tell(StopRunnerActor())

    assert slot.registered() == []
    assert slot.solo.heard(RunnerActorStopped) == [RunnerActorStopped(SlotNumber(0))]
    assert slot.actor.actor_stopped.is_set()


def test_a_stop_does_not_wait_for_a_deregistration_that_fails(slot: Slot) -> None:
    slot.start()
    slot.solo.github.fail_next("remove_runner", Unreachable("no reply"), times=2)
    slot.tell(removal(deregister=True))

    slot.tell(StopRunnerActor())

    assert slot.registered() == [NAME]
    assert slot.solo.heard(RunnerActorStopped) == [RunnerActorStopped(SlotNumber(0))]
    assert slot.actor.actor_stopped.is_set()


def test_a_stop_deregisters_a_runner_whose_end_is_not_proved_yet(slot: Slot) -> None:
    slot.start()
    slot.tell(replace(removal(deregister=True), prove=True))
    assert slot.solo.heard(RunnerGone) != []
    assert len(slot.solo.github.runners) == 1

    slot.tell(StopRunnerActor())

    assert not slot.solo.github.runners
