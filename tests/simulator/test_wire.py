"""The simulator over HTTP as a client sees it: bodies, long polls, tokens."""

from __future__ import annotations

import json
import threading

import pytest
import requests
from support.demo_agent import HandMadeAgent, unpack
from support.scale_set_client import SETS, USER_AGENT, VERSION, ScaleSetClient

from runscaler.testing.simulator import Flavour, Options, RunnerState, SimulatedGitHub, Timers


def test_the_body_of_a_scale_set_is_that_of_protocol_4_3(client: ScaleSetClient) -> None:
    body = client.on_set("GET").json()

    assert body.pop("createdOn").endswith("Z")
    for url in ("runnerJitConfigUrl", "getAcquirableJobsUrl", "acquireJobsUrl"):
        assert body.pop(url).startswith(client.service)
    assert body == {
        "id": 42,
        "name": "my-runners",
        "runnerGroupId": 1,
        "runnerGroupName": "Default",
        "labels": [{"id": 1, "name": "my-runners", "type": "System"}],
        "RunnerSetting": {"disableUpdate": True},
        "status": "online",
        "enabled": True,
        "statistics": {
            "totalAvailableJobs": 0,
            "totalAcquiredJobs": 0,
            "totalAssignedJobs": 0,
            "totalRunningJobs": 0,
            "totalRegisteredRunners": 0,
            "totalBusyRunners": 0,
            "totalIdleRunners": 0,
        },
    }


def test_the_body_of_a_session_is_that_of_protocol_4_3(client: ScaleSetClient) -> None:
    assert set(client.session) == {
        "sessionId",
        "ownerName",
        "runnerScaleSet",
        "messageQueueUrl",
        "messageQueueAccessToken",
        "statistics",
    }
    assert client.session["ownerName"] == "host-a"
    assert "?sessionId=" in client.session["messageQueueUrl"]


def test_the_body_of_a_message_is_that_of_protocol_5_2_and_5_3(
    github: SimulatedGitHub, client: ScaleSetClient
) -> None:
    (job,) = github.queue_jobs("my-runners")

    message = client.poll(3).json()

    (event,) = json.loads(message.pop("body"))
    statistics = message.pop("statistics")
    assert statistics["totalAssignedJobs"] == 1
    assert message == {"messageId": 100000001, "messageType": "RunnerScaleSetJobMessages"}
    for time in ("queueTime", "scaleSetAssignTime"):
        assert event.pop(time).endswith("Z")
    assert event == {
        "messageType": "JobAssigned",
        "runnerRequestId": 0,
        "repositoryName": "demo",
        "ownerName": "my-org",
        "jobId": job,
        "jobWorkflowRef": "my-org/demo/.github/workflows/ci.yml@refs/heads/main",
        "jobDisplayName": "build",
        "workflowRunId": 991,
        "eventName": "push",
        "requestLabels": ["my-runners"],
        "runnerAssignTime": "0001-01-01T00:00:00Z",
        "finishTime": "0001-01-01T00:00:00Z",
    }


def test_started_and_completed_name_the_runner(github: SimulatedGitHub, client: ScaleSetClient) -> None:
    threading.Thread(target=lambda: client.take(1)).start()
    github.wait_until(lambda state: state.scale_sets[0].capacity == 1)
    agent = HandMadeAgent(client.jit("runner-0a1b2c3d").json()["encodedJITConfig"])
    (job,) = github.queue_jobs("my-runners")
    agent.run_job()

    events = [event for event in client.drain() if event["messageType"] != "JobAssigned"]

    assert [event["messageType"] for event in events] == ["JobStarted", "JobCompleted"]
    assert {(event["jobId"], event["runnerId"], event["runnerName"]) for event in events} == {
        (job, 1024, "runner-0a1b2c3d")
    }
    assert events[1]["result"] == "succeeded"


