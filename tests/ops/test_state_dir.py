from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from loguru import logger
from support.disk import full_disk

from runscaler.backends.base import Ending
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import HostError
from runscaler.github.base import ScaleSetId, SessionId
from runscaler.names import OWNER_ID, RunnerName, ScaleSetKey
from runscaler.ops.lock import is_held
from runscaler.ops.owner import machine_id, owner_without_state_dir, read_owner
from runscaler.ops.records import Registrations, SavedSession
from runscaler.ops.state_dir import StateDir, describe_ending, kept_output, open_state_dir
from runscaler.ops.state_path import candidates, config_identity, existing_state_dir
from runscaler.private_files import NotPrivate
from runscaler.testing.clock import FakeClock

KEY = ScaleSetKey.of("https://github.com/my-org", "default", 'set "x"')
OTHER = ScaleSetKey.of("https://github.com/my-org", "default", "other")
RUNNER = RunnerName("runner-0123abcd")


def encoded_jit(indent=None):
    """The shape of docs/protocol.md § 8.1."""
    content = base64.b64encode(b'{"AgentId": 7, "AgentName": "runner-0123abcd"}').decode()
    files = dict.fromkeys((".runner", ".credentials", ".credentials_rsaparams"), content)
    return base64.b64encode(json.dumps(files, indent=indent).encode()).decode()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "state"


@pytest.fixture
def state(path, clock):
    with StateDir.open(path, clock) as state:
        yield state


@pytest.fixture
def warnings():
    """Messages logged at warning or above during the test."""
    messages = []
    logger.enable("runscaler")
    sink = logger.add(lambda message: messages.append(str(message)), level="WARNING", format="{message}")
    yield messages
    logger.remove(sink)


def config_of(path=None, state_dir=None, name="builds"):
    settings = ScaleSetSettings(url="https://github.com/my-org", name=name, token=Secret("t"))
    return Config(path=path, state_dir=state_dir, scale_sets=(settings,))


# the lock

HOLDER = """
import sys
from pathlib import Path
from runscaler.clock import SystemClock
from runscaler.ops.state_dir import StateDir
sys.argv = ["/usr/bin/runner", "run", "--token", "s3" "cr3t"]
state = StateDir.open(Path(%r), SystemClock())
print(state.owner, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(path):
    """Another process that holds the directory."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER % str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("jit", [encoded_jit(), encoded_jit(indent=2), "ghs_" + "A1b2" * 9])
def test_a_printed_jit_configuration_is_masked_in_kept_output(state, jit):
    kept = state.keep_output(KEY, RUNNER, f"run.sh --jitconfig={jit} now\n'{jit}'\nbye".encode(), None)

    assert kept is not None
    text = kept.read_text()
    assert text.endswith("run.sh --jitconfig=******** now\n'********'\nbye")


def test_the_end_of_a_printed_jit_configuration_is_masked_too(state):
    kept = state.keep_output(KEY, RUNNER, f"{encoded_jit()[9:]}\nbye".encode(), None)

    assert kept is not None
    assert kept.read_text().endswith("\n********\nbye")


def test_a_second_daemon_is_told_which_process_holds_the_directory(path, clock, holder):
    with pytest.raises(HostError) as caught:
        StateDir.open(path, clock)

    assert str(caught.value) == f"state-dir {path} is in use by pid {holder.pid} (runner run)"
    assert caught.value.fixes
    assert is_held(path)


def test_the_lock_of_a_killed_process_is_free(path, clock, holder):
    holder.kill()
    holder.wait()

    assert not is_held(path)
    with StateDir.open(path, clock):
        pass


def test_two_in_one_process_exclude_each_other(state, path, clock):
    with pytest.raises(HostError, match=f"pid {os.getpid()} "):
        StateDir.open(path, clock)


def test_a_closed_state_dir_can_be_opened_again_and_closing_twice_is_harmless(path, clock):
    first = StateDir.open(path, clock)
    first.close()
    first.close()

    with StateDir.open(path, clock) as second:
        assert second.owner == first.owner


def test_a_full_disk_does_not_change_the_owner(path, clock, tmp_path):
    config = config_of(path=tmp_path / "runner.toml", state_dir=path)
    with StateDir.open(path, clock) as first:
        owner = first.owner
    (path / "holder.json").write_text('{"pid": 1, "program": "one that was killed"}')

    with full_disk():
        state, findings = open_state_dir(config, clock)

    with state, pytest.raises(HostError, match="in use by another process"):
        StateDir.open(path, clock)
    assert (state.owner, findings) == (owner, [])


def test_the_lock_is_released_even_if_the_holder_file_cannot_be_deleted(path, clock):
    state = StateDir.open(path, clock)
    (path / "holder.json").unlink()
    (path / "holder.json").mkdir()

    state.close()

    assert not is_held(path)


