"""The journal of a scale set: a ring of messages and one of decisions, on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.daemon import wait_until
from support.planted import TOKEN

from runscaler.github.messages import JobStarted, Statistics
from runscaler.names import ScaleSetKey
from runscaler.ops.journal import ENTRIES, FILE_BYTES, JOURNAL, Journal, journal_files
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = ScaleSetKey("https://github.com/my-org", "default", "linux")
OTHER = ScaleSetKey("https://github.com/my-org", "default", "windows")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / JOURNAL, FakeClock())
    yield made
    made.close()


def write(journal: Journal, *messages: object) -> None:
    """Append messages with these ids, and write them."""
    for number in messages:
        journal.append(KEY, "message", {"id": number})
    journal.flush()


def read(state_dir: Path, kind: str) -> list[dict[str, object]]:
    """The entries of a kind, oldest first."""
    lines = [line for path in journal_files(state_dir) for line in path.read_text().splitlines()]
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_an_entry_says_what_github_told_without_what_it_did_not(tmp_path: Path, journal: Journal) -> None:
    event = JobStarted("job-1", request_id=7, repository="app", runner_name="runner-1")
    journal.append(KEY, "message", {"id": 5, "statistics": Statistics(assigned=2), "events": (event,)})
    journal.flush()

    (entry,) = read(tmp_path, "message")
    (head,) = read(tmp_path, "journal")
    told = {
        "type": "JobStarted",
        "job_id": "job-1",
        "request_id": 7,
        "repository": "app",
        "runner_name": "runner-1",
    }
    assert (entry["id"], entry["statistics"], entry["events"]) == (5, {"assigned": 2}, [told])
    assert isinstance(entry["at"], float)
    assert head == {
        "kind": "journal",
        "url": "https://github.com/my-org",
        "group": "default",
        "scale_set": "linux",
    }


def test_the_last_hundred_of_each_ring_are_always_there(tmp_path: Path, journal: Journal) -> None:
    for number in range(3 * ENTRIES + 1):
        journal.append(KEY, "plan", {"start": 1})
        journal.append(KEY, "state", {"state": "ok"})
        write(journal, number)
        kept = [entry["id"] for entry in read(tmp_path, "message")]
        assert kept[-ENTRIES:] == list(range(number + 1))[-ENTRIES:]
        assert len(kept) <= 2 * ENTRIES


def test_scale_sets_have_journals_of_their_own(tmp_path: Path, journal: Journal) -> None:
    for key in (KEY, OTHER):
        journal.append(key, "plan", {"start": 1})
    journal.flush()

    assert sorted(str(head["scale_set"]) for head in read(tmp_path, "journal")) == ["linux", "windows"]


def test_the_next_process_goes_on_where_the_last_one_was_killed(tmp_path: Path, journal: Journal) -> None:
    write(journal, 1)
    (path,) = journal_files(tmp_path)
    with path.open("a") as file:
        file.write('{"kind":"message","id":')
    for number in range(2, ENTRIES):
        again = Journal(tmp_path / JOURNAL, FakeClock())
        again.append(KEY, "message", {"id": number})
        again.close()

    lines = path.read_text().splitlines()
    assert (lines[2], len(lines)) == ('{"kind":"message","id":', ENTRIES + 1)
    assert json.loads(lines[-1])["id"] == ENTRIES - 1


def test_a_file_of_long_entries_is_bounded_too(tmp_path: Path, journal: Journal) -> None:
    for number in range(8):
        journal.append(KEY, "message", {"id": number, "problems": ["x" * FILE_BYTES]})
        journal.flush()

    assert [entry["id"] for entry in read(tmp_path, "message")] == [6, 7]


def test_secrets_are_masked_and_only_this_user_may_read_it(tmp_path: Path, journal: Journal) -> None:
    journal.append(KEY, "state", {"state": "degraded", "reason": f"refused: {TOKEN}"})
    journal.flush()

    (path,) = journal_files(tmp_path)
    assert read(tmp_path, "state")[0]["reason"] == "refused: ********"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_journal_that_cannot_be_written_is_said_once(
    tmp_path: Path, journal: Journal, log_lines: list[str]
) -> None:
    (tmp_path / JOURNAL).write_text("a file where the directory should be")
    for number in range(3):
        write(journal, number)

    assert len(log_lines) == 1
    assert "cannot write the journal of https://github.com/my-org default/linux" in log_lines[0]
    assert journal_files(tmp_path) == []


def test_a_link_in_the_place_of_a_file_is_not_followed(
    tmp_path: Path, journal: Journal, log_lines: list[str]
) -> None:
    write(journal, 1)
    (path,) = journal_files(tmp_path)
    (tmp_path / "precious").write_text("mine")
    path.unlink()
    path.symlink_to(tmp_path / "precious")
    write(journal, 2)

    assert (tmp_path / "precious").read_text() == "mine"
    assert len(log_lines) == 1


def test_of_many_messages_only_those_that_will_be_kept_are_written(tmp_path: Path, journal: Journal) -> None:
    write(journal, *range(5 * ENTRIES))

    assert [entry["id"] for entry in read(tmp_path, "message")] == list(range(4 * ENTRIES, 5 * ENTRIES))


def test_it_is_written_without_being_asked_and_at_the_end(tmp_path: Path, journal: Journal) -> None:
    journal.append(KEY, "message", {"id": 1})
    wait_until(lambda: read(tmp_path, "message"), "the first message in the file")
    journal.append(KEY, "message", {"id": 2})
    journal.close()
    journal.close()
    journal.append(KEY, "message", {"id": 3})
    journal.flush()

    assert [entry["id"] for entry in read(tmp_path, "message")] == [1, 2]