def test_the_jit_configuration_has_github_s_outer_form(client: ScaleSetClient) -> None:
    body = client.jit("runner-0a1b2c3d", "_work").json()

    files = {name: unpack(content) for name, content in unpack(body["encodedJITConfig"]).items()}
    assert body["runner"] == {"id": 1024, "name": "runner-0a1b2c3d", "runnerScaleSetId": 42}
    assert files[".runner"]["AgentId"] == 1024
    assert files[".runner"]["Ephemeral"] is True
    assert files[".runner"]["ServerUrl"].endswith("/_sim/agent/v1")
    assert files[".credentials"]["Scheme"] == "RunscalerSimulator"
    assert set(files[".credentials_rsaparams"]) == {
        "d", "dp", "dq", "exponent", "inverseQ", "modulus", "p", "q",
    }  # fmt: skip


def test_an_error_of_the_service_is_a_dotnet_exception(client: ScaleSetClient) -> None:
    conflict = client.open_session("host-b")

    body = conflict.json()
    assert conflict.status_code == 409
    assert body["typeKey"] == "RunnerScaleSetSessionConflictException"
    assert body["typeName"] == (
        "GitHub.Actions.Runtime.WebApi.RunnerScaleSetSessionConflictException, GitHub.Actions.Runtime.WebApi"
    )
    assert all(name in conflict.headers for name in ("ActivityId", "X-GitHub-Request-Id", "Date"))


def test_a_rest_error_has_message_and_documentation(github: SimulatedGitHub) -> None:
    with SimulatedGitHub(Options(tokens=("good",)), threads=8) as strict:
        refused = ScaleSetClient(strict).registration_token("bad")

    assert refused.status_code == 401
    assert refused.json()["message"] == "Bad credentials"
    assert not strict.violations()


def test_the_empty_values_of_go_clients_are_accepted(client: ScaleSetClient) -> None:
    made = client.create(name="other", RunnerSetting={}, createdOn="0001-01-01T00:00:00Z")
    nobody = "00000000-0000-0000-0000-000000000000"
    session = client.on_set("POST", "/sessions", {"ownerName": "x", "sessionId": nobody})
    jit = client.on_set("POST", "/generatejitconfig", {"name": "runner-1", "workFolder": ""})
    changed = client.on_set("PATCH", "", {"RunnerSetting": {}, "createdOn": "0001-01-01T00:00:00Z"})
    client.close_session()
    client.open_session()
    client.github.queue_jobs("my-runners")
    polled = client.poll(2147483647)

    assert {one.status_code for one in (made, session, jit, changed, polled)} == {200}
    assert (changed.json()["name"], changed.json()["RunnerSetting"]) == ("other", {"disableUpdate": False})
    assert not client.github.violations()


def test_a_poll_waits_and_is_woken_by_a_job(github: SimulatedGitHub, client: ScaleSetClient) -> None:
    events: list[dict[str, object]] = []
    poll = threading.Thread(target=lambda: events.extend(client.take(1)))
    poll.start()
    github.wait_until(lambda state: any(one.polls_open for one in state.sessions))

    github.queue_jobs("my-runners")
    poll.join(30)

    assert [event["messageType"] for event in events] == ["JobAssigned"]


def test_a_poll_without_a_message_ends_with_202() -> None:
    with SimulatedGitHub(timers=Timers(long_poll=0.05), threads=8) as github:
        client = ScaleSetClient(github).ready()
        nothing = client.poll()

    assert (nothing.status_code, nothing.content) == (202, b"")


def test_a_poll_that_is_broken_off_loses_no_message_and_is_no_violation(
    github: SimulatedGitHub, client: ScaleSetClient
) -> None:
    with pytest.raises(requests.exceptions.ReadTimeout):
        client.poll(1, timeout=0.2)
    github.queue_jobs("my-runners")

    assert [event["messageType"] for event in client.take(1)] == ["JobAssigned"]
    assert not github.violations()


def test_an_expired_token_is_answered_401_until_it_is_refreshed(
    github: SimulatedGitHub, client: ScaleSetClient
) -> None:
    github.change_session("my-runners", "expire-token")
    github.queue_jobs("my-runners")
    assert client.poll().status_code == 401

    client.refresh()

    assert client.poll().status_code == 200
    assert not github.violations()


def test_stopping_the_simulator_ends_open_polls_at_once(client: ScaleSetClient) -> None:
    polled = threading.Thread(target=client.poll)
    polled.start()
    client.github.wait_until(lambda state: any(one.polls_open for one in state.sessions))

    client.github.stop()
    polled.join(4)

    assert not polled.is_alive()


