"""What is counted of calls to GitHub (docs/metrics.md): names of endpoints, budgets, tokens, waits."""

from __future__ import annotations

import pytest
from support.world import scale_set

from runscaler.config.secrets import Secret
from runscaler.errors import AccessDenied, GitHubError, RateLimited, ServerError, Unreachable
from runscaler.github.call_meter import CallMeter, expiry
from runscaler.github.endpoints import endpoint_name
from runscaler.github.error_replies import reply_error
from runscaler.github.pool import TransportPool
from runscaler.github.rate_limited import _rate_limited
from runscaler.github.rate_limits import RateLimits
from runscaler.github.wire import Reply, Request, bearer
from runscaler.metrics import own
from runscaler.metrics.metrics import Metrics
from runscaler.testing.clock import FakeClock

BASE = "https://pipelines.example/x/_apis"
SETS = f"{BASE}/runtime/runnerscalesets"


def request(method: str, url: str, *, poll: bool = False) -> Request:
    return Request("do it", method, url, bearer(Secret("t")), {}, poll=poll)


def reply(status: int = 200, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


@pytest.mark.parametrize(
    ("method", "url", "name"),
    [
        ("POST", "https://api.github.com/orgs/o/actions/runners/registration-token", "registration_token"),
        ("POST", "https://api.github.com/actions/runner-registration", "runner_registration"),
        ("POST", "https://api.github.com/app/installations/4/access_tokens", "app_token"),
        ("GET", "https://api.github.com/orgs/o/installation", "app_installation_find"),
        ("GET", f"{BASE}/runtime/runnergroups/?groupName=x", "group_find"),
        ("GET", f"{SETS}?name=x", "scale_set_find"),
        ("POST", SETS, "scale_set_create"),
        ("GET", f"{SETS}/7?api-version=6.0-preview", "scale_set_get"),
        ("PATCH", f"{SETS}/7", "scale_set_update"),
        ("DELETE", f"{SETS}/7", "scale_set_delete"),
        ("POST", f"{SETS}/7/sessions", "session_open"),
        ("PATCH", f"{SETS}/7/sessions/abc-def", "session_refresh"),
        ("DELETE", f"{SETS}/7/sessions/abc-def", "session_close"),
        ("GET", f"{SETS}/7/acquirablejobs", "jobs_acquirable"),
        ("POST", f"{SETS}/7/acquirejobs", "jobs_acquire"),
        ("POST", f"{SETS}/7/generatejitconfig", "jit_config"),
        ("GET", f"{BASE}/distributedtask/pools/0/agents?agentName=x", "runner_find"),
        ("GET", f"{BASE}/distributedtask/pools/0/agents/12", "runner_get"),
        ("DELETE", f"{BASE}/distributedtask/pools/0/agents/12", "runner_delete"),
        ("DELETE", "https://queue.example/any/path/99", "message_delete"),
        ("GET", "https://queue.example/any/path", "other"),
        ("PUT", SETS, "other"),
    ],
)
def test_an_endpoint_has_a_name_without_ids(method: str, url: str, name: str) -> None:
    assert endpoint_name(request(method, url)) == name


def test_a_poll_is_counted_and_not_timed() -> None:
    metrics = Metrics()
    CallMeter(metrics, "token-1").attempted(request("GET", "https://q/x", poll=True), reply(202), 50.0)

    assert metrics.counters[own.GITHUB_REQUESTS].value(("message_poll", "202")) == 1
    assert len(metrics.histograms[own.GITHUB_SECONDS]) == 0


def test_an_attempt_without_a_reply_is_an_error() -> None:
    metrics = Metrics()
    CallMeter(metrics, "token-1").attempted(request("POST", SETS), None, 3.0)

    assert metrics.counters[own.GITHUB_REQUESTS].value(("scale_set_create", "error")) == 1
    assert metrics.histograms[own.GITHUB_SECONDS].observations(("scale_set_create",)) == (1, 3.0)


def test_the_budget_is_that_of_the_latest_reply_and_garbage_changes_nothing() -> None:
    metrics = Metrics()
    meter, call = CallMeter(metrics, "token-1"), request("GET", SETS)
    good = {"X_RateLimit_Limit": "5000", "X_RateLimit_Remaining": "12", "X_RateLimit_Reset": "1800000000"}
    meter.attempted(call, reply(X_RateLimit_Resource="core", **good), 0.1)
    meter.attempted(call, reply(X_RateLimit_Resource="core", **(good | {"X_RateLimit_Remaining": "-1"})), 0.1)

    published = metrics.published()
    assert published[own.RATE_LIMIT] == {("token-1", "core"): 5000}
    assert published[own.RATE_LIMIT_LEFT] == {("token-1", "core"): 12}
    assert published[own.RATE_LIMIT_RESET] == {("token-1", "core"): 1_800_000_000}


def test_names_of_budgets_are_bounded_in_form_and_number() -> None:
    metrics = Metrics()
    meter, call = CallMeter(metrics, "token-1"), request("GET", SETS)
    good = {"X_RateLimit_Limit": "1", "X_RateLimit_Remaining": "1", "X_RateLimit_Reset": "1"}
    letters = "abcdefghijklmnopqrstuvwxyz"
    for name in ('"} 1\n', "x" * 99, *letters):
        meter.attempted(call, reply(X_RateLimit_Resource=name, **good), 0.1)

    names = {resource for _, resource in metrics.published()[own.RATE_LIMIT]}
    assert names == {"other", *letters[:16]}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15 08:00:00 UTC", 1_800_000_000.0),
        ("2027-01-15 09:00:00 +0100", 1_800_000_000.0),
        ("tomorrow", None),
        ("", None),
        ("9" * 500, None),
    ],
)
def test_the_end_of_a_token_is_read(text: str, seconds: float | None) -> None:
    assert expiry(text) == seconds


