"""The rules V1 to V12: violations are recorded, and refused as docs/protocol.md § 9.2 says unless lenient."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from support.demo_agent import HandMadeAgent
from support.scale_set_client import NEW, SETS, USER_AGENT, VERSION, ScaleSetClient
from urllib3.util import SKIP_HEADER

from runscaler.simulator.http_messages import NoConnection, Request
from runscaler.simulator.queue_api import QueueApi
from runscaler.simulator.rate_rule import Caller, RateRule
from runscaler.simulator.refusals import ServiceRefusal
from runscaler.simulator.violations import Violations
from runscaler.testing.clock import FakeClock
from runscaler.testing.simulator import Flavour, Installation, Match, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AGENTS = "_apis/distributedtask/pools/0/agents"


def broken(github: SimulatedGitHub) -> list[int]:
    return [one.rule for one in github.violations()]


def bearer(token: str, **more: str) -> dict[str, str]:
    return {**USER_AGENT, "Authorization": f"Bearer {token}", **more}


def admin_token_as_pat(client: ScaleSetClient) -> requests.Response:
    return client.registration_token(client.admin)


def pat_as_admin_token(client: ScaleSetClient) -> requests.Response:
    return client.call("GET", SETS, headers=bearer("pat"))


def queue_token_as_admin_token(client: ScaleSetClient) -> requests.Response:
    return client.call("GET", SETS, headers=client.queue_headers())


def admin_token_on_the_queue(client: ScaleSetClient) -> requests.Response:
    return client.poll(headers={**client.queue_headers(1), "Authorization": f"Bearer {client.admin}"})


def admin_token_to_acquire(client: ScaleSetClient) -> requests.Response:
    return client.on_set("POST", "/acquirejobs", [1])


def bearer_instead_of_remote_auth(client: ScaleSetClient) -> requests.Response:
    token = client.registration_token().json()["token"]
    url = f"{client.github.url}/api/v3/actions/runner-registration"
    client.github.client_restarted()
    client.github.clear_violations()
    return requests.post(
        url, headers=bearer(token), json={"url": "x", "runner_event": "register"}, timeout=20
    )


def app_jwt_missing(client: ScaleSetClient) -> requests.Response:
    url = f"{client.github.url}/api/v3/app/installations/1/access_tokens"
    return requests.post(url, headers=bearer("not-a-jwt"), timeout=20)


def other_scope_s_admin_token(client: ScaleSetClient) -> requests.Response:
    other = ScaleSetClient(client.github, "other-org")
    other.log_in()
    return client.call("GET", SETS, headers=bearer(other.admin))


def url_of_another_scope(client: ScaleSetClient) -> requests.Response:
    token = ScaleSetClient(client.github, "other-org").registration_token().json()["token"]
    return client.register(token)


def another_runner_event(client: ScaleSetClient) -> requests.Response:
    token = ScaleSetClient(client.github).registration_token("pat-2").json()["token"]
    return client.register(token, runner_event="remove")


def no_user_agent_at_the_service(client: ScaleSetClient) -> requests.Response:
    return client.call("GET", SETS, headers={**bearer(client.admin), "User-Agent": SKIP_HEADER})


def no_user_agent_at_rest(client: ScaleSetClient) -> requests.Response:
    return client.registration_token(
        "pat-2", headers={"User-Agent": SKIP_HEADER, "Authorization": "Bearer pat-2"}
    )


def no_user_agent_on_the_queue(client: ScaleSetClient) -> requests.Response:
    return client.poll(headers={**client.queue_headers(1), "User-Agent": SKIP_HEADER})


def no_api_version(client: ScaleSetClient) -> requests.Response:
    return client.call("GET", SETS, params={})


def no_api_version_on_the_poll(client: ScaleSetClient) -> requests.Response:
    return client.poll(headers={**client.queue_headers(1), "Accept": "application/json"})


def body_that_is_no_json(client: ScaleSetClient) -> requests.Response:
    return client.call("POST", SETS, data="{nonsense")


def body_without_content_type(client: ScaleSetClient) -> requests.Response:
    return client.call("POST", SETS, NEW, headers=bearer(client.admin))


def field_of_the_wrong_type(client: ScaleSetClient) -> requests.Response:
    return client.call("POST", SETS, {**NEW, "runnerGroupId": "1"})


def field_that_is_missing(client: ScaleSetClient) -> requests.Response:
    return client.call("POST", SETS, {"runnerGroupId": 1})


def acquire_with_an_object(client: ScaleSetClient) -> requests.Response:
    return client.on_set("POST", "/acquirejobs", {"ids": [1]}, headers=client.queue_headers())


def body_where_none_belongs(client: ScaleSetClient) -> requests.Response:
    return client.call("DELETE", f"{AGENTS}/1", {"why": "not"})


def no_capacity(client: ScaleSetClient) -> requests.Response:
    headers = client.queue_headers(1)
    del headers["X-ScaleSetMaxCapacity"]
    return client.poll(headers=headers)


def negative_capacity(client: ScaleSetClient) -> requests.Response:
    return client.poll(headers={**client.queue_headers(1), "X-ScaleSetMaxCapacity": "-1"})


def message_that_never_was(client: ScaleSetClient) -> requests.Response:
    return client.acknowledge(100000099)


def own_ended_session(client: ScaleSetClient) -> requests.Response:
    client.close_session()
    return client.poll()


def own_deleted_set(client: ScaleSetClient) -> requests.Response:
    client.on_set("DELETE")
    return client.on_set("GET")


def set_created_twice(client: ScaleSetClient) -> requests.Response:
    return client.call("POST", SETS, NEW)


def runner_registered_twice(client: ScaleSetClient) -> requests.Response:
    client.jit("runner-1")
    return client.jit("RUNNER-1")


def jit_configuration_used_twice(client: ScaleSetClient) -> requests.Response:
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    agent.register()
    agent.call("DELETE", f"sessions/{agent.session['sessionId']}")
    return agent.register()


REFUSED: list[tuple[int, Callable[[ScaleSetClient], requests.Response], int]] = [
    (1, admin_token_as_pat, 401),
    (1, pat_as_admin_token, 401),
    (1, queue_token_as_admin_token, 401),
    (1, admin_token_on_the_queue, 401),
    (1, admin_token_to_acquire, 401),
    (1, bearer_instead_of_remote_auth, 401),
    (1, app_jwt_missing, 401),
    (2, other_scope_s_admin_token, 403),
    (2, url_of_another_scope, 403),
    (2, another_runner_event, 403),
    (3, no_user_agent_at_the_service, 403),
    (3, no_user_agent_at_rest, 403),
    (3, no_user_agent_on_the_queue, 403),
    (4, no_api_version, 400),
    (4, no_api_version_on_the_poll, 400),
    (5, body_that_is_no_json, 400),
    (5, body_without_content_type, 400),
    (5, field_of_the_wrong_type, 400),
    (5, field_that_is_missing, 400),
    (5, acquire_with_an_object, 400),
    (5, body_where_none_belongs, 400),
    (6, no_capacity, 400),
    (6, negative_capacity, 400),
    (8, message_that_never_was, 404),
    (9, own_ended_session, 404),
    (9, own_deleted_set, 404),
    (9, set_created_twice, 400),
    (9, runner_registered_twice, 409),
    (10, jit_configuration_used_twice, 409),
]


@pytest.mark.parametrize(
    ("rule", "violate", "status"), REFUSED, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_violation_is_recorded_and_refused(
    client: ScaleSetClient,
    rule: int,
    violate: Callable[[ScaleSetClient], requests.Response],
    status: int,
) -> None:
    reply = violate(client)

    assert (reply.status_code, broken(client.github)) == (status, [rule])


@pytest.fixture
def lenient() -> Iterator[ScaleSetClient]:
    with SimulatedGitHub(Options(lenient=True), threads=16) as github:
        yield ScaleSetClient(github).ready()


@pytest.mark.parametrize(
    ("rule", "violate"),
    [
        (1, pat_as_admin_token),
        (2, other_scope_s_admin_token),
        (3, no_user_agent_at_the_service),
        (4, no_api_version),
        (5, body_where_none_belongs),
        (10, jit_configuration_used_twice),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_lenient_simulator_records_the_violation_and_answers(
    lenient: ScaleSetClient, rule: int, violate: Callable[[ScaleSetClient], requests.Response]
) -> None:
    reply = violate(lenient)

    assert reply.status_code in (200, 204)
    assert broken(lenient.github) == [rule]


def test_a_cursor_that_goes_back_is_recorded(client: ScaleSetClient) -> None:
    for _ in range(2):
        client.github.queue_jobs("my-runners")
        client.take()
    client.cursor = 0
    client.github.queue_jobs("my-runners")

    client.poll()

    assert broken(client.github) == [7]


def test_two_polls_at_once_are_recorded_and_the_earlier_one_ends(client: ScaleSetClient) -> None:
    answers: list[requests.Response] = []
    older = threading.Thread(target=lambda: answers.append(client.poll(0)))
    older.start()
    client.github.wait_until(lambda state: any(one.polls_open for one in state.sessions))
    with requests.Session() as other:
        newer = threading.Thread(target=lambda: other.get(
            client.session["messageQueueUrl"], headers=client.queue_headers(0), timeout=20
        ))  # fmt: skip
        newer.start()
        older.join(20)
        client.github.wait_until(lambda state: bool(state.violations))
        client.github.stop()
        newer.join(20)

    assert answers[0].status_code == 202
    assert broken(client.github) == [7]


def test_deleting_a_message_twice_is_harmless(client: ScaleSetClient) -> None:
    client.github.queue_jobs("my-runners")
    number = client.poll().json()["messageId"]

    assert [client.acknowledge(number).status_code for _ in range(2)] == [204, 204]
    assert not client.github.violations()


def test_using_what_github_itself_ended_is_no_violation(client: ScaleSetClient) -> None:
    client.github.change_session("my-runners", "expire")
    client.github.change_scale_set("my-runners", "delete")

    answers = [client.poll().status_code, client.refresh().status_code, client.on_set("GET").status_code]

    assert answers == [404, 404, 404]
    assert not client.github.violations()


def test_a_request_before_its_retry_after_is_recorded(client: ScaleSetClient) -> None:
    client.github.inject("F14", retryAfter=30)
    assert client.on_set("GET").status_code == 429
    client.github.pass_time(10)

    client.on_set("GET")

    assert broken(client.github) == [11]


def test_a_request_after_its_retry_after_is_fine(client: ScaleSetClient) -> None:
    client.github.inject("F14", retryAfter=30)
    client.on_set("GET")
    client.github.pass_time(31)

    assert client.on_set("GET").status_code == 200
    assert not client.github.violations()


def test_a_second_refresh_within_ten_seconds_is_recorded_unless_a_token_was_refused(
    github: SimulatedGitHub,
) -> None:
    client = ScaleSetClient(github)
    client.log_in()
    github.inject("F23")
    client.call("GET", SETS)
    client.log_in()
    assert not github.violations()

    client.log_in()

    assert broken(github) == [11]


class FakeConnection(NoConnection):
    closed = False

    def gone(self) -> bool:
        return self.closed


def test_a_poll_that_was_broken_off_before_its_session_ended_is_no_use_of_it(client: ScaleSetClient) -> None:
    """It may be read only after the end."""
    url, _, query = client.session["messageQueueUrl"].partition("?")
    client.close_session()
    connection = FakeConnection()
    headers = {name.lower(): value for name, value in client.queue_headers(1).items()}
    request = Request("GET", urlsplit(url).path, dict(parse_qsl(query)), headers, b"", url, connection)
    queue = QueueApi(client.github._lock)

    connection.closed = True
    assert queue.handle(request).status == 202
    assert broken(client.github) == []

    connection.closed = False
    with pytest.raises(ServiceRefusal):
        queue.handle(request)
    assert broken(client.github) == [9]


def two_refreshes(earlier: Caller, later: Caller, *, closed: bool = False) -> list[int]:
    """The rules that two refreshes break of which the second comes a moment after the first."""
    clock = FakeClock()
    violations = Violations(clock, lambda _: None, lenient=False)
    rule = RateRule(clock, violations)
    rule.token_refreshed(earlier)
    rule.retry_after_sent(earlier, "30")
    clock.advance(5)
    if closed:
        earlier.connection.closed = True  # type: ignore[attr-defined]
    rule.token_refreshed(later)
    rule.request_received(later, "GET /")
    return [one.rule for one in violations.all()]


@pytest.mark.parametrize("user_agent", ["one", "another"])
def test_the_same_connection_is_the_same_process_whatever_its_user_agent(user_agent: str) -> None:
    connection = FakeConnection()

    broke = two_refreshes(Caller("pat", "one", connection), Caller("pat", user_agent, connection))

    assert broke == [11, 11]


def test_a_second_connection_with_the_same_user_agent_is_the_same_process() -> None:
    first, second = (Caller("pat", "one", FakeConnection()) for _ in range(2))

    assert two_refreshes(first, second) == [11, 11]


def test_a_process_that_has_ended_binds_no_later_one() -> None:
    """As `validate` does before `run`, with the same token and User-Agent."""
    first, second = (Caller("pat", "one", FakeConnection()) for _ in range(2))

    assert two_refreshes(first, second, closed=True) == []


def test_two_programs_with_the_same_credential_are_two_processes() -> None:
    first, second = (Caller("pat", program, FakeConnection()) for program in ("one", "another"))

    assert two_refreshes(first, second) == []


def test_more_than_eight_jit_calls_at_once_are_recorded(client: ScaleSetClient) -> None:
    github = client.github
    github.inject("delay", match=Match(path="generatejitconfig"), seconds=20)
    calls = [threading.Thread(target=client.jit, args=(f"runner-{number}",)) for number in range(9)]
    for call in calls:
        call.start()

    state = github.wait_until(lambda state: bool(state.violations))
    github.stop()
    for call in calls:
        call.join(20)

    assert [one.rule for one in state.violations] == [11]


def test_what_is_left_behind_is_found_only_by_the_final_check(client: ScaleSetClient) -> None:
    client.github.queue_jobs("my-runners")
    client.jit("runner-1")
    client.poll()

    final = [one.rule for one in client.github.final_violations()]

    assert sorted(final) == [8, 12, 12]
    assert not client.github.violations()


def test_an_orderly_end_leaves_nothing(client: ScaleSetClient) -> None:
    client.github.queue_jobs("my-runners")
    client.take()
    client.jit("runner-1")
    client.call("DELETE", f"{AGENTS}/1024")
    client.close_session()
    client.on_set("DELETE")

    assert not client.github.final_violations()


def jwt(**claims: Any) -> str:
    header, body = ({"alg": "RS256", "typ": "JWT"}, claims)
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, body)
    ]
    return ".".join([*parts, "c2ln"])


@pytest.mark.parametrize(
    ("shift", "lifetime", "text"),
    [(-60, 540, ""), (120, 540, "'iat'"), (-60, 900, "too far in the future"), (-900, 540, "future time")],
)
def test_the_times_of_an_app_jwt_are_checked(
    github: SimulatedGitHub, shift: int, lifetime: int, text: str
) -> None:
    now = int(github.clock.wall())
    token = jwt(iat=now + shift, exp=now + shift + lifetime, iss="Iv1.1")
    url = f"{github.url}/api/v3/app/installations/7/access_tokens"

    reply = requests.post(url, headers=bearer(token), timeout=20)

    assert reply.status_code == (401 if text else 201)
    assert text in reply.json().get("message", "")
    assert not github.violations()


@pytest.mark.parametrize(
    ("issuer", "status"), [("Iv1.1", 201), ("123", 201), (123, 201), ("", 401), (True, 401)]
)
def test_the_issuer_of_an_app_jwt_is_a_string_or_a_number(
    github: SimulatedGitHub, issuer: object, status: int
) -> None:
    now = int(github.clock.wall())
    token = jwt(iat=now - 60, exp=now + 480, iss=issuer)
    url = f"{github.url}/api/v3/app/installations/7/access_tokens"

    assert requests.post(url, headers=bearer(token), timeout=20).status_code == status


def test_an_installation_token_is_accepted_like_a_pat_and_an_unknown_installation_is_404() -> None:
    with SimulatedGitHub(
        Options(installations=(Installation(7, "My-Org"),), flavour=Flavour.ACQUIRE), threads=8
    ) as github:
        now = int(github.clock.wall())
        token = jwt(iat=now - 60, exp=now + 480, iss="1")
        url = f"{github.url}/api/v3/app/installations/"
        made = requests.post(f"{url}7/access_tokens", headers=bearer(token), timeout=20).json()
        unknown = requests.post(f"{url}8/access_tokens", headers=bearer(token), timeout=20)
        client = ScaleSetClient(github)
        client.log_in(made["token"])
        listed = client.call("GET", SETS, params=VERSION)

    assert made["token"].startswith("ghs_")
    assert unknown.status_code == 404
    assert listed.json() == {"count": 0, "value": []}