def test_flavour_b_offers_and_the_queue_token_acquires() -> None:
    with SimulatedGitHub(flavour=Flavour.ACQUIRE, threads=16) as github:
        client = ScaleSetClient(github).ready()
        threading.Thread(target=lambda: client.poll(2)).start()
        github.wait_until(lambda state: state.scale_sets[0].capacity == 2)
        github.queue_jobs("my-runners", 2)
        offers = client.on_set("GET", "/acquirablejobs").json()["value"]
        numbers = [offer["runnerRequestId"] for offer in offers]
        acquired = client.acquire([*numbers, 999]).json()
        none_left = client.on_set("GET", "/acquirablejobs").status_code

    assert acquired == {"count": 2, "value": numbers}
    assert "jobId" not in offers[0]
    assert none_left == 204
    assert not github.violations()


def test_groups_are_found_by_name_with_a_slash_before_the_query() -> None:
    with SimulatedGitHub(Options(groups=("gpu",)), threads=8) as github:
        client = ScaleSetClient(github)
        client.log_in()
        path = "_apis/runtime/runnergroups/"
        found = client.call("GET", path, params={**VERSION, "groupName": "gpu"}).json()
        missing = client.call("GET", path, params={**VERSION, "groupName": "none"}).json()

    assert found["value"] == [{"id": 2, "name": "gpu", "size": 0, "isDefaultGroup": False}]
    assert missing["count"] == 0


def test_scale_sets_are_found_by_name_in_any_case_within_their_group(client: ScaleSetClient) -> None:
    def count(name: str, group: int) -> int:
        params = {**VERSION, "name": name, "runnerGroupId": group}
        return int(client.call("GET", SETS, params=params).json()["count"])

    assert (count("MY-RUNNERS", 1), count("my-runners", 2), count("other", 1)) == (1, 0, 0)


def test_a_removed_runner_is_unknown_and_removing_it_again_is_fine(client: ScaleSetClient) -> None:
    agents = "_apis/distributedtask/pools/0/agents"
    client.jit("runner-1")
    assert client.call("GET", agents, params={**VERSION, "agentName": "runner-1"}).json()["count"] == 1

    answers = [client.call("DELETE", f"{agents}/1024").status_code for _ in range(2)]

    assert answers == [204, 204]
    assert client.call("GET", f"{agents}/1024").status_code == 404


def test_repositories_and_organisations_are_different_tenants(github: SimulatedGitHub) -> None:
    organisation, repository = ScaleSetClient(github), ScaleSetClient(github, "my-org/app")
    for client in (organisation, repository):
        client.log_in()
        client.create()

    repository.scale_set = organisation.scale_set

    assert repository.service != organisation.service
    assert repository.on_set("GET").status_code == 404


def test_the_job_offered_to_an_agent_that_hangs_up_goes_to_another_one(
    github: SimulatedGitHub, client: ScaleSetClient
) -> None:
    dead, alive = (HandMadeAgent(client.jit(f"runner-{n}").json()["encodedJITConfig"]) for n in range(2))
    dead.register()
    alive.register()
    with pytest.raises(requests.exceptions.ReadTimeout):
        dead.poll(timeout=0.2)
    offers: list[str] = []
    polling = threading.Thread(target=lambda: offers.append(alive.take_job()))
    polling.start()
    threading.Thread(target=lambda: client.poll(1)).start()
    (job,) = github.queue_jobs("my-runners")
    polling.join(60)

    assert offers == [job]


def test_the_poll_of_a_removed_runner_ends_at_once_with_not_found(client: ScaleSetClient) -> None:
    agent = HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"])
    agent.register()
    answers: list[requests.Response] = []
    poll = threading.Thread(target=lambda: answers.append(agent.poll()))
    poll.start()
    client.github.wait_until(lambda state: state.runners[0].state is RunnerState.IDLE)

    client.call("DELETE", "_apis/distributedtask/pools/0/agents/1024")
    poll.join(30)

    assert (answers[0].status_code, answers[0].json()["errorKind"]) == (404, "RunnerNotFound")


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/api/v3/nothing", "/_sim/agent/v1/nothing", "/_sim/queue/x"]
)
def test_what_does_not_exist_is_404_without_a_traceback(github: SimulatedGitHub, path: str) -> None:
    reply = requests.get(github.url + path, headers={"User-Agent": "x"}, timeout=20)

    assert reply.status_code == 404
    assert "Traceback" not in reply.text