def test_an_unreadable_holder_file_means_another_process(state, path, clock):
    (path / "holder.json").write_text("[]")

    with pytest.raises(HostError, match="in use by another process"):
        StateDir.open(path, clock)


def test_a_directory_without_lock_file_is_not_held(tmp_path):
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


# the owner


def test_the_owner_is_created_once_and_readable_only_by_this_user(path, clock):
    with StateDir.open(path, clock) as first:
        owner = first.owner
    with StateDir.open(path, clock) as second:
        assert second.owner == owner

    assert OWNER_ID.match(owner)
    assert read_owner(path) == owner
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "owner").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("broken", [b"", b"\xff\xfe", b"0123", b"not an owner at all, but long enough"])
def test_an_invalid_owner_is_replaced_with_a_warning_and_kept(path, clock, warnings, broken):
    path.mkdir(parents=True)
    (path / "owner").write_bytes(broken)

    with StateDir.open(path, clock) as state:
        assert OWNER_ID.match(state.owner)

    assert [file.read_bytes() for file in path.glob("owner.broken-*")] == [broken]
    assert any("held no valid owner id" in text for text in warnings)


def test_without_a_state_dir_the_owner_depends_on_machine_and_configuration():
    owner = owner_without_state_dir("machine", "/etc/runner/config.toml")

    assert OWNER_ID.match(owner)
    assert owner == owner_without_state_dir("machine", "/etc/runner/config.toml")
    assert owner != owner_without_state_dir("machine", "/etc/runner/other.toml")
    assert owner != owner_without_state_dir("another", "/etc/runner/config.toml")


def test_a_machine_has_an_id_even_without_systemd(tmp_path):
    named = tmp_path / "machine-id"
    named.write_text("abc\n")

    assert machine_id([tmp_path / "missing", named]) == "abc"
    assert machine_id([]) == machine_id([])


# sessions


def test_a_saved_session_is_there_for_the_next_daemon(path, clock):
    session = SavedSession(ScaleSetId(7), SessionId("abc"))
    with StateDir.open(path, clock) as first:
        first.sessions.save(KEY, SavedSession(ScaleSetId(7), SessionId("older")))
        first.sessions.save(KEY, session)

    with StateDir.open(path, clock) as second:
        assert second.sessions.load(KEY) == session
        assert second.sessions.load(OTHER) is None
        second.sessions.clear(KEY)
        second.sessions.clear(KEY)
        assert second.sessions.load(KEY) is None


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"scale_set_id": "x", "session_id": 1}', "\x00"])
def test_an_invalid_session_record_counts_as_none(state, path, warnings, broken):
    state.sessions.save(KEY, SavedSession(ScaleSetId(7), SessionId("abc")))
    (file,) = (path / "sessions").iterdir()
    file.write_text(broken)

    assert state.sessions.load(KEY) is None
    assert len(warnings) == 1


# created scale sets


def test_what_was_created_is_known_to_the_next_daemon(path, clock):
    with StateDir.open(path, clock) as first:
        first.created.save(OTHER, ScaleSetId(8))
        first.created.save(KEY, ScaleSetId(6))
        first.created.save(KEY, ScaleSetId(7))

    with StateDir.open(path, clock) as second:
        assert (second.created.load(KEY), second.created.load(OTHER)) == (7, 8)
        assert second.created.keys() == sorted([KEY, OTHER])
        second.created.clear(KEY)
        second.created.clear(KEY)
        assert (second.created.load(KEY), second.created.keys()) == (None, [OTHER])


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"url": "x"}', "\x00"])
def test_an_invalid_record_of_a_creation_counts_as_none(state, path, warnings, broken):
    state.created.save(KEY, ScaleSetId(7))
    (file,) = (path / "scale-sets").iterdir()
    file.write_text(broken)

    assert (state.created.load(KEY), state.created.keys()) == (None, [])
    assert len(warnings) == 2


# kept output


def test_the_end_of_a_failed_runners_output_is_kept_below_a_header(state, path):
    kept = state.keep_output(KEY, RUNNER, b"x" * 70_000 + b"the end", Ending(exit_code=7))

    head, _, tail = kept.read_bytes().partition(b"\n")
    assert head.startswith(b"# runner-0123abcd of ")
    assert b"exit code 7, the last 64 KiB" in head
    assert len(tail) == 64 * 1024
    assert tail.endswith(b"the end")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept_output(path, RUNNER) == kept.read_bytes()


