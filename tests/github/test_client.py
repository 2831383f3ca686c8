"""What each call sends, and what becomes of its golden replies (docs/protocol.md § 4.2, 4.3, 5)."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from loguru import logger
from support.wire_server import ADMIN, TOKEN, WireServer, answer

from runscaler.config.secrets import Secret
from runscaler.errors import (
    AccessDenied,
    JobStillRunning,
    NotFound,
    QueueTokenExpired,
    Refused,
    RunnerExists,
    ScaleSetGone,
    SessionConflict,
    SessionGone,
)
from runscaler.github.base import ScaleSetChange, ScaleSetId, Session, SessionId
from runscaler.github.endpoints import service_url
from runscaler.github.messages import JobStarted, RegisteredRunner, RunnerScaleSet, Statistics
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName

if TYPE_CHECKING:
    from support.github_client import Client
    from support.wire_server import Conversation, Seen

IDLE = Interrupt()
ID = ScaleSetId(42)
RUNNER = RunnerName("runner-0a1b2c3d")
SETS = "/tenant/_apis/runtime/runnerscalesets"
STATISTICS = {
    "totalAvailableJobs": 0,
    "totalAcquiredJobs": 0,
    "totalAssignedJobs": 3,
    "totalRunningJobs": 1,
    "totalRegisteredRunners": 2,
    "totalBusyRunners": 1,
    "totalIdleRunners": 1,
}
COUNTS = Statistics(assigned=3, running=1, registered=2, busy=1, idle=1)
SCALE_SET = {
    "id": 42,
    "name": "my-runners",
    "runnerGroupId": 1,
    "runnerGroupName": "Default",
    "labels": [{"id": 7, "name": "my-runners", "type": "System"}],
    "RunnerSetting": {"disableUpdate": True},
    "createdOn": "2026-01-02T03:04:05.1234567Z",
    "status": "online",
    "enabled": True,
    "statistics": STATISTICS,
}
KNOWN = RunnerScaleSet(42, "my-runners", 1, "Default", ("my-runners",), COUNTS, updates_disabled=True)


SYSTEM_X, SYSTEM_Y = {"name": "x", "type": "System"}, {"name": "y", "type": "System"}


def exception(name: str, message: str = "No.") -> dict[str, object]:
    return {"$id": "1", "message": message, "typeName": f"GitHub.ActionsClient.Runtime.WebApi.{name}, GitHub"}


def queue_session(server: WireServer) -> Session:
    return Session(SessionId("5f0c"), ID, f"{server.url}/queue?session=5f0c", Secret("queue-token"), None)


def test_the_first_call_gets_a_registration_token_and_an_admin_jwt(
    client: Client, server: WireServer
) -> None:
    server.on("GET", SETS, answer({"count": 0, "value": []}))

    client.service.find_scale_set("my-runners", 1, IDLE)
    token, register, call = server.seen

    assert token.target == "/api/v3/orgs/my-org/actions/runners/registration-token"
    assert token.headers["authorization"] == "Bearer ghp_the-users-s3cr3t"
    assert token.headers["content-type"] == "application/vnd.github.v3+json"
    assert token.body == b""
    assert register.target == "/api/v3/actions/runner-registration"
    assert register.headers["authorization"] == f"RemoteAuth {TOKEN}"
    assert register.json == {"url": f"{server.url}/my-org", "runner_event": "register"}
    assert call.headers["authorization"] == f"Bearer {ADMIN}"


def test_each_request_names_us_in_a_line_of_json(client: Client, server: WireServer) -> None:
    server.on("GET", SETS, answer({"count": 1, "value": [SCALE_SET]}), times=2)

    client.service.find_scale_set("my-runners", 1, IDLE)
    client.service.find_scale_set("my-runners", 1, IDLE)
    agents = [json.loads(seen.headers["user-agent"]) for seen in server.seen]

    assert [agent["scale_set_id"] for agent in agents] == [0, 0, 0, 42]
    assert agents[0] == {
        "system": "runscaler",
        "version": "1.2.3",
        "commit_sha": "abc1234",
        "scale_set_id": 0,
        "subsystem": "listener",
        "build_version": "1.2.3",
        "build_commit_sha": "abc1234",
        "kind": "runscaler",
    }


def test_a_scale_set_is_found_by_group_and_percent_encoded_name(client: Client, server: WireServer) -> None:
    server.on("GET", SETS, answer({"count": 1, "value": [SCALE_SET]}))

    found = client.service.find_scale_set("a b&c/ü", 1, IDLE)
    target = server.seen[-1].target

    assert found == KNOWN
    assert target == f"{SETS}?runnerGroupId=1&name=a%20b%26c%2F%C3%BC&api-version=6.0-preview"
    assert server.seen[-1].headers["content-type"] == "application/json"


def test_a_count_of_zero_is_none_whatever_the_values(client: Client, server: WireServer) -> None:
    server.on("GET", SETS, answer({"count": 0, "value": [SCALE_SET]}))

    assert client.service.find_scale_set("my-runners", 1, IDLE) is None


def test_two_scale_sets_of_one_name_are_an_error(client: Client, server: WireServer) -> None:
    server.on("GET", SETS, answer({"count": 2, "value": [SCALE_SET, SCALE_SET]}))

    with pytest.raises(Refused, match="2 scale sets 'my-runners'"):
        client.service.find_scale_set("my-runners", 1, IDLE)


@pytest.mark.parametrize("status", [200, 201])
def test_creating_sends_labels_of_type_system_and_no_self_update(
    client: Client, server: WireServer, status: int
) -> None:
    server.on("POST", SETS, answer(SCALE_SET, status))

    created = client.service.create_scale_set("my-runners", 1, ["my-runners", "gpu"], IDLE)

    assert created == KNOWN
    assert server.seen[-1].json == {
        "name": "my-runners",
        "runnerGroupId": 1,
        "labels": [{"name": "my-runners", "type": "System"}, {"name": "gpu", "type": "System"}],
        "RunnerSetting": {"disableUpdate": True},
    }


def test_creating_a_name_that_exists_is_refused(client: Client, server: WireServer) -> None:
    body = exception(
        "RunnerScaleSetExistsException", "The runner scale set already exists in runner group 1."
    )
    server.on("POST", SETS, answer(body, 400))

    with pytest.raises(Refused, match="already exists") as caught:
        client.service.create_scale_set("my-runners", 1, [], IDLE)

    assert caught.value.status == 400
    assert caught.value.request_id == "AB12:CD"


def test_changing_a_scale_set_patches_it_and_not_found_means_it_is_gone(
    client: Client, server: WireServer
) -> None:
    server.on(
        "PATCH", f"{SETS}/42", answer(SCALE_SET), answer(exception("RunnerScaleSetNotFoundException"), 404)
    )

    change = ScaleSetChange(labels=("x",))
    assert client.service.update_scale_set(ID, change, IDLE) == KNOWN
    with pytest.raises(ScaleSetGone):
        client.service.update_scale_set(ID, change, IDLE)


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        (ScaleSetChange(name="renamed"), {"name": "renamed"}),
        (ScaleSetChange(runner_group_id=3), {"runnerGroupId": 3}),
        (ScaleSetChange(labels=("x", "y")), {"labels": [SYSTEM_X, SYSTEM_Y]}),
        (ScaleSetChange(updates_disabled=True), {"RunnerSetting": {"disableUpdate": True}}),
    ],
)
def test_a_change_sends_only_what_is_to_change(
    client: Client, server: WireServer, change: ScaleSetChange, sent: dict[str, object]
) -> None:
    server.on("PATCH", f"{SETS}/42", answer(SCALE_SET))

    client.service.update_scale_set(ID, change, IDLE)

    assert server.seen[-1].json == sent


@pytest.mark.parametrize(
    ("left_out", "labels", "updates_disabled"),
    [("labels", None, True), ("RunnerSetting", ("my-runners",), None)],
)
def test_what_a_reply_leaves_out_is_not_told(
    client: Client, server: WireServer, left_out: str, labels: object, updates_disabled: object
) -> None:
    body = {key: value for key, value in SCALE_SET.items() if key != left_out}
    server.on("GET", f"{SETS}/42", answer(body))

    found = client.service.scale_set(ID, IDLE)

    assert (found.labels, found.updates_disabled) == (labels, updates_disabled)


def test_informative_fields_of_another_type_do_not_spoil_a_scale_set(
    client: Client, server: WireServer
) -> None:
    odd = {"runnerGroupId": "1", "runnerGroupName": 7, "labels": ["x", {"name": 3}, {"name": "gpu"}]}
    odd |= {"RunnerSetting": "none", "statistics": [], "createdOn": 5}
    server.on("GET", f"{SETS}/42", answer(SCALE_SET | odd))

    assert client.service.scale_set(ID, IDLE) == RunnerScaleSet(42, "my-runners", 1, "", ("gpu",))


def test_deleting_what_is_gone_is_fine_and_a_running_job_is_a_refusal(
    client: Client, server: WireServer
) -> None:
    server.on(
        "DELETE",
        f"{SETS}/42",
        answer(None, 204),
        answer(exception("RunnerScaleSetNotFoundException"), 404),
        answer(exception("JobStillRunningException"), 400),
    )

    client.service.delete_scale_set(ID, IDLE)
    client.service.delete_scale_set(ID, IDLE)
    with pytest.raises(Refused):
        client.service.delete_scale_set(ID, IDLE)


def test_the_default_group_is_known_without_a_call(client: Client, server: WireServer) -> None:
    assert client.service.group_id("Default", IDLE) == client.service.group_id("", IDLE) == 1
    assert server.seen == []


def test_a_group_is_found_by_name_with_a_slash_before_the_query(client: Client, server: WireServer) -> None:
    group = {"id": 3, "name": "G", "size": 2, "isDefaultGroup": False}
    server.on("GET", "runnergroups", answer({"count": 1, "value": [group]}), times=2)

    assert client.service.group_id("g", IDLE) == 3
    assert client.service.group_id("G", IDLE) == 3
    assert server.seen[-1].target.startswith("/tenant/_apis/runtime/runnergroups/?groupName=G&")


def test_a_missing_group_names_those_that_there_are(client: Client, server: WireServer) -> None:
    groups = [{"id": 1, "name": "Default"}, {"id": 3, "name": "mobile"}]
    server.on("GET", "groupName=web", answer({"count": 0, "value": []}))
    server.on("GET", "runnergroups", answer({"count": 2, "value": groups}))

    with pytest.raises(NotFound, match="'web' does not exist; there are: Default, mobile"):
        client.service.group_id("web", IDLE)


def test_a_missing_group_is_said_also_where_groups_cannot_be_listed(
    client: Client, server: WireServer
) -> None:
    server.on("GET", "groupName=web", answer({"count": 0, "value": []}))
    server.on("GET", "runnergroups", answer(b"<html>", 500))

    with pytest.raises(NotFound, match=r"'web' does not exist$"):
        client.service.group_id("web", IDLE)


def session_body(server: WireServer, **other: object) -> dict[str, object]:
    return {
        "sessionId": "5f0c",
        "ownerName": "host-a",
        "runnerScaleSet": SCALE_SET,
        "messageQueueUrl": f"{server.url}/queue?session=5f0c",
        "messageQueueAccessToken": "queue-token",
        "statistics": STATISTICS,
        **other,
    }


def test_a_session_is_opened_refreshed_and_closed(client: Client, server: WireServer) -> None:
    server.on("POST", f"{SETS}/42/sessions", answer(session_body(server)))
    server.on(
        "PATCH", f"{SETS}/42/sessions/5f0c", answer(session_body(server, messageQueueAccessToken="second"))
    )
    server.on("DELETE", f"{SETS}/42/sessions/5f0c", answer(None, 204))

    opened = client.service.open_session(ID, "host-a", IDLE)
    fresh = client.service.refresh_session(opened, IDLE)
    client.service.close_session(ID, fresh.id, IDLE)
    posted, patched, deleted = server.seen[2:]

    assert opened == Session(
        SessionId("5f0c"), ID, f"{server.url}/queue?session=5f0c", Secret("queue-token"), COUNTS
    )
    assert fresh.queue_token == Secret("second")
    assert posted.json == {"ownerName": "host-a"}
    assert patched.body == b""
    assert deleted.body == b""


def test_a_session_that_github_opens_just_then_is_returned_in_spite_of_an_interrupt(
    client: Client, server: WireServer
) -> None:
    """Only the reply has its id, without which nobody could close it."""
    interrupt, go_on = Interrupt(), threading.Event()

    def late(conversation: Conversation) -> None:
        assert go_on.wait(30)
        answer(session_body(server))(conversation)

    server.on("POST", f"{SETS}/42/sessions", late)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(client.service.open_session, ID, "host-a", interrupt)
        server.wait_for("POST", f"{SETS}/42/sessions")
        interrupt.set()
        go_on.set()

    assert opening.result().id == "5f0c"


def test_statistics_that_are_absent_or_absurd_are_unknown_not_zero(
    client: Client, server: WireServer
) -> None:
    server.on(
        "POST",
        f"{SETS}/42/sessions",
        answer(session_body(server, statistics=None)),
        answer(session_body(server, statistics={**STATISTICS, "totalAssignedJobs": -4})),
        answer(session_body(server, statistics={"totalRunningJobs": 1})),
    )

    sessions = [client.service.open_session(ID, "host-a", IDLE) for _ in range(3)]

    assert [session.statistics for session in sessions] == [None, None, None]


@pytest.mark.parametrize(("lifetime", "margin"), [(3600, 300 + 15), (60, 12 + 1.5)])
def test_a_queue_token_says_when_it_should_be_refreshed_by_githubs_clock(
    client: Client, server: WireServer, lifetime: int, margin: float
) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1000 + lifetime}).encode()).decode()
    body = session_body(server, messageQueueAccessToken=f"e30.{claims}.c2ln")
    server.on("POST", f"{SETS}/42/sessions", answer(body, headers={"Date": formatdate(1000, usegmt=True)}))

    opened = client.service.open_session(ID, "host-a", IDLE)

    assert opened.refresh_at == client.clock.monotonic() + lifetime - margin


def test_a_second_session_is_a_conflict(client: Client, server: WireServer) -> None:
    body = exception("RunnerScaleSetSessionConflictException", "dev already has an active session.")
    server.on("POST", f"{SETS}/42/sessions", answer(body, 409))

    with pytest.raises(SessionConflict, match="already has an active session"):
        client.service.open_session(ID, "host-a", IDLE)


@pytest.mark.parametrize("field", ["messageQueueUrl", "messageQueueAccessToken"])
def test_a_session_without_a_queue_is_deleted_and_tried_again(
    client: Client, server: WireServer, field: str
) -> None:
    server.on("POST", f"{SETS}/42/sessions", answer(session_body(server, **{field: ""})))
    server.on("POST", f"{SETS}/42/sessions", answer(session_body(server)))
    server.on("DELETE", f"{SETS}/42/sessions/5f0c", answer(None, 204))

    session = client.service.open_session(ID, "host-a", IDLE)

    assert session.queue_token == Secret("queue-token")
    assert len(server.requests("DELETE", "sessions/5f0c")) == 1


@pytest.mark.parametrize("name", ["RunnerAdminException", "SomethingElse"])
def test_a_refresh_that_finds_nothing_means_that_the_session_is_gone(
    client: Client, server: WireServer, name: str
) -> None:
    server.on("PATCH", "sessions/5f0c", answer(exception(name), 404))

    with pytest.raises(SessionGone):
        client.service.refresh_session(queue_session(server), IDLE)


def test_a_refresh_can_tell_that_the_scale_set_is_gone(client: Client, server: WireServer) -> None:
    server.on("PATCH", "sessions/5f0c", answer(exception("RunnerScaleSetNotFoundException"), 404))

    with pytest.raises(ScaleSetGone):
        client.service.refresh_session(queue_session(server), IDLE)


@pytest.mark.parametrize(
    ("name", "status"),
    [("RunnerScaleSetSessionExpiredException", 400), ("RunnerAdminException", 404), ("Whatever", 404)],
)
def test_closing_a_session_that_is_over_is_fine(
    client: Client, server: WireServer, name: str, status: int
) -> None:
    server.on("DELETE", "sessions/5f0c", answer(exception(name), status))

    client.service.close_session(ID, SessionId("5f0c"), IDLE)


def test_a_poll_sends_capacity_cursor_and_queue_token_and_no_api_version_in_the_query(
    client: Client, server: WireServer
) -> None:
    server.on("GET", "/queue", answer(None, 202), times=3)

    assert client.service.poll(queue_session(server), 0, 10, IDLE) is None
    assert client.service.poll(queue_session(server), 100000171, 0, IDLE) is None
    assert client.service.poll(queue_session(server), 0, -3, IDLE) is None
    first, second, third = server.seen

    assert first.target == "/queue?session=5f0c"
    assert first.headers["accept"] == "application/json; api-version=6.0-preview"
    assert first.headers["authorization"] == "Bearer queue-token"
    assert first.headers["x-scalesetmaxcapacity"] == "10"
    assert third.headers["x-scalesetmaxcapacity"] == "0"
    assert "content-type" not in first.headers
    assert parse_qs(urlsplit(second.target).query) == {"session": ["5f0c"], "lastMessageId": ["100000171"]}


def test_a_message_is_a_batch_with_its_events_and_statistics(client: Client, server: WireServer) -> None:
    started = {
        "messageType": "JobStarted",
        "runnerRequestId": 0,
        "repositoryName": "app",
        "ownerName": "my-org",
        "jobId": "23b2785d",
        "jobWorkflowRef": "my-org/app/.github/workflows/ci.yml@refs/heads/main",
        "jobDisplayName": "build",
        "workflowRunId": 991,
        "eventName": "push",
        "requestLabels": ["my-runners"],
        "queueTime": "2026-01-02T03:04:05Z",
        "scaleSetAssignTime": "2026-01-02T03:04:06Z",
        "runnerAssignTime": "2026-01-02T03:04:16Z",
        "finishTime": "0001-01-01T00:00:00Z",
        "runnerId": 1024,
        "runnerName": "runner-0a1b2c3d",
    }
    message = {
        "messageId": 100000171,
        "messageType": "RunnerScaleSetJobMessages",
        "statistics": STATISTICS,
        "body": json.dumps([started]),
    }
    server.on("GET", "/queue", answer(message))

    batch = client.service.poll(queue_session(server), 0, 10, IDLE)

    assert batch.id == 100000171
    assert batch.statistics == COUNTS
    assert batch.problems == ()
    assert batch.events == (
        JobStarted(
            job_id="23b2785d",
            repository="app",
            owner="my-org",
            workflow_ref="my-org/app/.github/workflows/ci.yml@refs/heads/main",
            display_name="build",
            run_id=991,
            event_name="push",
            request_labels=("my-runners",),
            queued_at=1767323045.0,
            assigned_at=1767323046.0,
            runner_assigned_at=1767323056.0,
            runner_id=1024,
            runner_name="runner-0a1b2c3d",
        ),
    )


def test_an_empty_message_is_like_nothing_new(client: Client, server: WireServer) -> None:
    server.on("GET", "/queue", answer(b""), times=2)
    warnings: list[str] = []
    logger.enable("runscaler")
    sink = logger.add(lambda line: warnings.append(str(line)), level="WARNING", format="{message}")

    polls = [client.service.poll(queue_session(server), 0, 10, IDLE) for _ in range(2)]

    logger.remove(sink)
    assert polls == [None, None]
    assert [line for line in warnings if "empty message" in line] == warnings[:1] != []


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (401, "", QueueTokenExpired),
        (400, "", SessionGone),
        (404, "", SessionGone),
        (410, "", SessionGone),
        (404, "RunnerScaleSetNotFoundException", ScaleSetGone),
    ],
)
def test_what_the_queue_refuses_says_what_to_renew(
    client: Client, server: WireServer, status: int, name: str, error: type[Exception]
) -> None:
    server.on("GET", "/queue", answer(exception(name), status))

    with pytest.raises(error):
        client.service.poll(queue_session(server), 0, 10, IDLE)

    assert len(server.seen) == 1


def test_acknowledging_deletes_the_message_by_its_path_and_keeps_the_query(
    client: Client, server: WireServer
) -> None:
    server.on("DELETE", "/queue", answer(None, 204), answer(None, 404), answer(None, 401))
    session = queue_session(server)

    client.service.acknowledge(session, 100000171, IDLE)
    client.service.acknowledge(session, 100000171, IDLE)
    with pytest.raises(QueueTokenExpired):
        client.service.acknowledge(session, 100000171, IDLE)

    assert server.seen[0].target == "/queue/100000171?session=5f0c"
    assert server.seen[0].headers["authorization"] == "Bearer queue-token"
    assert server.seen[0].headers["content-type"] == "application/json"


def test_jobs_on_offer_are_listed_and_no_content_means_none(client: Client, server: WireServer) -> None:
    offer = {"runnerRequestId": 101, "repositoryName": "app", "ownerName": "my-org"}
    server.on("GET", "acquirablejobs", answer({"count": 1, "value": [offer]}), answer(None, 204))

    (job,) = client.service.acquirable_jobs(ID, IDLE)

    assert (job.request_id, job.repository) == (101, "app")
    assert client.service.acquirable_jobs(ID, IDLE) == ()


def test_an_unreadable_job_on_offer_does_not_spoil_the_others(client: Client, server: WireServer) -> None:
    offers = [{"runnerRequestId": "101", "workflowRunId": "991"}, {"runnerRequestId": "many"}, 7]
    server.on("GET", "acquirablejobs", answer({"count": 3, "value": offers}))
    server.on("POST", "acquirejobs", answer({"count": 2, "value": ["101", {}]}))

    (job,) = client.service.acquirable_jobs(ID, IDLE)

    assert (job.request_id, job.run_id) == (101, 991)
    assert client.service.acquire_jobs(queue_session(server), [101], IDLE) == (101,)


def test_acquiring_sends_a_bare_list_with_the_queue_token(client: Client, server: WireServer) -> None:
    server.on("POST", "acquirejobs", answer({"count": 3, "value": [101, True, "102"]}), answer(None, 401))
    session = queue_session(server)

    assert client.service.acquire_jobs(session, [101, 102], IDLE) == (101, 102)
    assert client.service.acquire_jobs(session, [], IDLE) == ()
    with pytest.raises(QueueTokenExpired):
        client.service.acquire_jobs(session, [103], IDLE)
    acquire: Seen = server.requests("POST", "acquirejobs")[0]

    assert acquire.json == [101, 102]
    assert acquire.headers["authorization"] == "Bearer queue-token"
    assert "api-version=6.0-preview" in acquire.target


def test_an_action_that_github_forbids_is_denied_access(client: Client, server: WireServer) -> None:
    server.on("GET", SETS, answer({"message": "no"}, 403))

    with pytest.raises(AccessDenied, match="answered 403: no"):
        client.service.find_scale_set("my-runners", 1, IDLE)


def test_an_address_that_names_an_api_version_keeps_it() -> None:
    url = service_url("https://x.test/a/?tenant=7&Api-Version=5.0", "path", {})

    assert url == "https://x.test/a/path?tenant=7&Api-Version=5.0"


def test_a_jit_configuration_registers_a_runner(client: Client, server: WireServer) -> None:
    body = {
        "runner": {"id": 1024, "name": RUNNER, "runnerScaleSetId": 42},
        "encodedJITConfig": "eyJhIjoxfQ==",
    }
    server.on("POST", f"{SETS}/42/generatejitconfig", answer(body))

    made = client.service.jit_config(ID, RUNNER, IDLE)

    assert (made.runner_id, made.runner, made.encoded.reveal()) == (1024, RUNNER, "eyJhIjoxfQ==")
    assert server.seen[-1].json == {"name": RUNNER, "workFolder": "_work"}
    assert json.loads(server.seen[-1].headers["user-agent"])["subsystem"] == "runner"


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (409, "TaskAgentExistsException", RunnerExists),
        (404, "RunnerScaleSetNotFoundException", ScaleSetGone),
        (404, "", ScaleSetGone),
    ],
)
def test_a_refused_jit_configuration_says_why(
    client: Client, server: WireServer, status: int, name: str, error: type[Exception]
) -> None:
    server.on("POST", "generatejitconfig", answer(exception(name), status))

    with pytest.raises(error):
        client.service.jit_config(ID, RUNNER, IDLE)


def test_a_runner_is_looked_up_by_id_and_by_name(client: Client, server: WireServer) -> None:
    body = {"id": 1024, "name": RUNNER, "runnerScaleSetId": 42, "status": "online", "busy": True}
    agents = "/tenant/_apis/distributedtask/pools/0/agents"
    server.on("GET", f"{agents}/1024", answer(body), answer(exception("TaskAgentNotFoundException"), 404))
    found = answer({"count": 1, "value": [{**body, "status": 1}]})
    server.on("GET", f"{agents}?agentName={RUNNER}", found)
    server.on("GET", f"{agents}?agentName={RUNNER.upper()}", found)
    server.on("GET", f"{agents}?agentName=", answer({"count": 0, "value": []}))

    assert client.service.runner(1024, IDLE) == RegisteredRunner(1024, RUNNER, 42, "online", True)
    assert client.service.runner(1024, IDLE) is None
    for name in (RUNNER, RunnerName(RUNNER.upper())):
        assert client.service.find_runner(name, IDLE) == RegisteredRunner(1024, RUNNER, 42, "", True)
    assert client.service.find_runner(RunnerName("runner-ffffffff"), IDLE) is None


def test_removing_a_runner_is_refused_while_it_has_a_job_and_fine_when_it_is_gone(
    client: Client, server: WireServer
) -> None:
    server.on(
        "DELETE",
        "agents/1024",
        answer(None, 204),
        answer(exception("TaskAgentNotFoundException"), 404),
        answer(exception("TaskAgentJobStillRunningException"), 400),
        answer(exception("JobStillRunningException"), 409),
    )

    client.service.remove_runner(1024, IDLE)
    client.service.remove_runner(1024, IDLE)
    for _ in range(2):
        with pytest.raises(JobStillRunning):
            client.service.remove_runner(1024, IDLE)
