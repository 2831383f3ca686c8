"""Every fault of docs/protocol.md § 10 is applied, counted, and seen by the client."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from support.demo_agent import HandMadeAgent, start_agent
from support.scale_set_client import SETS, VERSION, ScaleSetClient

from runscaler.simulator.faults.registry import UnknownFault
from runscaler.simulator.faults.table import TABLE
from runscaler.testing.simulator import FAST, Flavour, JobState, Match, RunnerState, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AGENTS = "_apis/distributedtask/pools/0/agents"


def get_set(client: ScaleSetClient) -> requests.Response:
    return client.on_set("GET")


def get_impatiently(client: ScaleSetClient) -> requests.Response:
    return client.on_set("GET", timeout=0.3)


def get_unfollowed(client: ScaleSetClient) -> requests.Response:
    return client.on_set("GET", allow_redirects=False)


def register_twice(client: ScaleSetClient) -> list[int]:
    token = client.registration_token().json()["token"]
    return [client.register(token).status_code for _ in range(3)]


def log_in(client: ScaleSetClient) -> dict[str, Any]:
    token = client.registration_token().json()["token"]
    body: dict[str, Any] = client.register(token).json()
    return body


def log_in_and_use(client: ScaleSetClient) -> int:
    client.log_in()
    return client.call("GET", SETS).status_code


def ask_for_token(client: ScaleSetClient) -> requests.Response:
    return client.registration_token()


def ask_as_app(client: ScaleSetClient) -> requests.Response:
    url = f"{client.github.url}/api/v3/app/installations/1/access_tokens"
    return requests.post(url, headers={"User-Agent": "x"}, timeout=20)


def message(client: ScaleSetClient) -> requests.Response:
    client.github.queue_jobs("my-runners")
    return client.poll()


def events(client: ScaleSetClient) -> list[dict[str, Any]]:
    return list(json.loads(message(client).json()["body"]))


def run_a_job(client: ScaleSetClient) -> list[dict[str, Any]]:
    """Run a job to its end; returns all job messages about it."""
    events = announce(client)
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    client.github.queue_jobs("my-runners")
    agent.run_job()
    return events + client.drain()


def announce(client: ScaleSetClient) -> list[dict[str, Any]]:
    """Announce a capacity of ten jobs; a job that is cancelled at once ends the poll."""
    ids = client.github.queue_jobs("my-runners")
    client.take()
    client.github.cancel_job(ids[0])
    client.drain()
    return []


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["messageType"] for event in events]


def each(events: list[dict[str, Any]], kind: str, field: str) -> list[Any]:
    """The values of a field in all job messages of a kind."""
    return [event[field] for event in events if event["messageType"] == kind]


def poll_refresh_poll(client: ScaleSetClient) -> list[int]:
    return [client.poll().status_code, client.refresh().status_code, message(client).status_code]


def poll_and_open(client: ScaleSetClient) -> list[int]:
    return [client.poll().status_code, client.open_session().status_code]


def assigned_three_times(client: ScaleSetClient) -> list[int]:
    client.github.queue_jobs("my-runners")
    return [statistics(client.poll())["totalAssignedJobs"] for _ in range(3)]


def acknowledged_message_again(client: ScaleSetClient) -> tuple[int, int]:
    first = message(client).json()
    client.acknowledge(first["messageId"])
    again = client.poll().json()
    assert again["body"] == first["body"]
    return first["messageId"], again["messageId"]


def acknowledge(client: ScaleSetClient) -> requests.Response:
    return client.acknowledge(message(client).json()["messageId"])


def acknowledge_impatiently(client: ScaleSetClient) -> requests.Response:
    url = client.session["messageQueueUrl"].replace("/messages", "/messages/1")
    return requests.delete(url, headers=client.queue_headers(), timeout=0.3)


def two_sessions(client: ScaleSetClient) -> requests.Response:
    client.close_session()
    return client.open_session()


def create_another(client: ScaleSetClient) -> requests.Response:
    return client.create(name="other", labels=[{"name": name, "type": "System"} for name in ("other", "gpu")])


def find(client: ScaleSetClient) -> dict[str, Any]:
    params = {**VERSION, "name": "my-runners", "runnerGroupId": "1"}
    body: dict[str, Any] = client.call("GET", SETS, params=params).json()
    return body


def groups(client: ScaleSetClient) -> dict[str, Any]:
    body: dict[str, Any] = client.call("GET", "_apis/runtime/runnergroups/").json()
    return body


def jit(client: ScaleSetClient) -> requests.Response:
    return client.jit("runner-1")


def register_agent(client: ScaleSetClient) -> requests.Response:
    return HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"]).register()


def register_agent_impatiently(client: ScaleSetClient) -> requests.Response:
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    body = {**agent.credentials, "agentId": agent.runner["AgentId"]}
    return agent.call("POST", "register", body, timeout=0.3)


def complete_impatiently(client: ScaleSetClient) -> requests.Response:
    announce(client)
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    client.github.queue_jobs("my-runners")
    agent.register()
    job = agent.poll().json()["jobId"]
    agent.start(job)
    return agent.call("POST", f"jobs/{job}/complete", {"result": "succeeded"}, timeout=0.3)


def get_runner(client: ScaleSetClient) -> requests.Response:
    client.jit("runner-1")
    return client.call("GET", f"{AGENTS}/1024")


def remove_runner(client: ScaleSetClient) -> tuple[int, int]:
    client.jit("runner-1")
    removed = client.call("DELETE", f"{AGENTS}/1024").status_code
    return removed, client.call("GET", f"{AGENTS}/1024").status_code


def offered(client: ScaleSetClient) -> int:
    announce(client)
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    agent.register()
    client.github.queue_jobs("my-runners")
    return agent.poll(1).status_code


def change_set_and_refresh(client: ScaleSetClient) -> tuple[int, int]:
    return client.on_set("PATCH", "", {"name": "renamed"}).status_code, client.refresh().status_code


def follow_to_new_name(client: ScaleSetClient) -> tuple[int, str, int]:
    """The status and the new path of the redirect, and the status at the end of it."""
    moved = client.registration_token("pat-2", allow_redirects=False)
    where = moved.headers["Location"].removeprefix(client.github.url)
    headers = {"Authorization": "Bearer pat-2", "User-Agent": "x"}
    end = client.http.post(moved.headers["Location"], headers=headers, timeout=20)
    return moved.status_code, where.removesuffix("/actions/runners/registration-token"), end.status_code


def status(number: int) -> Callable[[Any], bool]:
    return lambda reply: bool(reply.status_code == number)


def raises(kind: type[Exception]) -> Callable[[Any], bool]:
    return lambda result: isinstance(result, kind)


def statistics(reply: requests.Response) -> dict[str, Any]:
    found: dict[str, Any] = reply.json()["statistics"]
    return found


CASES: list[tuple[str, dict[str, object], Callable[[ScaleSetClient], Any], Callable[[Any], bool]]] = [
    ("delay", {"seconds": 0.05}, get_set, status(200)),
    ("F3", {}, get_set, raises(requests.ConnectionError)),
    ("F4", {}, get_set, lambda r: isinstance(r, (requests.ConnectionError, ChunkedEncodingError))),
    ("F5", {}, get_set, raises(ChunkedEncodingError)),
    ("F6", {}, get_impatiently, raises(ReadTimeout)),
    ("F7", {"seconds": 0.0001}, get_set, status(200)),
    ("F8", {}, get_set, lambda r: r.headers["Content-Type"].startswith("text/html") and "<html>" in r.text),
    ("F9", {"shape": "invalid"}, get_set, lambda r: r.text.endswith(",")),
    ("F9", {"shape": "list"}, get_set, lambda r: isinstance(r.json(), list)),
    ("F9", {"shape": "string"}, get_set, lambda r: r.json()["id"] == "42"),
    ("F10", {}, message, lambda r: (r.status_code, r.content) == (200, b"")),
    ("F11", {}, get_set, lambda r: r.content.startswith(b"\xef\xbb\xbf") and b'"Name"' in r.content),
    ("F12", {"status": 500, "text": ""}, get_set, lambda r: (r.status_code, r.text) == (500, "")),
    (
        "F13",
        {},
        lambda c: [get_set(c).status_code for _ in range(5)],
        lambda r: r == [500, 502, 503, 504, 200],
    ),
    ("F13", {"status": 501}, get_set, status(501)),
    ("F14", {"retryAfter": 7}, get_set, lambda r: (r.status_code, r.headers["Retry-After"]) == (429, "7")),
    ("F14", {"date": True}, get_set, lambda r: bool(parsedate_to_datetime(r.headers["Retry-After"]))),
    ("F15", {}, get_set, lambda r: r.status_code == 403 and "Retry-After" not in r.headers),
    ("F15", {"retryAfter": 3}, get_set, lambda r: r.headers["Retry-After"] == "3"),
    ("F16", {}, ask_for_token, lambda r: r.headers["X-RateLimit-Remaining"] == "0"),
    ("F17", {"value": "soon"}, get_set, lambda r: r.headers["Retry-After"] == "soon"),
    ("F18", {"mib": 2}, get_set, lambda r: len(r.content) == 2 << 20),
    ("F19", {}, get_unfollowed, lambda r: (r.status_code, "invalid" in r.headers["Location"]) == (307, True)),
    ("F21", {}, jit, raises(requests.ConnectionError)),
    ("F22", {}, get_set, status(401)),
    ("F23", {}, lambda c: [get_set(c).status_code, log_in_and_use(c)], lambda r: r == [401, 200]),
    ("F24", {"kind": "no-exp"}, log_in_and_use, lambda r: r == 200),
    ("F24", {"kind": "not-a-jwt"}, log_in_and_use, lambda r: r == 200),
    ("F24", {"kind": "past"}, log_in_and_use, lambda r: r == 200),
    ("F25", {}, poll_refresh_poll, lambda r: r == [401, 200, 200]),
    ("F26", {}, poll_refresh_poll, lambda r: r == [401, 200, 401]),
    ("F27", {}, lambda c: [get_set(c).status_code, ask_for_token(c).status_code], lambda r: r == [401, 401]),
    ("F28", {"kind": "scope"}, ask_for_token, lambda r: r.headers["X-Accepted-OAuth-Scopes"] == "admin:org"),
    ("F28", {"kind": "sso"}, ask_for_token, lambda r: r.headers["X-GitHub-SSO"].startswith("required; url=")),
    ("F28", {"kind": "hidden"}, ask_for_token, status(404)),
    ("F28", {"kind": "ip"}, ask_for_token, lambda r: "IP allow list" in r.json()["message"]),
    ("F29", {"kind": "key"}, ask_as_app, status(401)),
    ("F29", {"kind": "installation"}, ask_as_app, status(404)),
    ("F29", {"kind": "suspended"}, ask_as_app, status(403)),
    ("F30", {"seconds": 900}, get_set, status(401)),
    ("F31", {}, register_twice, lambda r: r == [401, 401, 200]),
    (
        "F32",
        {},
        lambda c: (c.service, log_in(c)["url"], log_in_and_use(c)),
        lambda r: r[0] != r[1] and r[2] == 200,
    ),
    ("F33", {"field": "url"}, log_in, lambda r: "url" not in r),
    ("F33", {"empty": True}, log_in, lambda r: r["token"] == ""),
    ("F34", {}, two_sessions, status(409)),
    ("F36", {}, poll_and_open, lambda r: r == [404, 200]),
    ("F37", {"stolen": True}, poll_and_open, lambda r: r == [404, 409]),
    ("F37", {}, poll_and_open, lambda r: r == [404, 200]),
    ("F38", {"field": "url"}, two_sessions, lambda r: r.json()["messageQueueUrl"] == ""),
    ("F38", {"field": "statistics"}, two_sessions, lambda r: "statistics" not in r.json()),
    ("F39", {}, lambda c: c.refresh(), status(503)),
    ("F40", {}, lambda c: c.close_session(), status(500)),
    ("F41", {}, acknowledged_message_again, lambda r: r[0] == r[1]),
    ("F42", {}, acknowledged_message_again, lambda r: r[0] < r[1]),
    ("F43", {}, run_a_job, lambda r: kinds(r)[-2:] == ["JobCompleted", "JobStarted"]),
    ("F44", {"seconds": 0.0}, run_a_job, lambda r: "JobStarted" in kinds(r)),
    ("F45", {}, run_a_job, lambda r: each(r, "JobCompleted", "result") == ["canceled", "succeeded"]),
    ("F46", {}, run_a_job, lambda r: kinds(r).count("JobCompleted") == 2),
    ("F47", {}, events, lambda r: kinds(r) == ["JobPondered", "JobAssigned"]),
    ("F47", {"outer": True}, message, lambda r: r.json()["messageType"] == "SomethingNew"),
    ("F48", {"name": ""}, run_a_job, lambda r: each(r, "JobStarted", "runnerName") == [""]),
    ("F49", {"kind": "missing"}, events, lambda r: set(r[0]) == {"messageType", "jobId"}),
    ("F49", {"kind": "unparsable"}, events, lambda r: r[0]["queueTime"] == "yesterday"),
    ("F50", {}, events, lambda r: "\x1b[31m" in r[0]["jobDisplayName"] and len(r[0]["ownerName"]) > 10_000),
    ("F51", {"kind": "text"}, message, lambda r: r.json()["body"] == "not JSON"),
    ("F51", {"kind": "element"}, events, lambda r: r[0] == {"messageType": "JobStarted", "runnerName": 7}),
    ("F52", {"jobs": 60}, lambda c: len(c.take(100)), lambda r: r == 50),
    ("F53", {"status": 404}, acknowledge, status(404)),
    ("F54", {}, acknowledge_impatiently, raises(ReadTimeout)),
    ("F55", {"first": 1}, message, lambda r: r.json()["messageId"] == 1),
    ("F58", {}, get_set, status(404)),
    ("F59", {"action": "rename", "value": "renamed"}, get_set, lambda r: r.json()["name"] == "renamed"),
    ("F60", {}, create_another, status(400)),
    ("F61", {}, create_another, lambda r: [one["name"] for one in r.json()["labels"]] == ["other"]),
    ("F62", {}, groups, lambda r: r["count"] == 0),
    ("F63", {}, find, lambda r: r["count"] == 2 and len(r["value"]) == 2),
    ("F64", {}, lambda c: c.on_set("DELETE"), status(400)),
    ("F65", {}, lambda c: (get_set(c).status_code, find(c)["count"]), lambda r: r == (404, 1)),
    ("F66", {}, message, lambda r: set(statistics(r).values()) == {0}),
    ("F67", {"assigned": 40}, lambda c: c.refresh(), lambda r: statistics(r)["totalAssignedJobs"] == 40),
    ("F68", {"kind": "negative"}, lambda c: c.refresh(), lambda r: set(statistics(r).values()) == {-1}),
    ("F68", {"kind": "missing"}, lambda c: c.refresh(), lambda r: "statistics" not in r.json()),
    ("F69", {}, assigned_three_times, lambda r: r == [0, 500, 0]),
    (
        "F70",
        {},
        lambda c: c.refresh(),
        lambda r: statistics(r)["totalRunningJobs"] > statistics(r)["totalAssignedJobs"],
    ),
    ("F71", {}, jit, lambda r: r.json()["typeKey"] == "TaskAgentExistsException"),
    ("F72", {}, jit, status(500)),
    ("F72", {"status": 0, "seconds": 0.05}, jit, status(200)),
    ("F73", {"kind": "id"}, jit, lambda r: r.json()["runner"] == {"name": "runner-1"}),
    ("F73", {"kind": "garbage"}, jit, lambda r: "no base64" in r.json()["encodedJITConfig"]),
    ("F74", {}, register_agent, status(409)),
    ("F76", {}, register_agent_impatiently, raises(ReadTimeout)),
    ("F80", {}, get_runner, status(404)),
    ("F81", {}, lambda c: remove_runner(c)[0], lambda r: r == 400),
    ("F82", {}, remove_runner, lambda r: r == (204, 200)),
    ("F83", {}, offered, lambda r: r == 202),
    ("F84", {}, register_agent, status(403)),
    ("F85", {}, complete_impatiently, raises(ReadTimeout)),
    ("F87", {"seconds": 0.0}, run_a_job, lambda r: kinds(r) == ["JobAssigned", "JobStarted", "JobCompleted"]),
    ("F87", {"lost": True}, run_a_job, lambda r: kinds(r) == ["JobAssigned"]),
    ("F90", {}, events, lambda r: (r[0]["workflowRunId"], r[0]["requestLabels"]) == ("nine", "linux")),
    (
        "F90",
        {"field": "eventName"},
        events,
        lambda r: (r[0]["eventName"], r[0]["workflowRunId"]) == (["push"], 991),
    ),
    ("F92", {}, change_set_and_refresh, lambda r: r == (403, 200)),
    ("F92", {"status": 503}, change_set_and_refresh, lambda r: r == (503, 200)),
    ("F94", {}, ask_for_token, lambda r: r.status_code == 403 and "are disabled" in r.json()["message"]),
    ("F94", {"kind": "archived"}, ask_for_token, lambda r: "archived" in r.json()["message"]),
    ("F94", {"kind": "classic"}, ask_for_token, lambda r: "(classic)" in r.json()["message"]),
    ("F94", {"kind": "lifetime"}, ask_for_token, lambda r: "lifetime" in r.json()["message"]),
    ("F95", {}, follow_to_new_name, lambda r: r == (301, "/api/v3/orgs/renamed", 404)),
    ("F95", {"status": 0}, follow_to_new_name, lambda r: r == (301, "/api/v3/orgs/renamed", 201)),
    ("F98", {}, get_set, status(404)),
]


@pytest.mark.parametrize(
    ("fault", "params", "do", "shows"), CASES, ids=[f"{name} {params or ''}" for name, params, *_ in CASES]
)
def test_a_fault_is_applied(
    client: ScaleSetClient,
    fault: str,
    params: dict[str, object],
    do: Callable[[ScaleSetClient], Any],
    shows: Callable[[Any], bool],
) -> None:
    injected = client.github.inject(fault, **params)

    try:
        result = do(client)
    except requests.RequestException as error:
        result = error

    assert shows(result), result
    assert client.github.hits(injected) >= 1


ELSEWHERE = {"F2", "F91", "F56", "F57", "F78", "F79", "F88", "F89", "bound"}


def test_every_fault_of_the_table_is_tested() -> None:
    assert {name for name, *_ in CASES} | ELSEWHERE == set(TABLE)


def test_f2_refuses_connections_until_it_is_removed(client: ScaleSetClient) -> None:
    away = client.github.inject("F2", seconds=0)
    with pytest.raises(requests.ConnectionError):
        get_set(client)

    client.github.remove_fault(away)

    assert get_set(client).status_code == 200


def test_f2_by_the_control_api_is_answered_and_ends_by_itself(client: ScaleSetClient) -> None:
    url = f"{client.github.control_url}/faults"
    body = {"fault": "F2", "params": {"seconds": 0.2}}

    made = requests.post(url, headers=client.github.control_headers, json=body, timeout=20)

    assert made.status_code == 200
    while not answers(client):
        continue
    assert get_set(client).status_code == 200


def answers(client: ScaleSetClient) -> bool:
    try:
        return get_set(client).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture
def offering() -> Iterator[ScaleSetClient]:
    """A client of flavour B with a capacity of two jobs, and four jobs on offer."""
    with SimulatedGitHub(flavour=Flavour.ACQUIRE, threads=16) as github:
        client = ScaleSetClient(github).ready()
        waiting = threading.Thread(target=client.take, args=(2,))
        waiting.start()
        github.wait_until(lambda state: state.scale_sets[0].capacity == 2)
        github.queue_jobs("my-runners", 4)
        waiting.join(20)
        client.drain(2)
        yield client


@pytest.mark.parametrize(
    ("params", "shows"),
    [
        ({"kind": "fewer"}, lambda reply: reply.json()["value"] == [102, 104]),
        ({"kind": "none"}, lambda reply: reply.json() == {"count": 0, "value": []}),
        ({"kind": "409"}, status(409)),
        ({"kind": "500"}, status(500)),
        ({"kind": "slow", "seconds": 0.05}, lambda reply: reply.json()["count"] == 4),
    ],
)
def test_f56_acquiring_fails(
    offering: ScaleSetClient, params: dict[str, object], shows: Callable[[Any], bool]
) -> None:
    injected = offering.github.inject("F56", **params)

    reply = offering.acquire([101, 102, 103, 104])

    assert shows(reply)
    assert offering.github.hits(injected) == 1


def test_f57_offers_more_jobs_than_the_capacity(offering: ScaleSetClient) -> None:
    offering.github.inject("F57", jobs=3)

    assert kinds(offering.take(2)) == ["JobAvailable"] * 3


def test_f78_and_f79_remove_the_registration_of_an_idle_runner(client: ScaleSetClient) -> None:
    deregistered, ghost = (
        HandMadeAgent(client.jit(f"runner-{n}").json()["encodedJITConfig"]) for n in range(2)
    )
    deregistered.register()
    ghost.register()

    client.github.inject("F78", match=Match(runner="runner-0"))
    client.github.inject("F79", match=Match(runner="runner-1"))

    assert deregistered.poll(1).status_code == 404
    assert ghost.poll(1).status_code == 202
    assert client.call("GET", f"{AGENTS}/1025").status_code == 404


def test_f88_loses_the_completion_of_a_job_whose_agent_lives_on(
    client: ScaleSetClient, tmp_path: Path
) -> None:
    announce(client)
    client.github.inject("F88")
    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)
    ids = client.github.queue_jobs("my-runners", steps=["true"])
    client.github.wait_for_jobs(ids)

    with pytest.raises(subprocess.TimeoutExpired):
        agent.process.wait(1)
    agent.signal(signal.SIGTERM)

    assert agent.end()[0] == 143
    assert kinds(client.drain()) == ["JobAssigned", "JobStarted"]


def test_f89_loses_an_offer_which_can_be_asked_for(offering: ScaleSetClient) -> None:
    injected = offering.github.inject("F89")
    offering.github.queue_jobs("my-runners", 2)

    assert kinds(offering.drain(2)) == ["JobAvailable"]
    assert offering.on_set("GET", "/acquirablejobs").json()["count"] == 6
    assert offering.github.hits(injected) == 1


def test_f91_lets_a_share_of_all_registrations_vanish_at_once(client: ScaleSetClient) -> None:
    agents = [HandMadeAgent(client.jit(f"runner-{n}").json()["encodedJITConfig"]) for n in range(4)]
    for agent in agents:
        agent.register()

    client.github.inject("F91", share=0.5, match=Match(scale_set="other"))
    before = len(client.github.state().runners_in(RunnerState.IDLE))
    client.github.inject("F91", share=0.6)

    assert (before, len(client.github.state().runners_in(RunnerState.IDLE))) == (4, 1)
    assert {agent.poll(1).status_code for agent in agents} == {202}


def test_a_bound_job_is_held_by_a_runner_that_never_hears_of_it(client: ScaleSetClient) -> None:
    announce(client)
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    agent.register()
    client.github.inject("bound")
    client.github.queue_jobs("my-runners")

    waited = []
    for _ in range(3):
        waited.append(agent.poll(1).status_code)
        client.github.pass_time(FAST.pick_up / 2)
    refused = client.call("DELETE", f"{AGENTS}/1024").status_code
    client.github.pass_time(FAST.start)

    assert (waited, refused) == ([202, 202, 202], 400)
    state = client.github.state()
    assert (state.jobs[-1].state, state.runners[0].job) == (JobState.QUEUED, "")


def test_a_number_in_the_path_of_a_match_is_any_number() -> None:
    match = Match(path="/sets/#$")

    assert [match.fits_path(path) for path in ("/sets/42", "/sets/", "/sets/42/sessions")] == [
        True,
        False,
        False,
    ]


def test_a_fault_is_applied_count_times_after_skipping_some_requests(client: ScaleSetClient) -> None:
    injected = client.github.inject("F13", count=2, after=1)

    codes = [get_set(client).status_code for _ in range(4)]

    assert codes == [200, 500, 502, 200]
    assert client.github.hits(injected) == 2


def test_a_fault_is_applied_only_to_matching_requests(client: ScaleSetClient) -> None:
    client.github.inject(
        "F13", count=None, match=Match("POST", "generatejitconfig", "my-runners", "runner-a*")
    )

    codes = [reply.status_code for reply in (get_set(client), client.jit("runner-b"), client.jit("runner-a"))]

    assert codes == [200, 200, 500]


def test_a_fault_of_another_scale_set_is_not_applied(client: ScaleSetClient) -> None:
    client.github.inject("F13", count=None, match=Match(scale_set="other"))

    assert get_set(client).status_code == 200


def test_a_fault_with_probability_0_is_never_applied(client: ScaleSetClient) -> None:
    injected = client.github.inject("F13", probability=0.0)

    assert get_set(client).status_code == 200
    assert client.github.hits(injected) == 0


def test_faults_are_applied_to_agents_only_if_their_path_matches(client: ScaleSetClient) -> None:
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    client.github.inject("F13", count=None)

    assert agent.register().status_code == 200


def test_a_removed_fault_is_no_longer_applied(client: ScaleSetClient) -> None:
    injected = client.github.inject("F13", count=None)
    assert get_set(client).status_code == 500

    client.github.remove_fault(injected)

    assert get_set(client).status_code == 200


def test_removing_a_fault_restores_the_scale_set_it_was_set_for(client: ScaleSetClient) -> None:
    announce(client)
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    agent.register()
    create_another(client)
    ignoring = client.github.inject("F83", match=Match(scale_set="my-runners"))
    client.github.queue_jobs("my-runners")
    assert agent.poll(1).status_code == 202

    client.github.remove_fault(ignoring)

    assert agent.poll(20).status_code == 200


def test_an_unknown_fault_is_refused(github: SimulatedGitHub) -> None:
    with pytest.raises(UnknownFault, match="there is no fault F99"):
        github.inject("F99")


def test_repeating_a_call_whose_reply_was_lost_is_no_violation(client: ScaleSetClient) -> None:
    client.github.inject("F21", match=Match(path="generatejitconfig"))
    with pytest.raises(requests.ConnectionError):
        client.jit("runner-1")

    again = client.jit("runner-1")

    assert again.status_code == 409
    assert not client.github.violations()


def test_an_agent_whose_configuration_is_refused_exits(client: ScaleSetClient, tmp_path: Path) -> None:
    client.github.inject("F74")

    agent = start_agent(client.jit("runner-1").json()["encodedJITConfig"], tmp_path)

    assert agent.end()[0] == 1


def test_f60_creates_no_scale_set_for_other_calls(client: ScaleSetClient) -> None:
    fault = client.github.inject("F60")

    made = client.jit("runner-1")

    assert made.status_code == 200
    assert [one.name for one in client.github.state().scale_sets] == ["my-runners"]
    assert client.github.hits(fault) == 0
