"""Reading what a journal recorded, from anybody's file."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from runscaler.github.messages import JobAvailable, JobCompleted, JobStarted, Statistics
from runscaler.simulator.replay.recording import BadRecording, read_recordings

if TYPE_CHECKING:
    from pathlib import Path

HEAD = {"kind": "journal", "scale_set": "linux"}


def message(number: int, at: float = 0.0, *events: dict[str, object], **counts: int) -> dict[str, object]:
    return {"kind": "message", "at": at, "id": number, "statistics": counts, "events": list(events)}


def event(kind: str, job: str = "job-1", **more: object) -> dict[str, object]:
    return {"type": kind, "job_id": job, **more}


def write(path: Path, *entries: object) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in entries))
    return path


def pack(path: Path, files: dict[str, Path]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, file in files.items():
            archive.add(file, name)
    return path


def test_messages_come_back_as_they_were_with_shorter_pauses(tmp_path: Path) -> None:
    facts = {"request_id": 7, "runner_name": "runner-1", "request_labels": ["a", "b"], "queued_at": 5.5}
    started = event("JobStarted", **facts)
    file = write(
        tmp_path / "x.jsonl",
        HEAD,
        message(1, 100.0, assigned=1),
        message(2, 100.25, started, running=1),
        message(3, 900.0),
    )

    (recording,) = read_recordings(file)

    labels = ("a", "b")
    known = JobStarted("job-1", 7, request_labels=labels, queued_at=5.5, runner_name="runner-1")
    assert (recording.scale_set, recording.skipped, recording.offers) == ("linux", 0, False)
    assert [one.pause for one in recording.messages] == [0.0, 0.25, 1.0]
    assert [one.statistics for one in recording.messages] == [
        Statistics(assigned=1),
        Statistics(running=1),
        Statistics(),
    ]
    assert [one.events for one in recording.messages] == [(), (known,), ()]


def test_a_message_that_was_delivered_again_is_played_once(tmp_path: Path) -> None:
    file = write(tmp_path / "x", HEAD, message(1), message(1), message(2), {"kind": "session"}, message(2))

    assert len(read_recordings(file)[0].messages) == 4


def test_a_ring_is_read_from_both_its_files(tmp_path: Path) -> None:
    write(tmp_path / "a.messages.old.jsonl", HEAD, message(1, available=1))
    newer = write(tmp_path / "a.messages.jsonl", HEAD, message(2, available=2))

    counts = [one.statistics for one in read_recordings(newer)[0].messages]
    assert counts == [Statistics(available=1), Statistics(available=2)]


def test_an_archive_holds_the_recordings_of_all_its_scale_sets(tmp_path: Path) -> None:
    files = {
        "r/journal/a.messages.old.jsonl": write(tmp_path / "1", HEAD, message(1)),
        "r/journal/a.messages.jsonl": write(tmp_path / "2", HEAD, message(2)),
        "r/journal/a.decisions.jsonl": write(tmp_path / "3", HEAD, {"kind": "plan"}),
        "r/journal/b.messages.jsonl": write(tmp_path / "4", {**HEAD, "scale_set": "mac"}, message(1)),
        "r/log.txt": write(tmp_path / "5", "nothing"),
    }
    read = read_recordings(pack(tmp_path / "r.tar.gz", files))

    assert [(one.scale_set, len(one.messages)) for one in read] == [("linux", 2), ("mac", 1)]


def test_a_job_runs_as_long_as_the_replay_takes_from_its_start_to_its_end(tmp_path: Path) -> None:
    file = write(
        tmp_path / "x",
        HEAD,
        message(1, 0.0, event("JobStarted")),
        message(2, 0.5, event("JobStarted", "job-2")),
        message(3, 60.0, event("JobCompleted")),
        message(4, 60.25),
    )
    (recording,) = read_recordings(file)

    assert [recording.seconds_run(job) for job in ("job-1", "job-2", "job-3")] == [1.5, 1.25, 0.0]


def test_offers_are_told_apart_from_assigned_jobs(tmp_path: Path) -> None:
    file = write(tmp_path / "x", HEAD, message(1, 0.0, event("JobAvailable", request_id=3)))

    (recording,) = read_recordings(file)
    assert recording.offers
    assert recording.messages[0].events == (JobAvailable("job-1", 3),)


@pytest.mark.parametrize(
    "bad",
    [
        {"result": 5, "runner_id": "x", "runner_name": None, "request_id": -1},
        {"runner_id": 10**300, "request_id": True, "display_name": ["x"], "queued_at": "x"},
        {"queued_at": 10**300, "finished_at": -1, "assigned_at": float("nan"), "request_labels": {"a": 1}},
    ],
)
def test_values_of_another_type_or_size_are_left_out(tmp_path: Path, bad: dict[str, object]) -> None:
    file = write(tmp_path / "x", HEAD, message(1, 0.0, event("JobCompleted", **bad), event("Strange"), {}))

    assert read_recordings(file)[0].messages[0].events == (JobCompleted("job-1"),)


def test_lines_that_are_no_entries_are_skipped_and_counted(tmp_path: Path) -> None:
    deep = "[" * 100_000
    broken = message(2) | {"statistics": [], "events": "x", "at": "then"}
    file = write(tmp_path / "x", HEAD, "{", deep, "5", {"kind": "strange"}, "9" * 5000, message(1), broken)

    (recording,) = read_recordings(file)
    assert (recording.skipped, len(recording.messages)) == (5, 2)
    assert (recording.messages[1].statistics, recording.messages[1].events) == (None, ())


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\x00\x00", b"\x00\xff" * 1000, b"hello\n"])
def test_a_file_without_a_message_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(BadRecording, match=r"x (holds no recorded message|cannot be read)"):
        read_recordings(tmp_path / "x")


def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    whole = pack(tmp_path / "whole.tar.gz", {"r/a.messages.jsonl": write(tmp_path / "1", HEAD, message(1))})
    content = whole.read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[: len(content) // 2])

    with pytest.raises(BadRecording, match=r"cut\.tar\.gz"):
        read_recordings(tmp_path / "cut.tar.gz")


def test_an_archive_with_wrong_bytes_is_refused(tmp_path: Path) -> None:
    whole = pack(tmp_path / "whole.tar.gz", {"r/a.messages.jsonl": write(tmp_path / "1", HEAD, message(1))})
    content = bytearray(whole.read_bytes())
    content[20:60] = b"\xff" * 40
    (tmp_path / "wrong.tar.gz").write_bytes(content)

    with pytest.raises(BadRecording, match=r"wrong\.tar\.gz"):
        read_recordings(tmp_path / "wrong.tar.gz")