def test_a_replys_word_about_the_tokens_end_is_kept() -> None:
    metrics = Metrics()
    ends = {"GitHub_Authentication_Token_Expiration": "2027-01-15 08:00:00 UTC"}
    CallMeter(metrics, "token-1").attempted(request("GET", SETS), reply(**ends), 0.1)

    assert metrics.published()[own.TOKEN_EXPIRY] == {("token-1", "pat"): 1_800_000_000.0}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ServerError("x", status=502), "5xx"),
        (Unreachable("x"), "network"),
        (RateLimited("x", retry_after=3), "rate_limit"),
    ],
)
def test_a_repeated_call_is_counted_by_its_reason(error: GitHubError, reason: str) -> None:
    metrics = Metrics()
    CallMeter(metrics, "token-1").repeated(error)

    assert metrics.counters[own.GITHUB_RETRIES].value((reason,)) == 1


def test_tokens_are_numbered_and_nothing_of_them_is_shown() -> None:
    pool = TransportPool(FakeClock(), environ={})
    tokens = [Secret("ghp_first"), Secret("ghp_second"), Secret("ghp_first")]
    meters = [pool.for_scale_set(scale_set("a", token=token))[1].meter for token in tokens]
    pool.close()

    assert [one._credential for one in meters] == ["token-1", "token-2", "token-1"]


def test_waits_by_order_of_github_are_counted_by_budget() -> None:
    metrics = Metrics()
    meter = CallMeter(metrics, "token-1")
    meter.ordered_to_wait(reply(429, X_RateLimit_Resource="core"), 30.0)
    meter.ordered_to_wait(reply(429, X_RateLimit_Resource="core"), 0.0)

    assert metrics.counters[own.RATE_LIMITED_SECONDS].value(("token-1", "core")) == 30


def test_an_order_to_wait_that_is_known_adds_only_what_is_new() -> None:
    clock = FakeClock()
    limits, call = RateLimits(clock), request("GET", SETS)

    assert limits.limited(call, 30.0, primary=False) == 30
    assert limits.limited(call, 30.0, primary=False) == 0
    clock.advance(10)
    assert limits.limited(call, 30.0, primary=False) == 10


def test_an_error_names_its_request() -> None:
    told = reply(429, X_GitHub_Request_Id="1A2B:3C")
    limited = _rate_limited(request("GET", SETS), told, 30.0)
    denied = reply_error(AccessDenied, request("GET", SETS), told)

    assert "(request 1A2B:3C)" in str(limited)
    assert "(request 1A2B:3C)" in str(denied)