def test_what_a_killed_daemon_was_writing_is_removed_by_the_next(state, path, clock):
    state.keep_output(KEY, RUNNER, b"it failed", None)
    state.close()
    for folder in (path, path / "logs"):
        (folder / ".half-written.json-0a1b2c3_").write_text("half")

    with StateDir.open(path, clock):
        assert [one.name for one in path.rglob(".half*")] == []
        assert len(list((path / "logs").iterdir())) == 1


def test_the_bound_is_for_all_scale_sets_together(state, path, clock):
    for number in range(60):
        clock.advance(1)
        state.keep_output((KEY, OTHER)[number % 2], RUNNER, b"x" * 100_000, None)

    files = list((path / "logs").iterdir())
    assert len(files) == 50
    assert sum(one.stat().st_size for one in files) <= 50 * (64 * 1024 + 200)


def test_the_newest_fifty_outputs_are_kept(state, path, clock):
    for number in range(60):
        clock.advance(1)
        state.keep_output(KEY, RunnerName(f"runner-{number:08x}"), b"", None)

    assert len(list((path / "logs").iterdir())) == 50
    assert kept_output(path, "runner-00000009") is None
    assert kept_output(path, "runner-0000000a") is not None
    assert kept_output(path, f"runner-{59:08x}") is not None


def test_output_kept_after_the_clock_was_set_back_is_not_deleted(state, clock):
    kept = []
    for _ in range(50):
        clock.advance(1.0)
        kept.append(state.keep_output(KEY, RUNNER, b"", None))
    clock.advance(-3600.0)

    newest = state.keep_output(KEY, RUNNER, b"", None)

    assert newest.exists()
    assert sum(path.exists() for path in kept) == 49


def test_output_that_cannot_be_kept_harms_nothing(state, path, warnings):
    (path / "logs").write_text("in the way")

    assert state.keep_output(KEY, RUNNER, b"output", None) is None
    assert len(warnings) == 1
    assert kept_output(path, RUNNER) is None


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (None, "it vanished"),
        (Ending(), "exit code unknown"),
        (Ending(exit_code=0), "exit code 0"),
        (Ending(signal=9, out_of_memory=True), "signal 9, out of memory"),
    ],
)
def test_an_ending_is_described_in_words(ending, text):
    assert describe_ending(ending) == text


def test_a_batch_is_set_aside_with_the_reason(state):
    kept = state.set_aside(KEY, 12, '{"messageId": 12}', "KeyError: 'x'")

    text = kept.read_text()
    assert '"batch": 12' in text
    assert "KeyError: 'x'" in text


# the path


def test_each_configuration_has_its_own_directory_in_the_default_location(tmp_path):
    first = candidates(config_of(tmp_path / "config.toml"), {}, is_root=True)
    second = candidates(config_of(tmp_path / "other" / "config.toml"), {}, is_root=True)

    assert first[0].parent == Path("/var/lib/runscaler")
    assert re.fullmatch(r"config-[0-9a-f]{8}", first[0].name)
    assert first[0] != second[0]
    assert first[1].parent == tmp_path / ".runscaler"


def test_the_default_location_is_the_users_or_that_of_systemd(tmp_path):
    config = config_of(tmp_path / "config.toml")

    assert candidates(config, {}, is_root=False)[0].is_relative_to(Path.home())
    given = {"STATE_DIRECTORY": "/var/lib/runner:/var/lib/more"}
    assert candidates(config, given, is_root=True)[0].parent == Path("/var/lib/runner")


def test_without_a_file_urls_and_names_identify_a_configuration():
    assert config_identity(config_of(name="a")) != config_identity(config_of(name="b"))
    (only,) = candidates(config_of(name="Größe 1"), {}, is_root=True)
    assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{8}", only.name)


