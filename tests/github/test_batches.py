"""Reading messages of the queue: faults F9, F11, F47, F49 to F51, F68."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.github.batches import batch
from runscaler.github.messages import Batch, JobAssigned, JobAvailable, JobCompleted, JobStarted, Statistics

COUNTS = {"totalAssignedJobs": 3, "totalRunningJobs": 1}
STARTED = {"messageType": "JobStarted", "jobId": "a", "runnerId": 7, "runnerName": "runner-0a1b2c3d"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def message(events: object, **other: object) -> Batch:
    return batch(
        {
            "messageId": 9,
            "messageType": "RunnerScaleSetJobMessages",
            "statistics": COUNTS,
            "body": events if isinstance(events, str | None) else json.dumps(events),
            **other,
        }
    )


def test_each_kind_of_job_message_becomes_its_event() -> None:
    kinds = ("JobAvailable", "JobAssigned", "JobStarted", "JobCompleted")

    read = message([{"messageType": kind, "jobId": kind, "runnerRequestId": 5} for kind in kinds])

    assert [type(event) for event in read.events] == [JobAvailable, JobAssigned, JobStarted, JobCompleted]
    assert [event.request_id for event in read.events] == [5, 5, 5, 5]
    assert read.problems == ()


@pytest.mark.parametrize("body", [None, "", "[]", "null"])
def test_a_message_without_job_messages_still_has_statistics(body: str | None) -> None:
    assert message(body) == Batch(9, Statistics(assigned=3, running=1))


def test_a_body_that_is_a_list_itself_is_read_all_the_same() -> None:
    read = batch({"messageId": 9, "body": [STARTED]})

    assert [event.job_id for event in read.events] == ["a"]
    assert read.statistics is None


def test_a_broken_element_does_not_spoil_its_neighbours() -> None:
    broken = [7, {"messageType": "JobStarted", "runnerName": 7}, {"messageType": "JobRetired"}, {}]

    read = message([STARTED, *broken, STARTED])

    assert len(read.events) == 2
    assert read.problems == (
        "job message 1: it is a number, not an object",
        "job message 2: runnerName is a number, not a string",
        "job message 3: unknown job message type 'JobRetired'",
        "job message 4: unknown job message type ''",
    )


ODD = [7, -1, 2.5, 1e300, "991", "text", "9" * 5000, True, [], ["x"], {}, {"a": [1]}, None]
INFORMATIVE = [
    *("repositoryName", "ownerName", "jobWorkflowRef", "jobDisplayName", "eventName", "result"),
    *("workflowRunId", "runnerId", "requestLabels"),
    *("queueTime", "scaleSetAssignTime", "runnerAssignTime", "finishTime"),
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:10])
@pytest.mark.parametrize("key", INFORMATIVE)
def test_an_informative_field_of_another_type_costs_nothing(key: str, value: object) -> None:
    odd = {**STARTED, "messageType": "JobCompleted", "runnerRequestId": 5, key: value}

    read = message([STARTED, odd, STARTED])

    assert read.problems == ()
    assert [event.job_id for event in read.events] == ["a", "a", "a"]
    assert (read.events[1].runner_name, read.events[1].request_id) == ("runner-0a1b2c3d", 5)


def test_informative_fields_are_read_leniently_where_their_meaning_is_plain() -> None:
    odd = {"workflowRunId": "991", "runnerId": 7.0, "requestLabels": "linux", "result": 0, "queueTime": 17e8}

    (event,) = message([{"messageType": "JobCompleted", "jobId": "a", **odd}]).events

    assert (event.run_id, event.runner_id, event.request_labels) == (991, 7, ("linux",))
    assert (event.result, event.queued_at) == ("", None)


@pytest.mark.parametrize(("value", "number"), [("101", 101), (101.0, 101), (None, 0), (2**62, 2**62)])
def test_a_request_id_may_be_a_string_of_digits(value: object, number: int) -> None:
    (event,) = message([{"messageType": "JobAvailable", "jobId": "a", "runnerRequestId": value}]).events

    assert event.request_id == number


@pytest.mark.parametrize(
    "deciding",
    [
        {"jobId": 7},
        {"runnerName": ["runner-0a1b2c3d"]},
        {"runnerRequestId": "many"},
        {"runnerRequestId": 2**64},
        {"runnerRequestId": True},
        {"messageType": 5},
    ],
    ids=str,
)
def test_a_deciding_field_of_another_type_costs_its_element_only(deciding: dict[str, object]) -> None:
    read = message([STARTED, {**STARTED, **deciding}, STARTED])

    assert [event.job_id for event in read.events] == ["a", "a"]
    assert len(read.problems) == 1


@pytest.mark.parametrize("body", ["{", '{"a":1}', "7", "[" * 100_000, '["\ud800"'])
def test_a_body_that_is_unreadable_as_a_whole_is_a_problem_in_a_readable_envelope(body: str) -> None:
    read = message(body)

    assert (read.id, read.events, len(read.problems)) == (9, (), 1)
    assert read.statistics == Statistics(assigned=3, running=1)


def test_the_outer_type_may_be_in_any_case() -> None:
    assert message([STARTED], messageType="runnerscalesetjobmessages").problems == ()


def test_an_unknown_outer_type_gives_its_statistics_only() -> None:
    read = message([STARTED], messageType="RunnerScaleSetNews")

    assert read.events == ()
    assert read.statistics == Statistics(assigned=3, running=1)
    assert read.problems == ("unknown message type 'RunnerScaleSetNews'",)


@pytest.mark.parametrize(
    "statistics",
    [{"totalAssignedJobs": -1}, {"totalAssignedJobs": 10**18}, {"totalAssignedJobs": "3"}, {}, [], "none"],
)
def test_absurd_statistics_are_unknown_and_said(statistics: object) -> None:
    read = message([STARTED], statistics=statistics)

    assert read.statistics is None
    assert len(read.events) == 1
    assert read.problems[0].startswith("statistics: ")


def test_missing_fields_the_year_one_and_unparsable_times_are_taken() -> None:
    odd = {"queueTime": "yesterday", "scaleSetAssignTime": "0001-01-01T00:00:00Z", "finishTime": 5}
    odd |= {"runnerAssignTime": "2026-01-02T03:04:16.1234567+01:00", "jobId": None}

    (event,) = message([{"messageType": "jobcompleted", **odd}]).events

    assert (event.job_id, event.runner_name, event.result) == ("", "", "")
    assert (event.queued_at, event.assigned_at, event.finished_at) == (None, None, None)
    assert event.runner_assigned_at == pytest.approx(1767319456.123456)


def test_keys_in_any_case_are_found() -> None:
    shouted = {"MESSAGETYPE": "JOBSTARTED", "jobid": "a", "RunnerID": 7, "runnername": "r"}

    read = batch({"MessageID": 9, "Statistics": {"TOTALASSIGNEDJOBS": 3}, "Body": json.dumps([shouted])})

    assert read == Batch(9, Statistics(assigned=3), (JobStarted("a", runner_id=7, runner_name="r"),))


@pytest.mark.parametrize(
    "envelope", [[], None, 7, {}, {"messageId": None}, {"messageId": "9"}, {"messageId": True}]
)
def test_an_envelope_without_an_id_is_unreadable(envelope: object) -> None:
    with pytest.raises(ValueError):
        batch(envelope)


def test_problems_are_one_line_escaped_short_and_few() -> None:
    read = message([{"messageType": "\n\x1b[31m" + "x" * 9000}] * 50)

    assert len(read.problems) == 11
    assert read.problems[-1] == "and 40 more"
    assert all(problem.isprintable() and len(problem) < 300 for problem in read.problems)


@given(JSON, JSON)
def test_any_content_in_a_readable_envelope_gives_a_batch(body: object, statistics: object) -> None:
    for content in (body, json.dumps(body)):
        read = batch({"messageId": 9, "body": content, "statistics": statistics})

        assert read.id == 9
        assert all("\n" not in problem for problem in read.problems)