def test_a_body_that_is_too_large_is_refused(client: ScaleSetClient) -> None:
    assert client.on_set("POST", "/sessions", {"ownerName": "x" * (1 << 20)}).status_code == 413


def test_a_hundred_polls_at_once_are_all_answered() -> None:
    with SimulatedGitHub(threads=140) as github:
        clients = [ScaleSetClient(github, f"org-{number}").ready() for number in range(100)]
        results: list[int] = []
        polls = [threading.Thread(target=lambda c=one: results.append(len(c.take(5)))) for one in clients]
        for poll in polls:
            poll.start()
        github.wait_until(lambda state: sum(one.polls_open for one in state.sessions) == 100)
        for number in range(100):
            github.queue_jobs("my-runners", 1, scope=f"org-{number}")
        for poll in polls:
            poll.join(30)

    assert results == [1] * 100
    assert not github.violations()


def test_a_doubled_slash_after_the_tenant_is_taken(client: ScaleSetClient) -> None:
    found = client.call("GET", f"/{SETS}")

    assert (client.service[-1], found.json()["count"]) == ("/", 1)
    assert not client.github.violations()


def test_a_client_s_change_of_labels_is_answered_200_and_has_no_effect(client: ScaleSetClient) -> None:
    other = {"labels": [{"name": "other", "type": "System"}], "name": "renamed"}

    changed = client.on_set("PATCH", "", other)

    assert (changed.status_code, changed.json()["name"]) == (200, "renamed")
    assert [label["name"] for label in changed.json()["labels"]] == ["my-runners"]
    assert client.github.state().scale_sets[0].labels == ("my-runners",)


def test_labels_can_be_made_mutable() -> None:
    with SimulatedGitHub(Options(labels_mutable=True), threads=8) as github:
        client = ScaleSetClient(github).ready()
        changed = client.on_set("PATCH", "", {"labels": [{"name": "other", "type": "System"}]})

    assert [label["name"] for label in changed.json()["labels"]] == ["other"]


def test_a_message_has_no_statistics_while_the_announced_capacity_is_0(client: ScaleSetClient) -> None:
    client.github.queue_jobs("my-runners", 2)
    number = client.poll(1).json()["messageId"]

    again = client.poll(0).json()

    assert (again["messageId"], "statistics" in again) == (number, False)
    assert "statistics" in client.poll(1).json()


def listed(client: ScaleSetClient, **params: int) -> tuple[int, list[str]]:
    headers = {**USER_AGENT, "Authorization": "Bearer pat"}
    url = f"{client.github.url}/api/v3/orgs/My-Org/actions/runners"
    page = requests.get(url, headers=headers, params=params, timeout=20).json()
    return page["total_count"], [one["name"] for one in page["runners"]]


def test_the_rest_api_lists_the_runners_in_pages(client: ScaleSetClient) -> None:
    names = [f"runner-{number:02}" for number in range(32)]
    for name in names:
        client.jit(name)

    assert listed(client) == (32, names[:30])
    assert listed(client, page=2) == (32, names[30:])
    assert listed(client, per_page=5, page=2) == (32, names[5:10])
    assert listed(client, page=9) == (32, [])


def test_a_listed_runner_has_its_state_and_labels_and_needs_a_credential(client: ScaleSetClient) -> None:
    HandMadeAgent(client.jit("runner-1").json()["encodedJITConfig"]).register()
    url = f"{client.github.url}/api/v3/orgs/my-org/actions/runners"
    headers = {**USER_AGENT, "Authorization": "Bearer pat"}

    (runner,) = requests.get(url, headers=headers, timeout=20).json()["runners"]
    refused = requests.get(url, headers=USER_AGENT, timeout=20)

    assert (runner["id"], runner["name"], runner["status"], runner["busy"]) == (
        1024,
        "runner-1",
        "online",
        False,
    )
    assert [label["name"] for label in runner["labels"]] == ["my-runners"]
    assert refused.status_code == 401
