"""How fast the calls of one credential follow each other (docs/behaviour.md § 6.7, docs/protocol.md § 7)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wire_server import WireServer, answer

from runscaler.config.proxy_url import ProxyUrl
from runscaler.config.secrets import Secret
from runscaler.errors import Interrupted, RateLimited
from runscaler.github.pacing import CAREFUL_SECONDS, Pacer
from runscaler.github.registration_budget import RegistrationBudget
from runscaler.github.wire import Lane, Request, bearer
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from support.github_client import Connector

HOST = "github.test"
SETS = 100
PER_MINUTE = 170


def request(lane: Lane = Lane.START, *, host: str = HOST, poll: bool = False, registers: str = "") -> Request:
    url = f"http://{host}/"
    return Request("try", "GET", url, bearer(Secret("t")), {}, poll=poll, lane=lane, registers=registers)


POLL = request(poll=True)


def delays(pacer: Pacer, *requests: Request) -> list[float]:
    return [pacer.delay(each) for each in requests]


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for other in times if at <= other < at + 1.0) for at in times)


def test_a_few_scale_sets_start_without_a_pause() -> None:
    assert set(delays(Pacer(FakeClock(), hosted=True), *[request(Lane.SETUP)] * 40)) == {0.0}


def test_the_sessions_of_a_hundred_scale_sets_are_spread_out() -> None:
    due = delays(Pacer(FakeClock(), hosted=True), *[request(Lane.SETUP)] * 4 * SETS)

    assert most_in_a_second(due) <= 60
    assert max(due) == pytest.approx(18.0)


def test_starts_and_polls_never_wait_for_housekeeping_or_each_other() -> None:
    pacer = Pacer(FakeClock(), hosted=False)

    housekeeping = delays(pacer, *[request(Lane.HOUSEKEEPING)] * 200)

    assert max(housekeeping) > 5
    assert set(delays(pacer, *[request()] * 200, *[POLL] * 200)) == {0.0}


def test_after_a_limit_nobody_storms() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, hosted=False)
    pacer.limited(HOST, clock.monotonic() + 30.0)
    clock.advance(30.0)
    waiting = {lane: [request(lane)] * SETS for lane in Lane if lane is not Lane.POLL}
    waiting[Lane.POLL] = [POLL] * SETS

    due = {lane: delays(pacer, *calls) for lane, calls in waiting.items()}

    at_work = [at for lane, times in due.items() if lane is not Lane.END for at in times]
    assert most_in_a_second(at_work) <= 27
    assert most_in_a_second(due[Lane.END]) <= 40
    assert {lane: sum(at <= CAREFUL_SECONDS for at in times) for lane, times in due.items()} == {
        Lane.POLL: SETS,
        Lane.START: SETS,
        Lane.END: SETS,
        Lane.SETUP: SETS,
        Lane.HOUSEKEEPING: 62,
    }


def test_a_single_scale_set_is_not_slowed_after_a_limit() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, hosted=False)
    pacer.limited(HOST, clock.monotonic())

    assert delays(pacer, POLL, request(), request(Lane.SETUP), request(Lane.HOUSEKEEPING)) == [0.0] * 4


def test_care_is_over_a_minute_after_the_limit() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, hosted=False)
    pacer.limited(HOST, clock.monotonic() + 30.0)
    clock.advance(30.0 + CAREFUL_SECONDS)

    assert set(delays(pacer, *[POLL] * SETS)) == {0.0}


def test_the_limit_of_one_host_slows_no_other() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, hosted=False)
    pacer.limited(HOST, clock.monotonic() + 30.0)

    assert set(delays(pacer, *[request(host="queue.test", poll=True)] * SETS)) == {0.0}


def test_who_cannot_wait_so_long_is_told_and_takes_no_turn() -> None:
    pacer = Pacer(FakeClock(), hosted=False)
    delays(pacer, *[request(Lane.SETUP)] * 200)

    for _ in range(2):
        with pytest.raises(RateLimited, match=r"other calls of this credential are due for 8s") as caught:
            pacer.delay(request(Lane.SETUP), patience=5.0)

    assert caught.value.retry_after == pytest.approx(8.05)
    assert pacer.delay(request(Lane.SETUP), patience=9.0) == pytest.approx(8.05)


# registrations


def registrations(budget: RegistrationBudget, scale_set: str, now: float, count: int) -> list[float]:
    due = []
    for _ in range(count):
        due.append(now + budget.delay(scale_set, now))
        budget.take(scale_set, now)
    return due


def test_fifty_registrations_go_at_once() -> None:
    assert registrations(RegistrationBudget(), "a", 1000.0, 50) == pytest.approx([1000.0] * 50)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 30), st.integers(1, 80)), max_size=20))
def test_never_more_than_github_bears_in_any_minute(orders: list[tuple[str, float, int]]) -> None:
    budget, now, due = RegistrationBudget(), 1000.0, list[float]()
    for scale_set, passes, count in orders:
        now += passes
        due += registrations(budget, scale_set, now, count)

    for start in due:
        assert sum(start <= at < start + 59.999 for at in due) <= PER_MINUTE


def test_a_set_whose_runners_end_at_once_leaves_something_for_the_others() -> None:
    budget = RegistrationBudget()
    flapping = registrations(budget, "flaps", 1000.0, 200)

    calm = registrations(budget, "calm", 1001.0, 4)

    assert max(flapping) > 1060
    assert calm == [1001.0] * 4
    assert registrations(budget, "flaps", 1001.0, 1)[0] > 1060


@pytest.mark.parametrize(("hosted", "paced"), [(True, True), (False, False)])
def test_only_a_server_that_has_limits_is_paced(hosted: bool, paced: bool) -> None:
    clock = FakeClock()
    pacer = Pacer(clock, hosted=hosted)

    assert (max(delays(pacer, *[request(registers="1")] * 200)) > 60) is paced

    pacer.limited(HOST, clock.monotonic())
    clock.advance(CAREFUL_SECONDS)
    assert max(delays(pacer, *[request(registers="2")] * 200)) > 60


# in the client


def test_sets_of_one_credential_share_its_limits_whatever_their_proxies(
    connector: Connector, server: WireServer, clock: FakeClock
) -> None:
    limit = answer({"message": "You have exceeded a secondary rate limit."}, 403)
    server.on("GET", "runnerscalesets", limit)
    one = connector(f"{server.url}/my-org", "a")
    other = connector(f"{server.url}/my-org", "b", proxy=ProxyUrl("http://proxy:1"))
    stranger = connector(f"{server.url}/my-org", "c", token=Secret("another"))

    for client in (one, other):
        with pytest.raises(RateLimited):
            client.service.find_scale_set("n", 1, Interrupt(), 0.0)
    server.on("GET", "runnerscalesets", answer({"count": 0, "value": []}))

    assert stranger.service.find_scale_set("n", 1, Interrupt(), 0.0) is None
    seen = Counter(each.method for each in server.seen if "runnerscalesets" in each.target)
    assert seen == {"GET": 2}


def test_a_call_waits_for_its_turn_and_an_interrupt_ends_that(
    connector: Connector, server: WireServer
) -> None:
    client = connector(f"{server.url}/my-org")
    server.on("GET", "/agents", answer({"count": 0, "value": []}), times=100)

    for _ in range(60):
        client.service.find_runner("runner-1", Interrupt())

    assert len(client.clock.pauses) == 20
    assert sum(client.clock.pauses) == pytest.approx(1.0)
    stopped = Interrupt()
    stopped.set()
    with pytest.raises(Interrupted):
        client.service.find_runner("runner-1", stopped)
