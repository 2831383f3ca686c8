"""A replay, as a client sees it: recorded messages, counts and events, on runners that are there now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.demo_agent import AgentProcess, start_agent
from support.scale_set_client import ScaleSetClient

from runscaler.simulator.replay import player
from runscaler.testing.simulator import JobState, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEAD = {"kind": "journal", "scale_set": "my-runners"}
Json = dict[str, Any]


def message(number: int, *events: Json, **counts: int) -> Json:
    return {"kind": "message", "at": 1.0, "id": number, "statistics": counts, "events": list(events)}


@pytest.fixture
def replayed(tmp_path: Path) -> Iterator[Any]:
    """`replayed(entries…)`: a simulator that plays them, and a client that listens to it."""
    running: list[SimulatedGitHub] = []

    def start(*entries: Json) -> ScaleSetClient:
        path = tmp_path / "recording"
        path.write_text("".join(f"{json.dumps(one)}\n" for one in (HEAD, *entries)))
        github = SimulatedGitHub(threads=32, replay=path)
        github.start()
        running.append(github)
        return ScaleSetClient(github).ready()

    yield start
    for github in running:
        github.stop()


@pytest.fixture
def runner(tmp_path: Path) -> Callable[[ScaleSetClient], AgentProcess]:
    """Starts the demo agent of a runner."""
    return lambda client: start_agent(client.jit("runner-new").json()["encodedJITConfig"], tmp_path)


def test_messages_come_one_by_one_with_their_own_counts(replayed: Any) -> None:
    assigned = {"type": "JobAssigned", "job_id": "j", "display_name": "build"}
    client = replayed(message(1, assigned=3), message(2, assigned, assigned=1), {"kind": "session"})

    first = client.poll().json()
    again = client.poll().json()
    client.acknowledge(first["messageId"])
    second = client.poll().json()
    client.acknowledge(second["messageId"])
    third = client.poll().json()
    client.acknowledge(third["messageId"])
    (result,) = client.github.wait_for_replays()

    counts = [one["statistics"]["totalAssignedJobs"] for one in (first, second, third)]
    (event,) = json.loads(second["body"])
    assert again == first
    assert counts == [3, 1, 1]
    assert (event["messageType"], event["jobId"], event["jobDisplayName"]) == ("JobAssigned", "j", "build")
    assert (result.taken, result.messages, result.good) == (3, 3, True)


def test_a_job_begins_on_a_present_runner_and_ends_before_it_is_told(replayed: Any, runner: Any) -> None:
    """The runner is named as it is named now, and nothing else is told of it."""
    started = {"type": "JobStarted", "job_id": "j", "runner_id": 5, "runner_name": "of-old"}
    ended = {**started, "type": "JobCompleted", "result": "succeeded"}
    client = replayed(message(1, assigned=1), message(2, started), message(3, ended))
    client.take()
    agent = runner(client)
    (begun,) = client.take()
    (over,) = client.take()
    code, _ = agent.end()
    (result,) = client.github.wait_for_replays()

    (job,) = client.github.state().jobs
    assert (begun["messageType"], begun["runnerName"]) == ("JobStarted", "runner-new")
    assert (over["messageType"], over["runnerName"], over["result"]) == (
        "JobCompleted",
        "runner-new",
        "succeeded",
    )
    assert code == 0
    assert over["runnerId"] == begun["runnerId"] != 5
    assert (job.state, job.result) == (JobState.COMPLETED, "succeeded")
    assert (result.jobs, result.alone, client.has_news()) == (1, 0, False)


def test_without_a_runner_the_recorded_name_is_told(replayed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "RUNNER_SECONDS", 0.05)
    started = {"type": "JobStarted", "job_id": "j", "runner_name": "of-old"}
    client = replayed(message(1, started), message(2, {**started, "type": "JobCompleted"}))

    told = [event["runnerName"] for _ in range(2) for event in client.take()]
    (result,) = client.github.wait_for_replays()
    assert told == ["of-old", "of-old"]
    assert (result.jobs, result.alone, result.good) == (1, 1, True)
    assert str(result).endswith("1 jobs started, 1 of them without a runner; no rule broken")


def test_offered_jobs_can_be_acquired(replayed: Any) -> None:
    client = replayed(message(1, {"type": "JobAvailable", "job_id": "j", "request_id": 77}, available=1))
    (offer,) = client.take()

    assert client.acquire([offer["runnerRequestId"], 78]).json()["value"] == [77]
    assert client.github.violations() == ()


def test_a_client_that_breaks_a_rule_is_told_as_ever(replayed: Any) -> None:
    client = replayed(message(1, assigned=1))
    client.take()
    refused = client.acknowledge(999)
    (result,) = client.github.wait_for_replays()

    assert (refused.status_code, result.taken, result.good) == (404, 1, False)
    assert str(result).endswith("1 of 1 recorded messages taken; 0 jobs started; 1 violations")


def test_a_recording_waits_for_the_scale_set_of_its_name(replayed: Any) -> None:
    client = replayed(message(1, assigned=1))
    other = ScaleSetClient(client.github)
    other.log_in()
    other.create(name="others", labels=[{"name": "others", "type": "System"}])
    other.open_session()

    (job,) = client.github.queue_jobs("others")
    (assigned,) = other.take()
    assert assigned["jobId"] == job
