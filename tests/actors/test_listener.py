"""The listener alone: its parent is a probe, GitHub is in memory, nothing waits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.solo import Solo

from runscaler.actors.messages import (
    AnnounceCapacity,
    BatchHandled,
    BatchReceived,
    ChildCrashed,
    CloseSession,
    ListenerStopped,
    ListenerTroubled,
    NoMessageReceived,
    Reconnect,
    RefreshStatistics,
    ScaleSetFound,
    SessionOpened,
    StandbyEntered,
    StatisticsRefreshed,
    TakeTurn,
)
from runscaler.errors import (
    AccessDenied,
    GitHubError,
    MalformedReply,
    NotFound,
    QueueTokenExpired,
    RateLimited,
    Refused,
    ScaleSetGone,
    SessionGone,
    Unreachable,
)
from runscaler.github.base import ScaleSetChange
from runscaler.github.messages import JobAvailable, Statistics

if TYPE_CHECKING:
    from runscaler.actors.listener import ListenerActor

EXPIRED = QueueTokenExpired("the queue token is over", status=401)


def opened(**settings: object) -> tuple[Solo, ListenerActor]:
    """A listener whose session is open and answered; it is in its first poll."""
    solo = Solo(**settings)  # type: ignore[arg-type]
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))
    return solo, listener


def poll_again(solo: Solo, listener: ListenerActor) -> None:
    """A new capacity cuts the poll."""
    solo.tell(listener, AnnounceCapacity(10))


# -- the scale set at GitHub --------------------------------------------------------------------------


def test_a_scale_set_that_does_not_exist_is_looked_up_and_then_created() -> None:
    solo = Solo(labels=("gpu", "linux"))
    solo.listener()
    solo.play()

    assert solo.service.names()[:4] == ["group_id", "find_scale_set", "create_scale_set", "open_session"]
    assert solo.registered_set().label_names == ("gpu", "linux")
    assert solo.heard(ScaleSetFound) == [ScaleSetFound(solo.registered_set().id)]


def test_a_scale_set_that_exists_as_configured_is_not_changed() -> None:
    solo = Solo(labels=("linux", "GPU"))
    there = solo.github.add_scale_set(solo.settings.url, "Linux", 1, ("gpu", "Linux"))
    solo.listener()
    solo.play()

    assert solo.heard(ScaleSetFound) == [ScaleSetFound(there.id)]
    assert not {"create_scale_set", "update_scale_set"} & set(solo.service.names())


def test_a_scale_set_with_other_labels_is_updated() -> None:
    solo = Solo(labels=("linux", "gpu"))
    solo.github.let_clients_change_labels()
    there = solo.github.add_scale_set(solo.settings.url, "linux", 1, ("linux",))
    solo.listener()
    solo.play()

    assert solo.service.args("update_scale_set") == [(there.id, ScaleSetChange(labels=("linux", "gpu")))]
    assert solo.registered_set().label_names == ("linux", "gpu")


def test_a_scale_set_that_somebody_has_just_created_is_used() -> None:
    solo = Solo()
    solo.github.fail_next("create_scale_set", Refused("exists already", status=400), after=True)
    solo.listener()
    solo.play()

    assert solo.heard(SessionOpened)
    assert not solo.heard(ListenerTroubled)


def test_a_scale_set_that_github_refuses_to_create_is_reported() -> None:
    solo = Solo()
    solo.github.fail_next("create_scale_set", Refused("the name is not allowed", status=400))
    solo.listener()
    solo.play()

    (told,) = solo.heard(ListenerTroubled)
    assert told.trouble is not None
    assert told.trouble.reason == "the name is not allowed"


# -- the session ------------------------------------------------------------------------------------


def test_an_opened_session_is_reported_and_polled_only_after_the_answer() -> None:
    solo = Solo()
    listener = solo.listener()
    solo.play()

    (told,) = solo.heard(SessionOpened)
    assert (told.scale_set_id, told.offers) == (solo.registered_set().id, ())
    assert told.statistics == Statistics()
    assert solo.service.args("open_session") == [(told.scale_set_id, "host-a")]
    assert "poll" not in solo.service.names()

    solo.tell(listener, BatchHandled(None, ()))
    assert "poll" in solo.service.names()


def test_the_session_is_saved_for_the_next_process() -> None:
    solo, _ = opened()

    session = solo.registered_set().session
    assert session is not None
    assert solo.state_store.sessions == {solo.settings.key: (solo.registered_set().id, session.id)}


def test_a_saved_session_is_closed_before_a_new_one_is_opened() -> None:
    solo, _ = opened()
    before = solo.registered_set().session
    solo.listener()
    solo.play()

    after = solo.registered_set().session
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert solo.service.names()[-2:] == ["close_session", "open_session"]
    assert not solo.heard(StandbyEntered)


def test_jobs_offered_before_the_session_are_asked_for() -> None:
    solo = Solo()
    solo.github.add_scale_set(solo.settings.url, "linux", 1, ("linux",))
    solo.github.believe("linux", Statistics(available=2))
    offers = (JobAvailable("a", 1), JobAvailable("b", 2))
    solo.service.answers["acquirable_jobs"] = lambda _: offers
    solo.listener()
    solo.play()

    assert solo.heard(SessionOpened)[0].offers == offers


@pytest.mark.parametrize("how", ["failed", "cut"])
def test_the_request_for_offered_jobs_is_repeated_after_a_failure(how: str) -> None:
    solo = Solo()
    solo.github.add_scale_set(solo.settings.url, "linux", 1, ("linux",))
    solo.github.believe("linux", Statistics(available=1))
    solo.service.answers["acquirable_jobs"] = lambda _: (JobAvailable("a", 1),)
    if how == "failed":
        solo.github.fail_next("acquirable_jobs", Unreachable("no reply"))
    else:
        solo.service.during["acquirable_jobs"] = solo.interrupt.set
    listener = solo.listener()
    solo.play()
    assert solo.heard(SessionOpened) == []

    solo.tell(listener, AnnounceCapacity(10))
    solo.advance(2)

    (told,) = solo.heard(SessionOpened)
    assert told.offers == (JobAvailable("a", 1),)
    assert solo.service.names().count("open_session") == 1


def test_a_reconnect_closes_the_session_and_opens_another() -> None:
    solo, listener = opened()
    before = solo.registered_set().session
    solo.interrupt.set()
    solo.tell(listener, Reconnect())

    after = solo.registered_set().session
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert len(solo.heard(SessionOpened)) == 2
    assert not solo.heard(StandbyEntered)


def test_refreshed_statistics_are_those_of_a_refreshed_session() -> None:
    solo, listener = opened()
    solo.github.believe("linux", Statistics(assigned=4))

    solo.tell(listener, RefreshStatistics())

    assert solo.heard(StatisticsRefreshed) == [StatisticsRefreshed(Statistics(assigned=4))]
    assert solo.service.names().count("refresh_session") == 1


@pytest.mark.parametrize("how", ["failed", "cut", "without a session"])
def test_statistics_that_cannot_be_refreshed_are_not_reported_as_trouble(how: str) -> None:
    solo, listener = opened() if how != "without a session" else (Solo(), None)
    if listener is None:
        solo.github.fail_next("group_id", Unreachable("no network"))
        listener = solo.listener()
        solo.play()
    solo.github.fail_next("refresh_session", Unreachable("no reply"))
    if how == "cut":
        solo.interrupt.set()
    troubles = len(solo.heard(ListenerTroubled))

    solo.tell(listener, RefreshStatistics())

    assert solo.heard(StatisticsRefreshed) == []
    assert len(solo.heard(ListenerTroubled)) == troubles


def test_a_session_without_statistics_has_no_offers() -> None:
    solo = Solo()
    solo.github.add_scale_set(solo.settings.url, "linux", 1, ("linux",))
    solo.listener()
    solo.service.answers["open_session"] = lambda session: replace(session, statistics=None)
    solo.play()

    (told,) = solo.heard(SessionOpened)
    assert (told.statistics, told.offers) == (None, ())


def test_a_standby_tries_again_every_30_to_45_seconds_and_takes_over() -> None:
    solo = Solo()
    solo.github.add_scale_set(solo.settings.url, "linux", 1, ("linux",))
    solo.github.hold_session("linux")
    solo.listener()
    solo.play()

    (told,) = solo.heard(StandbyEntered)
    assert told.retry_at == solo.clock.monotonic() + 37.5
    assert told.reason.startswith("another listener holds it, to be taken over when it is free: ")
    assert "active session for owner another-host" in told.reason

    solo.advance(37)
    assert len(solo.heard(StandbyEntered)) == 1
    solo.advance(1)
    assert len(solo.heard(StandbyEntered)) == 2

    solo.github.end_session("linux")
    solo.advance(38)
    assert solo.heard(SessionOpened)
    assert not solo.heard(ListenerTroubled)


def test_a_listener_whose_session_was_taken_becomes_a_standby() -> None:
    solo, listener = opened()
    solo.github.hold_session("linux")
    poll_again(solo, listener)
    solo.advance(1)

    assert solo.heard(StandbyEntered)


@pytest.mark.parametrize(
    "error", [SessionGone("the session is over", status=404), ScaleSetGone("no such scale set", status=404)]
)
def test_a_session_that_is_over_is_followed_by_a_new_one(error: GitHubError) -> None:
    solo, listener = opened()
    solo.github.fail_next("poll", error)
    poll_again(solo, listener)
    solo.advance(1)

    assert len(solo.heard(SessionOpened)) == 2
    assert not solo.heard(StandbyEntered)
    assert not solo.heard(ListenerTroubled)


def test_a_session_lost_after_a_poll_that_returned_is_replaced_without_backing_off() -> None:
    solo, listener = opened()
    for _ in range(2):
        solo.github.fail_next("poll", SessionGone("the session is over", status=404))
        poll_again(solo, listener)
        solo.advance(1)
        solo.service.empty_polls = 1
        solo.tell(listener, BatchHandled(None, ()))

    assert len(solo.heard(SessionOpened)) == 3
    assert not solo.heard(ListenerTroubled)


def test_a_second_session_lost_without_a_poll_that_returned_is_reported() -> None:
    solo, listener = opened()
    solo.github.fail_next("poll", SessionGone("the session is over", status=404), times=2)
    poll_again(solo, listener)
    solo.advance(1)
    assert not solo.heard(ListenerTroubled)

    solo.tell(listener, BatchHandled(None, ()))
    (told,) = solo.heard(ListenerTroubled)
    assert told.trouble is not None
    assert told.trouble.reason == "the session is over"


def test_a_scale_set_that_somebody_deleted_is_created_again() -> None:
    solo, listener = opened()
    first = solo.registered_set()
    solo.github.delete_scale_set("linux")
    poll_again(solo, listener)
    solo.advance(1)

    assert solo.registered_set() is not first
    assert [one.scale_set_id for one in solo.heard(ScaleSetFound)] == [first.id, solo.registered_set().id]


# -- polling ----------------------------------------------------------------------------------------


def test_a_batch_is_acknowledged_only_after_it_was_handled() -> None:
    solo, listener = opened()
    poll_again(solo, listener)
    solo.github.queue("linux")
    poll_again(solo, listener)

    (batch,) = solo.heard(BatchReceived)
    assert "acknowledge" not in solo.service.names()
    assert list(solo.registered_set().undeleted) == [batch.batch_id]

    solo.tell(listener, BatchHandled(batch.batch_id, ()))
    assert not solo.registered_set().undeleted
    assert "acquire_jobs" not in solo.service.names()


def test_while_a_batch_is_handled_nothing_is_polled() -> None:
    solo, listener = opened()
    solo.github.queue("linux")
    poll_again(solo, listener)
    assert solo.heard(BatchReceived)
    polls = solo.service.names().count("poll")

    poll_again(solo, listener)

    assert solo.service.names().count("poll") == polls


def test_jobs_are_acquired_before_the_batch_is_acknowledged() -> None:
    solo, listener = opened()
    solo.github.queue("linux")
    poll_again(solo, listener)
    solo.service.calls.clear()

    solo.tell(listener, BatchHandled(solo.heard(BatchReceived)[0].batch_id, (7, 8)))

    assert solo.service.names() == ["acquire_jobs", "acknowledge", "poll"]
    assert solo.service.args("acquire_jobs")[0][1] == (7, 8)


def test_the_next_poll_starts_after_the_newest_batch_and_sends_the_capacity() -> None:
    solo, listener = opened()
    solo.github.queue("linux")
    poll_again(solo, listener)
    newest = solo.heard(BatchReceived)[0].batch_id
    solo.tell(listener, BatchHandled(newest, ()))

    assert [one[1:] for one in solo.service.args("poll")] == [(0, 10), (0, 10), (newest, 10)]


def test_a_batch_carries_what_github_sent() -> None:
    solo, listener = opened()
    solo.github.say("linux", problems=("a message could not be read",))
    poll_again(solo, listener)

    (batch,) = solo.heard(BatchReceived)
    assert batch.problems == ("a message could not be read",)
    assert batch.statistics == Statistics()
    assert batch.events == ()


def test_an_empty_poll_is_reported_and_followed_by_the_next() -> None:
    solo = Solo()
    solo.service.empty_polls = 3
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))

    assert len(solo.heard(NoMessageReceived)) == 3
    assert solo.service.names().count("poll") == 4


def test_a_new_capacity_is_sent_with_the_next_poll_and_clears_the_interrupt() -> None:
    solo, listener = opened()
    solo.interrupt.set()
    solo.tell(listener, AnnounceCapacity(3))

    assert not solo.interrupt.is_set()
    assert solo.registered_set().capacity == 3


def test_an_acknowledgement_that_was_cut_is_repeated() -> None:
    solo, listener = opened()
    solo.github.queue("linux")
    poll_again(solo, listener)
    solo.service.during["acknowledge"] = solo.interrupt.set

    solo.tell(listener, BatchHandled(solo.heard(BatchReceived)[0].batch_id, (7,)))
    assert solo.registered_set().undeleted

    solo.tell(listener, AnnounceCapacity(3))
    assert not solo.registered_set().undeleted
    assert solo.service.names().count("acquire_jobs") == 1


def test_acquiring_that_was_cut_is_repeated_before_anything_else() -> None:
    solo, listener = opened()
    solo.github.queue("linux")
    poll_again(solo, listener)
    solo.service.during["acquire_jobs"] = solo.interrupt.set
    solo.tell(listener, BatchHandled(solo.heard(BatchReceived)[0].batch_id, (7,)))
    solo.service.calls.clear()

    solo.tell(listener, AnnounceCapacity(3))

    assert solo.service.names() == ["acquire_jobs", "acknowledge", "poll"]


def test_an_acknowledgement_that_failed_is_repeated_before_the_next_poll() -> None:
    solo, listener = opened()
    solo.github.queue("linux")
    poll_again(solo, listener)
    solo.github.fail_next("acknowledge", Unreachable("connection reset"))
    solo.tell(listener, BatchHandled(solo.heard(BatchReceived)[0].batch_id, ()))
    assert solo.registered_set().undeleted

    poll_again(solo, listener)

    assert not solo.registered_set().undeleted


def test_batches_that_cannot_be_acknowledged_are_tried_one_per_poll_and_logged_once(
    log_lines: list[str],
) -> None:
    solo, listener = opened()
    solo.github.fail_next("acknowledge", Unreachable("no reply"), times=1000)
    for _ in range(4):
        solo.github.queue("linux")
        poll_again(solo, listener)
        solo.tell(listener, BatchHandled(solo.heard(BatchReceived)[-1].batch_id, ()))
    batches = [one.batch_id for one in solo.heard(BatchReceived)]
    solo.service.calls.clear()

    for _ in range(8):
        poll_again(solo, listener)

    assert len(solo.service.args("acknowledge")) == len(solo.service.args("poll")) == 8
    assert sorted(args[1] for args in solo.service.args("acknowledge")) == sorted(batches * 2)
    assert len([line for line in log_lines if "acknowledged" in line]) == 1


def test_a_batch_that_cannot_be_acknowledged_is_logged_again_after_one_that_could(
    log_lines: list[str],
) -> None:
    solo, listener = opened()
    for _ in range(2):
        solo.github.fail_next("acknowledge", Unreachable("no reply"))
        batch_of(solo, listener)
        poll_again(solo, listener)

    assert not solo.registered_set().undeleted
    assert len([line for line in log_lines if "cannot be acknowledged" in line]) == 2


def test_there_is_never_more_than_one_chain_of_polls() -> None:
    solo, listener = opened()
    solo.service.calls.clear()
    for capacity in (1, 2, 3):
        listener.actor_ref.tell(AnnounceCapacity(capacity))
    solo.service.empty_polls = 1
    solo.play()

    assert [one[2] for one in solo.service.args("poll")] == [3, 3]


def test_an_outdated_turn_is_ignored() -> None:
    solo, listener = opened()
    solo.service.calls.clear()

    solo.tell(listener, TakeTurn(0))

    assert solo.service.calls == []


def test_an_answer_that_belongs_to_an_earlier_session_is_dropped() -> None:
    solo, listener = opened()
    solo.service.calls.clear()

    solo.tell(listener, BatchHandled(99, (7,)))

    assert solo.service.calls == []


# -- the queue's token ------------------------------------------------------------------------------


def test_an_expired_token_is_refreshed_once_and_the_poll_repeated() -> None:
    solo, listener = opened()
    solo.github.expire_queue_token("linux")
    solo.service.calls.clear()
    poll_again(solo, listener)

    assert solo.service.names() == ["poll", "refresh_session", "poll"]
    assert len(solo.heard(SessionOpened)) == 1


def test_a_token_that_is_refused_twice_leads_to_a_new_session() -> None:
    solo, listener = opened()
    solo.github.fail_next("poll", EXPIRED, times=2)
    poll_again(solo, listener)
    solo.advance(1)

    assert len(solo.heard(SessionOpened)) == 2
    assert not solo.heard(StandbyEntered)


def test_a_token_is_refreshed_before_it_expires() -> None:
    solo = Solo()
    refresh_at = solo.clock.monotonic() + 100
    solo.service.answers["open_session"] = lambda session: replace(session, refresh_at=refresh_at)
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))
    assert "refresh_session" not in solo.service.names()

    solo.advance(101)
    poll_again(solo, listener)

    assert solo.service.names().count("refresh_session") == 1


# -- failures ----------------------------------------------------------------------------------------


def test_failures_are_reported_with_fixes_and_retried_with_growing_delays() -> None:
    solo = Solo()
    error = Unreachable("github.com does not answer", fixes=("look at the network",))
    solo.github.fail_next("group_id", error, times=3)
    solo.listener()
    solo.play()
    for _ in range(60):
        solo.advance(0.5)

    told = [one.trouble for one in solo.heard(ListenerTroubled)]
    assert [one and (one.reason, one.fixes, one.rate_limited) for one in told] == [
        *[("github.com does not answer", ("look at the network",), False)] * 3,
        None,
    ]
    assert solo.heard(SessionOpened)


def test_delays_start_over_after_a_poll_that_returned() -> None:
    solo, listener = opened()
    for _ in range(3):
        solo.github.fail_next("poll", Unreachable("no reply"))
        poll_again(solo, listener)
        trouble = solo.heard(ListenerTroubled)[-1].trouble
        assert trouble is not None
        assert trouble.retry_at == solo.clock.monotonic() + 0.75

        solo.service.empty_polls = 1
        solo.advance(1)
        assert solo.heard(ListenerTroubled)[-1].trouble is None


def test_a_rate_limit_is_waited_for_as_long_as_github_asks() -> None:
    solo = Solo()
    solo.github.fail_next("group_id", RateLimited("too many requests", retry_after=90))
    solo.listener()
    solo.play()

    trouble = solo.heard(ListenerTroubled)[0].trouble
    assert trouble is not None
    assert trouble.rate_limited
    assert trouble.retry_at == solo.clock.monotonic() + 90
    solo.advance(89)
    assert not solo.heard(SessionOpened)
    solo.advance(2)
    assert solo.heard(SessionOpened)
    assert solo.heard(ListenerTroubled)[-1].trouble is None


@pytest.mark.parametrize("error", [AccessDenied("bad credentials", status=401), NotFound("no", status=404)])
def test_a_refused_credential_is_tried_once_a_minute(error: GitHubError) -> None:
    solo = Solo()
    solo.github.fail_next("group_id", error, times=2)
    solo.listener()
    solo.play()
    solo.advance(59)
    assert solo.github.calls["group_id"] == 1

    solo.advance(2)
    assert solo.github.calls["group_id"] == 2


def test_calls_are_cut_while_the_interrupt_is_set_and_continue_with_the_message() -> None:
    solo = Solo()
    solo.service.during["find_scale_set"] = solo.interrupt.set
    listener = solo.listener()
    solo.play()
    assert not solo.heard(SessionOpened)
    assert not solo.heard(ListenerTroubled)

    solo.tell(listener, AnnounceCapacity(5))
    assert solo.heard(SessionOpened)


def test_an_error_that_no_call_may_raise_is_a_crash() -> None:
    solo = Solo()
    solo.github.fail_next("group_id", ValueError("a bug"))  # type: ignore[arg-type]
    solo.listener()
    solo.play()

    (crash,) = solo.heard(ChildCrashed)
    assert (crash.name, crash.handling) == ("listener linux", "TakeTurn")


# -- stopping ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delete", [True, False])
def test_a_stop_closes_the_session_and_deletes_the_scale_set_if_told_to(delete: bool) -> None:
    solo, listener = opened()
    there = solo.registered_set()
    solo.interrupt.set()
    solo.tell(listener, CloseSession(delete_scale_set=delete))

    assert solo.heard(ListenerStopped) == [ListenerStopped(deleted=delete)]
    assert there.session is None
    assert there.live is not delete
    assert solo.state_store.sessions == {}
    assert listener.actor_stopped.is_set()


def test_batches_are_acknowledged_before_the_session_is_closed() -> None:
    solo, listener = opened()
    solo.github.queue("linux")
    poll_again(solo, listener)
    solo.service.during["acknowledge"] = solo.interrupt.set
    solo.tell(listener, BatchHandled(solo.heard(BatchReceived)[0].batch_id, ()))
    solo.service.calls.clear()

    solo.tell(listener, CloseSession(delete_scale_set=False))

    assert solo.service.names() == ["acknowledge", "close_session"]


def test_a_batch_that_cannot_be_acknowledged_does_not_keep_the_session_open() -> None:
    solo, listener = opened()
    there = solo.registered_set()
    solo.github.queue("linux")
    poll_again(solo, listener)
    solo.service.during["acknowledge"] = solo.interrupt.set
    solo.tell(listener, BatchHandled(solo.heard(BatchReceived)[0].batch_id, ()))
    solo.github.fail_next("acknowledge", Unreachable("no reply"))

    solo.tell(listener, CloseSession(delete_scale_set=True))

    assert there.session is None
    assert solo.heard(ListenerStopped) == [ListenerStopped(deleted=True)]


def test_a_standby_never_deletes_the_scale_set() -> None:
    solo = Solo()
    there = solo.github.add_scale_set(solo.settings.url, "linux", 1, ("linux",))
    solo.github.hold_session("linux")
    listener = solo.listener()
    solo.play()

    solo.tell(listener, CloseSession(delete_scale_set=True))

    assert solo.heard(ListenerStopped) == [ListenerStopped(deleted=False)]
    assert there.live
    assert there.session is not None


def test_a_listener_that_never_reached_github_stops_all_the_same() -> None:
    solo = Solo()
    solo.github.fail_next("group_id", Unreachable("no network"))
    listener = solo.listener()
    solo.play()

    solo.tell(listener, CloseSession(delete_scale_set=True))

    assert solo.heard(ListenerStopped) == [ListenerStopped(deleted=False)]


def test_a_listener_that_has_just_lost_its_session_still_deletes_its_scale_set() -> None:
    solo, listener = opened()
    solo.github.fail_next("poll", SessionGone("over", status=404))
    listener.actor_ref.tell(AnnounceCapacity(0))
    solo.play()

    solo.tell(listener, CloseSession(delete_scale_set=True))

    assert solo.heard(ListenerStopped) == [ListenerStopped(deleted=True)]


def test_a_deleted_scale_set_leaves_no_saved_session_to_the_next_process() -> None:
    """Its session was lost just before and never closed: the next start used the id of the deleted set."""
    solo, listener = opened()
    solo.github.fail_next("poll", SessionGone("over", status=404))
    listener.actor_ref.tell(AnnounceCapacity(0))
    solo.play()

    solo.tell(listener, CloseSession(delete_scale_set=True))

    assert solo.state_store.sessions == {}


def test_a_refused_deletion_does_not_fail_the_stop() -> None:
    solo, listener = opened()
    solo.github.fail_next("delete_scale_set", Refused("a job runs", status=400))

    solo.tell(listener, CloseSession(delete_scale_set=True))

    assert solo.heard(ListenerStopped) == [ListenerStopped(deleted=False)]
    assert solo.registered_set().session is None
    assert listener.actor_stopped.is_set()


def test_a_session_is_closed_though_the_listener_was_cut_just_after_opening_it() -> None:
    solo = Solo(labels=("linux", "gpu"))
    solo.github.add_scale_set(solo.settings.url, "linux", 1, ("other",))
    solo.service.during["update_scale_set"] = solo.interrupt.set
    listener = solo.listener()
    solo.play()
    assert solo.registered_set().session is not None

    solo.tell(listener, CloseSession(delete_scale_set=False))

    assert solo.registered_set().session is None
    assert solo.state_store.sessions == {}


def test_a_listener_whose_close_is_cut_stops_all_the_same() -> None:
    solo, listener = opened()
    solo.service.during["close_session"] = solo.interrupt.set

    solo.tell(listener, CloseSession(delete_scale_set=True))

    assert solo.heard(ListenerStopped) == [ListenerStopped(deleted=False)]
    assert listener.actor_stopped.is_set()


# -- unreadable replies, and message ids that start over ------------------------------------


def test_three_unreadable_polls_in_a_row_lead_to_a_new_session() -> None:
    solo, listener = opened()
    for wait in (0, 2, 4):
        solo.github.fail_next("poll", MalformedReply("a list for an object", status=200))
        assert solo.service.names().count("open_session") == 1
        solo.advance(wait)
        poll_again(solo, listener)

    solo.advance(2)
    assert solo.service.names().count("open_session") == 2
    assert solo.service.names().count("close_session") == 1


def test_unreadable_polls_between_good_ones_keep_the_session() -> None:
    solo, listener = opened()
    for _ in range(6):
        solo.github.fail_next("poll", MalformedReply("a list for an object", status=200))
        poll_again(solo, listener)
        solo.service.empty_polls = 1
        poll_again(solo, listener)

    assert solo.service.names().count("open_session") == 1


def batch_of(solo: Solo, listener: ListenerActor) -> int:
    """Receive and handle one more job; returns the id of its batch."""
    solo.github.queue("linux")
    poll_again(solo, listener)
    batch = solo.heard(BatchReceived)[-1]
    solo.tell(listener, BatchHandled(batch.batch_id, ()))
    return batch.batch_id


def test_message_ids_that_start_over_are_handled_and_followed_in_a_new_session() -> None:
    solo, listener = opened()
    batch_of(solo, listener)
    solo.github.restart_ids("linux")

    assert batch_of(solo, listener) == 1
    assert not solo.registered_set().undeleted
    solo.advance(2)
    solo.tell(listener, BatchHandled(None, ()))

    assert solo.service.names().count("open_session") == 2
    assert solo.service.args("poll")[-1][1] == 0
    assert batch_of(solo, listener) == 2
    solo.advance(2)
    assert solo.service.names().count("open_session") == 2


def test_a_session_that_is_lost_at_every_poll_is_reopened_with_growing_delays() -> None:
    """From the second loss in a row on, and the trouble is reported (faults F26 and F65)."""
    solo = Solo()
    solo.listener()
    solo.play()
    solo.github.fail_next("poll", SessionGone("401 again"), times=1000)
    for _ in range(60):
        for _ in solo.heard(SessionOpened):
            solo.tell(solo.harness.actors[-1], BatchHandled(None, ()))
        solo.advance(1)

    assert solo.github.calls["open_session"] <= 9
    assert any(report.trouble for report in solo.heard(ListenerTroubled))


def test_a_late_answer_to_the_last_session_is_not_taken_for_one_to_the_new_session() -> None:
    """Else the answer to `SessionOpened`, with the jobs to acquire, would be dropped in its place."""
    solo = Solo()
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))
    solo.github.queue("linux")
    solo.tell(listener, AnnounceCapacity(10))
    old = solo.heard(BatchReceived)[0].batch_id
    solo.tell(listener, Reconnect())
    solo.tell(listener, BatchHandled(old, ()))
    solo.service.calls.clear()

    solo.tell(listener, BatchHandled(None, (7,)))

    assert solo.service.args("acquire_jobs")[0][1] == (7,)