def test_a_fallback_directory_is_used_with_a_warning(tmp_path, clock, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file"))
    config = config_of(tmp_path / "config.toml")

    state, (finding,) = open_state_dir(config, clock)

    assert state.path.parent == tmp_path / ".runscaler"
    assert str(tmp_path / "file") in finding.message
    assert finding.level == "warning"
    assert existing_state_dir(config) == state.path
    state.close()


def test_the_preferred_directory_is_used_without_a_warning(tmp_path, clock, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    config = config_of(tmp_path / "config.toml")
    assert existing_state_dir(config) is None

    state, findings = open_state_dir(config, clock)

    assert findings == []
    assert state.path.parent == tmp_path
    state.close()


def test_without_any_usable_directory_there_is_no_state_dir(tmp_path, clock, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file"))

    state, (finding,) = open_state_dir(config_of(), clock)

    assert state is None
    assert finding.level == "warning"
    assert "no admin socket" in finding.message


def test_a_configured_directory_must_be_usable(tmp_path, clock):
    (tmp_path / "file").touch()

    with pytest.raises(HostError, match="state-dir cannot be used"):
        open_state_dir(config_of(state_dir=tmp_path / "file" / "state"), clock)


def test_a_locked_directory_is_an_error_and_no_reason_for_a_fallback(tmp_path, clock, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    config = config_of(tmp_path / "config.toml")
    state, _ = open_state_dir(config, clock)

    with pytest.raises(HostError, match="in use by pid"):
        open_state_dir(config, clock)

    state.close()


def test_noted_registrations_survive_the_process_until_they_are_cleared(path, clock):
    with StateDir.open(path, clock) as first:
        first.registrations.note(KEY, RUNNER)
        first.registrations.note(KEY, RUNNER)
    with StateDir.open(path, clock) as second:
        assert (second.registrations.noted(KEY), second.registrations.noted(OTHER)) == ([RUNNER], [])
        second.registrations.clear(KEY, RUNNER)
        second.registrations.clear(KEY, RUNNER)
        assert second.registrations.noted(KEY) == []


def test_registrations_that_cannot_be_noted_cause_only_a_warning(tmp_path):
    (tmp_path / "registrations").write_text("in the way")
    registrations = Registrations(tmp_path / "registrations")
    registrations.note(KEY, RUNNER)
    registrations.clear(KEY, RUNNER)
    assert registrations.noted(KEY) == []


# what somebody else had a hand in


def test_a_directory_that_is_not_ours_alone_is_refused_with_the_cure(tmp_path, clock):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    with pytest.raises(HostError, match="state-dir cannot be used: others may write to") as caught:
        open_state_dir(config_of(state_dir=shared), clock)

    assert caught.value.fixes == (f"chmod go-w {shared}",)


def test_it_is_no_reason_for_a_fallback_which_would_have_another_owner(tmp_path, clock, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "var"))
    config = config_of(path=tmp_path / "config.toml")
    (first, _) = candidates(config)
    first.mkdir(parents=True)
    first.chmod(0o777)

    with pytest.raises(HostError, match="others may write to"):
        open_state_dir(config, clock)


def test_planted_logs_are_neither_written_nor_pruned(path, clock, tmp_path):
    with StateDir.open(path, clock):
        pass
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1-precious").touch()
    (path / "logs").symlink_to(outside)

    with pytest.raises(NotPrivate, match="logs is a symbolic link"):
        StateDir.open(path, clock)

    assert [one.name for one in outside.iterdir()] == ["1-precious"]


def test_a_lock_that_is_a_link_to_another_file_empties_nothing(path, clock, tmp_path):
    with StateDir.open(path, clock):
        pass
    precious = tmp_path / "precious"
    precious.write_text("content")
    (path / "lock").unlink(missing_ok=True)
    (path / "lock").hardlink_to(precious)

    with pytest.raises(NotPrivate, match="hard link"):
        StateDir.open(path, clock)

    assert precious.read_text() == "content"


@pytest.mark.parametrize("name", ["/etc/passwd", "../owner", "a/b", "runner-xyz"])
def test_a_name_from_a_label_is_never_a_path(state, path, tmp_path, warnings, name):
    """Of a container that somebody else has labelled as ours."""
    victim = tmp_path / "victim"
    victim.touch()
    runner = RunnerName(str(victim) if name == "/etc/passwd" else name)
    (path / "registrations").mkdir()

    state.registrations.note(KEY, runner)
    state.registrations.clear(KEY, runner)

    assert victim.exists()
    assert state.registrations.noted(KEY) == []
    assert all("is no name that we give" in line for line in warnings)
    assert len(warnings) == 2


ABSURD = [
    b"",
    b"[]",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"scale_set_id": ' + b"9" * 5000 + b"}",
    b"\xff",
    b"null",
    b" " * 70_000,
]


@pytest.mark.parametrize("content", ABSURD, ids=lambda it: repr(it[:12]))
def test_files_with_absurd_content_count_as_none(state, path, clock, warnings, content):
    state.sessions.save(KEY, SavedSession(ScaleSetId(7), SessionId("s-1")))
    state.created.save(KEY, ScaleSetId(7))
    for folder in ("sessions", "scale-sets"):
        (file,) = (path / folder).iterdir()
        file.write_bytes(content)

    assert state.sessions.load(KEY) is None
    assert state.created.load(KEY) is None
    assert state.created.keys() == []
    assert all(len(line) < 500 for line in warnings)


@pytest.mark.parametrize("session", ["../../x", "a/b", "", "x" * 200, "a?b"])
def test_a_session_id_that_is_none_reaches_no_url(state, path, session):
    state.sessions.save(KEY, SavedSession(ScaleSetId(7), SessionId(session)))

    assert state.sessions.load(KEY) is None
