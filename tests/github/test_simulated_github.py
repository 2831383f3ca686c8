"""The client against the simulator, over real HTTP and with its faults; no rule of GitHub's is broken.

Client and simulator share one clock that nobody waits for: a pause of the client's is time that passes
at GitHub, too.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.github_client import IDENTITY, Client, Connector

from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import (
    AccessDenied,
    GitHubError,
    Interrupted,
    JobStillRunning,
    NotFound,
    QueueTokenExpired,
    Refused,
    RunnerExists,
    ScaleSetGone,
    ServerError,
    SessionConflict,
    SessionGone,
    Unreachable,
)
from runscaler.github.base import ScaleSetChange, ScaleSetId, ScaleSetService, Session, SessionId
from runscaler.github.client import MAX_CONCURRENT_JIT_CALLS, connect
from runscaler.github.messages import JobAssigned, JobAvailable
from runscaler.github.pool import TransportPool
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName, new_runner_name
from runscaler.testing.simulator import Flavour, Match, Options, SimulatedGitHub, Timers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.testing.clock import FakeClock

IDLE = Interrupt()
LIMIT = 30.0
NAME = "my-runners"


@pytest.fixture
def github(clock: FakeClock) -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(timers=Timers(session=7200.0), clock=clock, threads=16) as running:
        yield running


@pytest.fixture
def client(connector: Connector, github: SimulatedGitHub) -> Client:
    return connector(github.config_url("my-org"))


@pytest.fixture
def service(client: Client) -> ScaleSetService:
    return client.service


@pytest.fixture
def session(service: ScaleSetService) -> Session:
    made = service.create_scale_set(NAME, 1, [NAME], IDLE)
    return service.open_session(ScaleSetId(made.id), "host-a", IDLE)


def end(service: ScaleSetService, session: Session) -> None:
    service.close_session(session.scale_set_id, session.id, IDLE)
    service.delete_scale_set(session.scale_set_id, IDLE)


def test_a_scale_sets_whole_life_breaks_no_rule(github: SimulatedGitHub, service: ScaleSetService) -> None:
    assert service.find_scale_set(NAME, service.group_id("default", IDLE), IDLE) is None
    made = service.create_scale_set(NAME, 1, [NAME, "gpu"], IDLE)
    assert made.labels == (NAME, "gpu")
    assert service.find_scale_set(NAME.upper(), 1, IDLE).id == made.id
    session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)

    github.queue_jobs(NAME, 3)
    batch = service.poll(session, 0, 10, IDLE)
    assert [type(event) for event in batch.events] == [JobAssigned] * 3
    assert batch.statistics.assigned == 3
    service.acknowledge(session, batch.id, IDLE)

    runner = service.jit_config(session.scale_set_id, RunnerName("runner-00000001"), IDLE)
    assert service.runner(runner.runner_id, IDLE).scale_set_id == made.id
    assert service.find_runner(runner.runner, IDLE).id == runner.runner_id
    service.remove_runner(runner.runner_id, IDLE)
    service.remove_runner(runner.runner_id, IDLE)
    assert service.runner(runner.runner_id, IDLE) is None
    assert service.find_runner(runner.runner, IDLE) is None

    session = service.refresh_session(session, IDLE)
    end(service, session)
    assert github.final_violations() == ()


def test_a_scale_set_is_found_by_its_id_whatever_its_name_until_it_is_gone(
    github: SimulatedGitHub, service: ScaleSetService
) -> None:
    made = service.create_scale_set(NAME, 1, [NAME], IDLE)
    github.change_scale_set(NAME, "rename", "renamed")
    found = service.scale_set(ScaleSetId(made.id), IDLE)
    assert (found.id, found.name, found.labels) == (made.id, "renamed", (NAME,))

    github.change_scale_set("renamed", "delete")
    assert service.scale_set(ScaleSetId(made.id), IDLE) is None
    assert github.final_violations() == ()


def test_offers_are_listed_and_acquired(clock: FakeClock, connector: Connector) -> None:
    with SimulatedGitHub(clock=clock, flavour=Flavour.ACQUIRE, threads=16) as github:
        service = connector(github.config_url("my-org/app")).service
        made = service.create_scale_set(NAME, 1, [], IDLE)
        session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)
        assert service.acquirable_jobs(session.scale_set_id, IDLE) == ()
        github.queue_jobs(NAME, 2)

        batch = service.poll(session, 0, 10, IDLE)
        offers = [event for event in batch.events if isinstance(event, JobAvailable)]
        assert len(offers) == 2
        assert {job.request_id for job in service.acquirable_jobs(session.scale_set_id, IDLE)} == {
            offer.request_id for offer in offers
        }
        taken = service.acquire_jobs(session, [offers[0].request_id, 99_999], IDLE)
        service.acknowledge(session, batch.id, IDLE)

        assert taken == (offers[0].request_id,)
        assert service.poll(session, batch.id, 10, IDLE).statistics.assigned == 1
        assert github.violations() == ()


def test_a_runner_group_is_found_and_a_missing_one_lists_the_others(
    clock: FakeClock, connector: Connector
) -> None:
    with SimulatedGitHub(Options(groups=("mobile",)), clock=clock, threads=16) as github:
        service = connector(github.config_url("my-org")).service

        assert service.group_id("mobile", IDLE) == 2
        with pytest.raises(NotFound, match="there are: Default, mobile"):
            service.group_id("web", IDLE)


def test_the_enterprise_has_its_own_registration(connector: Connector, github: SimulatedGitHub) -> None:
    service = connector(github.config_url("enterprises/acme")).service

    assert service.find_scale_set(NAME, 1, IDLE) is None
    assert github.violations() == ()


def test_names_sessions_and_runners_that_are_taken_have_errors_of_their_own(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    name = RunnerName("runner-00000001")
    service.jit_config(session.scale_set_id, name, IDLE)

    with pytest.raises(Refused, match="already exists"):
        service.create_scale_set(NAME, 1, [], IDLE)
    with pytest.raises(SessionConflict):
        service.open_session(session.scale_set_id, "host-b", IDLE)
    with pytest.raises(RunnerExists):
        service.jit_config(session.scale_set_id, name, IDLE)


def test_a_deleted_scale_set_is_gone_in_every_call(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.change_scale_set(NAME, "delete")

    for call in (
        lambda: service.update_scale_set(session.scale_set_id, ScaleSetChange(name=NAME), IDLE),
        lambda: service.open_session(session.scale_set_id, "host-a", IDLE),
        lambda: service.jit_config(session.scale_set_id, new_runner_name(), IDLE),
        lambda: service.acquirable_jobs(session.scale_set_id, IDLE),
    ):
        with pytest.raises(ScaleSetGone):
            call()
    with pytest.raises((SessionGone, ScaleSetGone)):
        service.poll(session, 0, 10, IDLE)
    with pytest.raises((SessionGone, ScaleSetGone)):
        service.refresh_session(session, IDLE)
    end(service, session)


def test_an_expired_session_is_gone_and_closing_it_is_fine(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.change_session(NAME, "expire")

    with pytest.raises(SessionGone):
        service.poll(session, 0, 10, IDLE)
    with pytest.raises(SessionGone):
        service.refresh_session(session, IDLE)
    service.close_session(session.scale_set_id, session.id, IDLE)
    service.open_session(session.scale_set_id, "host-a", IDLE)


def test_f25_an_expired_queue_token_is_told_by_every_call_of_the_queue(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue_jobs(NAME)
    batch = service.poll(session, 0, 10, IDLE)
    github.change_session(NAME, "expire-token")

    for call in (
        lambda: service.poll(session, batch.id, 10, IDLE),
        lambda: service.acknowledge(session, batch.id, IDLE),
        lambda: service.acquire_jobs(session, [1], IDLE),
    ):
        with pytest.raises(QueueTokenExpired):
            call()
    service.acknowledge(service.refresh_session(session, IDLE), batch.id, IDLE)

    assert github.violations() == ()


HEALED = {
    "F3": {},
    "F8": {},
    "F9": {"shape": "list"},
    "F11": {},
    "F12": {},
    "F13": {},
    "F14": {"retryAfter": 20},
    "F14 as a date": {"retryAfter": 20, "date": True},
    "F15": {"retryAfter": 20},
    "F15 without a time": {},
    "F17": {},
    "F17 negative": {"value": "-5"},
    "F17 garbage": {"value": "soon"},
    "F18": {"mib": 9},
    "F23": {},
}


@pytest.mark.parametrize("fault", HEALED)
def test_calls_outlive_a_fault_and_break_no_rule(
    github: SimulatedGitHub, service: ScaleSetService, session: Session, fault: str
) -> None:
    match = Match(path="/_sim/actions/")
    set_fault = github.inject(fault.split()[0], match=match, **HEALED[fault])

    service.find_scale_set(NAME, 1, IDLE, None)
    service.update_scale_set(session.scale_set_id, ScaleSetChange(labels=(NAME,)), IDLE, None)
    fresh = service.refresh_session(session, IDLE, None)
    end(service, fresh)

    assert github.hits(set_fault) >= 1
    assert github.final_violations() == ()


@pytest.mark.parametrize("fault", ["F3", "F8", "F13", "F16", "F31", "F33"])
def test_getting_in_outlives_a_fault(github: SimulatedGitHub, service: ScaleSetService, fault: str) -> None:
    set_fault = (
        github.inject(fault, match=Match(path="/api/v3/"))
        if fault in ("F3", "F8", "F13")
        else (github.inject(fault))
    )

    assert service.find_scale_set(NAME, 1, IDLE, None) is None

    assert github.hits(set_fault) >= 1


@pytest.mark.parametrize("kind", ["no-exp", "not-a-jwt", "past"])
def test_f24_a_strange_admin_jwt_works_without_a_storm_of_refreshes(
    github: SimulatedGitHub, service: ScaleSetService, kind: str
) -> None:
    github.inject("F24", kind=kind)

    for _ in range(3):
        service.find_scale_set(NAME, 1, IDLE)

    assert github.violations() == ()


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("scope", AccessDenied, "a right is missing"),
        ("sso", AccessDenied, "single sign-on"),
        ("hidden", NotFound, "may not see it"),
        ("ip", AccessDenied, "this host's address is not allowed"),
    ],
)
def test_f28_four_denials_have_four_messages(
    github: SimulatedGitHub, service: ScaleSetService, kind: str, error: type[GitHubError], said: str
) -> None:
    github.inject("F28", kind=kind)

    with pytest.raises(error, match=said):
        service.find_scale_set(NAME, 1, IDLE)


def test_f27_a_revoked_token_is_denied_at_once_and_taken_again_when_it_is_back(
    github: SimulatedGitHub, service: ScaleSetService
) -> None:
    fault = github.inject("F27")
    with pytest.raises(AccessDenied, match="wrong, expired or revoked"):
        service.find_scale_set(NAME, 1, IDLE, None)

    github.remove_fault(fault)

    assert service.find_scale_set(NAME, 1, IDLE) is None


def test_f32_another_address_is_used_from_the_next_call_on(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.inject("F32")
    github.inject("F23")

    assert service.find_scale_set(NAME, 1, IDLE) is not None
    assert service.refresh_session(session, IDLE).id == session.id


@pytest.mark.parametrize("field", ["url", "token"])
def test_f38_a_session_without_a_queue_is_never_handed_out(
    github: SimulatedGitHub, service: ScaleSetService, field: str
) -> None:
    made = service.create_scale_set(NAME, 1, [], IDLE)
    github.inject("F38", field=field)

    session = service.open_session(ScaleSetId(made.id), "host-a", IDLE)
    end(service, session)

    assert session.queue_url
    assert session.queue_token
    assert github.final_violations() == ()


def test_f40_closing_gives_up_in_time(
    github: SimulatedGitHub, service: ScaleSetService, session: Session, clock: FakeClock
) -> None:
    github.inject("F40")
    before = clock.monotonic()

    with pytest.raises(ServerError):
        service.close_session(session.scale_set_id, session.id, IDLE)

    assert clock.monotonic() - before < 10


def polled(github: SimulatedGitHub, service: ScaleSetService, session: Session, fault: str, **params: object):
    github.queue_jobs(NAME, 2)
    github.inject(fault, **params)
    return service.poll(session, 0, 10, IDLE)


def test_f10_an_empty_message_is_nothing_new(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    assert polled(github, service, session, "F10") is None


def test_f8_a_proxy_s_page_is_no_acknowledgement(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue_jobs(NAME)
    batch = service.poll(session, 0, 10, IDLE)
    github.inject("F8", match=Match("DELETE", "/_sim/queue/"))

    service.acknowledge(session, batch.id, IDLE)

    assert github.state().scale_set(NAME).undeleted_messages == 0


@pytest.mark.parametrize(
    ("fault", "params"),
    [("F47", {}), ("F47", {"outer": True}), ("F51", {"kind": "element"}), ("F51", {"kind": "text"})],
)
def test_unreadable_content_is_a_problem_of_a_batch_that_can_be_acknowledged(
    github: SimulatedGitHub,
    service: ScaleSetService,
    session: Session,
    fault: str,
    params: dict[str, object],
) -> None:
    batch = polled(github, service, session, fault, **params)
    service.acknowledge(session, batch.id, IDLE)

    assert batch.problems
    assert batch.statistics.assigned == 2


@pytest.mark.parametrize(("fault", "kind"), [("F49", "missing"), ("F49", "times"), ("F50", ""), ("F11", "")])
def test_odd_content_is_read(
    github: SimulatedGitHub, service: ScaleSetService, session: Session, fault: str, kind: str
) -> None:
    batch = polled(github, service, session, fault, **({"kind": kind} if kind else {}))

    assert len(batch.events) == 2
    assert batch.problems == ()


@pytest.mark.parametrize("shape", ["invalid", "list", "string"])
def test_f9_an_unreadable_envelope_is_raised_and_the_message_comes_again(
    github: SimulatedGitHub, service: ScaleSetService, session: Session, shape: str
) -> None:
    with pytest.raises(Unreachable, match="unreadable content"):
        polled(github, service, session, "F9", shape=shape)

    assert len(service.poll(session, 0, 10, IDLE).events) == 2


def test_f52_a_backlog_is_drained_in_batches_with_true_statistics(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue_jobs(NAME, 120)
    last, sizes = 0, []

    for _ in range(3):
        batch = service.poll(session, last, 1000, IDLE)
        service.acknowledge(session, batch.id, IDLE)
        last = batch.id
        sizes.append((len(batch.events), batch.statistics.assigned))

    assert sizes == [(50, 120), (50, 120), (20, 120)]


def test_f53_a_message_whose_deletion_fails_can_be_deleted_later(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.queue_jobs(NAME)
    batch = service.poll(session, 0, 10, IDLE)
    github.inject("F53", count=1)

    service.acknowledge(session, batch.id, IDLE)
    service.acknowledge(session, batch.id, IDLE)

    assert github.violations() == ()


LOST = ["create", "update", "close", "delete", "refresh", "remove", "acknowledge"]


@pytest.mark.parametrize("call", LOST)
def test_f21_a_lost_reply_leaves_no_duplicate_and_no_leak(
    github: SimulatedGitHub, service: ScaleSetService, session: Session, call: str
) -> None:
    runner = service.jit_config(session.scale_set_id, new_runner_name(), IDLE)
    github.queue_jobs(NAME)
    batch = service.poll(session, 0, 10, IDLE)
    github.inject("F21")

    if call == "create":
        with pytest.raises(Refused, match="already exists"):
            service.create_scale_set("other", 1, [], IDLE)
        assert service.find_scale_set("other", 1, IDLE) is not None
    elif call == "update":
        service.update_scale_set(session.scale_set_id, ScaleSetChange(labels=("x",)), IDLE)
    elif call == "refresh":
        session = service.refresh_session(session, IDLE)
    elif call == "remove":
        service.remove_runner(runner.runner_id, IDLE)
    elif call == "acknowledge":
        service.acknowledge(session, batch.id, IDLE)
    elif call == "close":
        service.close_session(session.scale_set_id, session.id, IDLE)
    else:
        service.delete_scale_set(session.scale_set_id, IDLE)

    assert len([one for one in github.state().scale_sets if one.name == "other"]) == (call == "create")


def test_f21_a_lost_jit_reply_leaves_a_registration_that_is_found_by_its_name(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    name = new_runner_name()
    github.inject("F21", match=Match(path="generatejitconfig"))

    with pytest.raises(Unreachable):
        service.jit_config(session.scale_set_id, name, IDLE)
    left = service.find_runner(name, IDLE)
    service.remove_runner(left.id, IDLE)
    end(service, session)

    assert github.final_violations() == ()


def test_f22_a_host_that_slept_renews_its_tokens(
    github: SimulatedGitHub, service: ScaleSetService, session: Session, clock: FakeClock
) -> None:
    clock.advance(3600)

    assert service.find_scale_set(NAME, 1, IDLE).id == session.scale_set_id
    with pytest.raises((QueueTokenExpired, SessionGone)):
        service.poll(session, 0, 10, IDLE)


def test_a_poll_in_progress_is_cancelled_and_can_be_sent_again_with_another_capacity(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    interrupt = Interrupt()
    outcome: list[object] = []

    def poll() -> None:
        try:
            outcome.append(service.poll(session, 0, 3, interrupt))
        except GitHubError as error:
            outcome.append(error)
        except Interrupted as error:
            outcome.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    github.wait_until(lambda state: state.scale_set(NAME).capacity == 3)
    interrupt.set()
    thread.join(LIMIT)
    assert isinstance(outcome[0], Interrupted)

    interrupt.clear()
    github.queue_jobs(NAME)
    assert service.poll(session, 0, 5, interrupt).statistics.assigned == 1
    assert github.state().scale_set(NAME).capacity == 5


def test_eight_jit_calls_are_in_flight_and_no_more() -> None:
    clock = SystemClock()
    with closing(TransportPool(clock, environ={})) as pool, SimulatedGitHub(threads=40) as github:
        settings = ScaleSetSettings(url=github.config_url(), name=NAME, token=Secret("ghp_s3cr3t"))
        service = connect(settings, clock=clock, report=lambda _: None, pool=pool, identity=IDENTITY)
        made = service.create_scale_set(NAME, 1, [], IDLE)
        delay = github.inject("delay", seconds=0.1, match=Match(path="generatejitconfig"))
        configs: list[object] = []

        def register() -> None:
            configs.append(service.jit_config(ScaleSetId(made.id), new_runner_name(), Interrupt()))

        threads = [threading.Thread(target=register) for _ in range(3 * MAX_CONCURRENT_JIT_CALLS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)

        assert len(configs) == len(threads)
        assert github.hits(delay) == len(threads)
        assert github.violations() == ()


def test_a_busy_runner_is_not_removed(
    github: SimulatedGitHub, service: ScaleSetService, session: Session
) -> None:
    github.inject("F81")
    runner = service.jit_config(session.scale_set_id, new_runner_name(), IDLE)

    with pytest.raises(JobStillRunning):
        service.remove_runner(runner.runner_id, IDLE)


def test_our_own_dead_session_is_closed_by_its_id_alone(service: ScaleSetService, session: Session) -> None:
    service.close_session(session.scale_set_id, SessionId(str(session.id)), IDLE)

    assert service.open_session(session.scale_set_id, "host-a", IDLE).id != session.id
