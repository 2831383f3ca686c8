"""The control API: jobs, state, violations, actions and faults over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from support.demo_agent import HandMadeAgent

from runscaler.testing.simulator import RunnerState, SimulatedGitHub

if TYPE_CHECKING:
    from support.scale_set_client import ScaleSetClient


def control(github: SimulatedGitHub, method: str, path: str, body: object = None) -> requests.Response:
    url = f"{github.control_url}/{path}"
    return requests.request(method, url, headers=github.control_headers, json=body, timeout=20)


@pytest.mark.parametrize("headers", [{}, {"X-Sim-Control": "1"}, {"X-Sim-Control": "t\u00f6ken"}])
def test_calls_without_the_token_of_the_run_are_refused_and_told_where_it_is(
    github: SimulatedGitHub, headers: dict[str, str]
) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    refused = requests.get(f"{github.control_url}/state", headers=sent, timeout=20)

    assert refused.status_code == 403
    assert "which runner simulate prints behind its control url" in refused.json()["message"]


def test_the_token_is_another_at_each_run_unless_it_is_given(github: SimulatedGitHub) -> None:
    made = {tuple(SimulatedGitHub().control_headers.values()) for _ in range(3)}

    assert len(made) == 3
    assert all(len(token) >= 16 for (token,) in made)
    assert SimulatedGitHub(control_token="chosen").control_headers == {"X-Sim-Control": "chosen"}


def test_on_loopback_the_host_header_must_name_loopback(github: SimulatedGitHub) -> None:
    headers = {**github.control_headers, "Host": "rebound.example"}
    refused = requests.get(f"{github.control_url}/state", headers=headers, timeout=20)

    assert (refused.status_code, "Host header" in refused.text) == (403, True)


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_where_others_reach_it_any_host_header_is_taken_with_the_token(host: str) -> None:
    with SimulatedGitHub(host=host, threads=16) as github:
        url = f"http://127.0.0.1:{github.url.rpartition(':')[2]}/_sim/control/v1/state"
        headers = {**github.control_headers, "Host": "github.example"}
        taken = requests.get(url, headers=headers, timeout=20)
        refused = requests.get(url, headers={"Host": "github.example"}, timeout=20)

    assert (taken.status_code, refused.status_code) == (200, 403)


def test_jobs_are_queued_for_a_scale_set_and_cancelled(client: ScaleSetClient) -> None:
    steps: list[object] = ["echo hi", {"name": "bye", "run": "echo bye", "always": True}]
    body = {"scaleSet": "my-runners", "count": 2, "steps": steps, "env": {"A": "b"}, "secrets": ["s"]}
    ids = control(client.github, "POST", "jobs", body).json()

    cancelled = control(client.github, "POST", f"jobs/{ids[0]}/cancel")

    jobs = client.github.state().jobs
    assert cancelled.status_code == 204
    assert [(job.id, job.result) for job in jobs] == [(ids[0], "canceled"), (ids[1], "")]
    assert [step.name for step in jobs[0].steps] == ["step 1", "bye"]


def test_events_after_something_that_is_no_number_are_a_bad_request(github: SimulatedGitHub) -> None:
    refused = control(github, "GET", "events?after=x")

    assert (refused.status_code, "after is the number of an event" in refused.text) == (400, True)


def test_jobs_may_be_queued_before_their_scale_set_exists(github: SimulatedGitHub) -> None:
    body = {"scaleSet": "later", "scope": "my-org"}

    assert len(control(github, "POST", "jobs", body).json()) == 1


def test_jobs_of_an_unknown_scope_are_refused(github: SimulatedGitHub) -> None:
    refused = control(github, "POST", "jobs", {"scaleSet": "nowhere"})

    assert refused.status_code == 400
    assert "name the scope" in refused.json()["message"]


def test_the_state_shows_everything_except_secrets(client: ScaleSetClient) -> None:
    encoded = client.jit("runner-1").json()["encodedJITConfig"]
    client.github.queue_jobs("my-runners", secrets=["s3cr3t"])

    reply = control(client.github, "GET", "state")

    state = reply.json()
    assert state["scaleSets"][0]["name"] == "my-runners"
    assert state["sessions"][0]["owner"] == "host-a"
    assert state["runners"][0]["name"] == "runner-1"
    assert state["jobCounts"]["queued"] == 1
    for secret in (encoded, client.admin, client.session["messageQueueAccessToken"], "s3cr3t"):
        assert secret not in reply.text


def test_events_are_numbered_and_can_be_followed(client: ScaleSetClient) -> None:
    before = control(client.github, "GET", "events").json()
    client.github.queue_jobs("my-runners")

    after = control(client.github, "GET", f"events?after={before[-1]['number']}").json()

    assert [event["event"] for event in after] == ["job"]


def test_violations_are_listed_and_cleared(client: ScaleSetClient) -> None:
    client.call("GET", "_apis/runtime/runnerscalesets", params={})
    listed = control(client.github, "GET", "violations").json()
    control(client.github, "DELETE", "violations")

    final = control(client.github, "GET", "violations?final=1").json()

    assert [one["rule"] for one in listed] == ["V4"]
    assert [one["rule"] for one in final] == ["V12"]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"action": "rename", "value": "other"}, {"name": "other"}),
        ({"action": "relabel", "value": "a, b"}, {"labels": ("a", "b")}),
        ({"action": "relabel", "value": "+a"}, {"labels": ("my-runners", "a")}),
        ({"action": "delete"}, {"deleted": True}),
    ],
)
def test_a_scale_set_is_changed_by_hand(
    client: ScaleSetClient, body: dict[str, str], shown: dict[str, Any]
) -> None:
    assert control(client.github, "POST", "scale-sets/42", body).status_code == 204

    found = client.github.state().scale_sets[0]
    assert {key: getattr(found, key) for key in shown} == shown


@pytest.mark.parametrize(
    ("action", "poll", "create"), [("expire", 404, 200), ("steal", 404, 409), ("expire-token", 401, 409)]
)
def test_a_session_is_ended_stolen_or_loses_its_token(
    client: ScaleSetClient, action: str, poll: int, create: int
) -> None:
    control(client.github, "POST", f"sessions/{client.session['sessionId']}", {"action": action})

    assert (client.poll().status_code, client.open_session().status_code) == (poll, create)


@pytest.mark.parametrize(
    ("action", "state", "poll"),
    [
        ("vanish", RunnerState.GONE, 202),
        ("deregister", RunnerState.GONE, 404),
        ("offline", RunnerState.OFFLINE, 202),
    ],
)
def test_a_runner_vanishes_is_deregistered_or_goes_offline(
    client: ScaleSetClient, action: str, state: RunnerState, poll: int
) -> None:
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    agent.register()

    control(client.github, "POST", "runners/1024", {"action": action})

    assert client.github.state().runners[0].state is state
    assert agent.poll(1).status_code == poll


def test_a_fault_is_set_listed_with_its_hits_and_deleted(client: ScaleSetClient) -> None:
    body = {"fault": "F13", "count": None, "match": {"method": "GET"}, "params": {"status": 502}}
    number = control(client.github, "POST", "faults", body).json()["id"]
    assert client.on_set("GET").status_code == 502

    listed = control(client.github, "GET", "faults").json()
    deleted = [control(client.github, "DELETE", f"faults/{number}").status_code for _ in range(2)]

    assert [(one["fault"], one["hits"], one["count"]) for one in listed] == [("F13", 1, None)]
    assert deleted == [204, 404]
    assert client.on_set("GET").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "faults", {"fault": "F99"}, 400),
        ("POST", "jobs", {"count": "many", "scaleSet": "my-runners"}, 400),
        ("POST", "jobs/none/cancel", None, 404),
        ("POST", "scale-sets/99", {"action": "delete"}, 404),
        ("POST", "scale-sets/42", {"action": "paint"}, 400),
        ("POST", "sessions/none", {"action": "expire"}, 404),
        ("POST", "runners/1", {"action": "vanish"}, 404),
        ("GET", "nothing", None, 404),
    ],
)
def test_invalid_calls_are_refused_with_a_reason(
    client: ScaleSetClient, method: str, path: str, body: object, status: int
) -> None:
    refused = control(client.github, method, path, body)

    assert (refused.status_code, bool(refused.json()["message"])) == (status, True)
