"""`runner update` against a release host on loopback: a working executable stays in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.missing import missing
from support.releases import (
    ARCHIVE,
    FOREVER,
    ReleaseServer,
    archive_of,
    crashing,
    member,
    program,
    zeros,
)
from support.wire_server import answer, hang_up, head

import runscaler

OLD = program(runscaler.__version__)


@pytest.fixture
def releases(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ReleaseServer() as server:
        monkeypatch.setenv("RUNNER_RELEASES", server.address)
        yield server


@pytest.fixture
def executable(tmp_path, monkeypatch):
    """The single-file executable that this program seems to be."""
    path = tmp_path / "bin" / "runner"
    path.parent.mkdir()
    path.write_bytes(OLD)
    path.chmod(0o750)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(path))
    return path


def version_of(executable: Path) -> str:
    return json.loads(
        subprocess.run([executable, "version", "--json"], capture_output=True, check=True).stdout
    )["version"]


def assert_unchanged(executable: Path) -> None:
    assert executable.read_bytes() == OLD
    assert version_of(executable) == runscaler.__version__
    assert [path.name for path in executable.parent.iterdir()] == ["runner"]


def test_check_says_what_is_newer_and_changes_nothing(runner, releases, executable):
    releases.publish("0.2.0")

    ended = runner("update", "--check")

    assert ended.code == 0
    assert ended.out == f"this is {runscaler.__version__}; the newest release is 0.2.0\n  → runner update\n"
    assert_unchanged(executable)


def test_check_as_json(runner, releases, executable):
    releases.publish("0.2.0")

    assert runner("update", "--check", "--json").json == {
        "current": runscaler.__version__,
        "release": "0.2.0",
        "due": True,
        "updated": False,
        "installed_by": "executable",
        "path": str(executable),
        "commands": ["runner update"],
    }


def test_the_newest_release_takes_the_place_of_the_executable(runner, releases, executable):
    releases.publish("0.9.0")
    releases.publish("0.10.0")
    releases.publish("0.2.0")

    ended = runner("update")

    assert ended.code == 0, ended.err
    assert version_of(executable) == "0.10.0"
    assert executable.stat().st_mode & 0o7777 == 0o750
    assert f"{executable} is 0.10.0 now, it was {runscaler.__version__}" in ended.out
    assert "until it is restarted" in ended.out
    assert [path.name for path in executable.parent.iterdir()] == ["runner"]


def test_a_link_to_the_executable_stays_a_link(runner, releases, executable, monkeypatch, tmp_path):
    link = tmp_path / "runner"
    link.symlink_to(executable)
    monkeypatch.setattr(sys, "executable", str(link))
    releases.publish("0.2.0")

    assert runner("update").code == 0

    assert link.is_symlink()
    assert version_of(executable) == "0.2.0"


def test_what_is_updated_as_json(runner, releases, executable):
    releases.publish("0.2.0")

    ended = runner("update", "--json")

    assert ended.json["updated"] is True
    assert ended.err == ""


@pytest.mark.parametrize(
    ("published", "said"),
    [
        ([], "there is no release yet"),
        ([runscaler.__version__], "the newest release"),
        (["0.0.9"], "newer than the newest release, 0.0.9"),
        (["0.2.0-rc.1", "0.0.9"], "newer than the newest release, 0.0.9"),
    ],
)
def test_nothing_is_done_without_a_newer_release(runner, releases, executable, published, said):
    for version in published:
        releases.publish(version)

    ended = runner("update")

    assert ended.code == 0
    assert said in ended.out
    assert_unchanged(executable)


def test_drafts_and_what_is_marked_as_a_pre_release_do_not_count(runner, releases, executable):
    releases.publish("0.3.0", draft=True)
    releases.publish("0.4.0", prerelease=True)

    assert "there is no release yet" in runner("update").out


@pytest.mark.parametrize("to", ["0.0.9", "v0.0.9", "0.2.0-rc.1"])
def test_any_version_can_be_named_and_needs_no_list(runner, releases, executable, to):
    releases.publish(to.removeprefix("v"))

    ended = runner("update", "--to", to)

    assert ended.code == 0, ended.err
    assert version_of(executable) == to.removeprefix("v")
    assert releases.wire.requests("GET", "/api/") == []


def test_a_version_that_does_not_exist_is_one_clear_line(runner, releases, executable):
    ended = runner("update", "--to", "7.0.0")

    assert ended.code == 1
    assert "could not get checksums.txt of v7.0.0" in ended.err
    assert "404" in ended.err
    assert_unchanged(executable)


@pytest.mark.parametrize("words", [["--to", "newest"], ["--to", "../1.0.0"], ["--check", "--to", "1.0.0"]])
def test_wrong_usage(runner, executable, words):
    assert runner("update", *words).code == 2


def test_no_credential_is_sent(runner, releases, executable, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login octocat password s3cr3t\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("GITHUB_TOKEN", "s3cr3t")
    releases.publish("0.2.0")

    assert runner("update").code == 0

    assert [
        seen for seen in releases.wire.seen if "authorization" in seen.headers or "cookie" in seen.headers
    ] == []


GOOD = archive_of((member(), program("0.2.0")))
BROKEN_OFF = head(200, {"Content-Length": str(len(GOOD))}) + GOOD[:100]


@pytest.mark.parametrize(
    ("published", "why"),
    [
        ({"checksum": "0" * 64}, "has the checksum"),
        ({"checksum": "nonsense"}, "no checksum"),
        ({"serve": hang_up(BROKEN_OFF)}, "broke off"),
        ({"serve": hang_up(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD[:100])}, "has the checksum"),
        ({"serve": answer(None, 404)}, "answered 404"),
        ({"serve": answer(None, 302, {"Location": "file:///etc/passwd"})}, "not safe to follow"),
        ({"serve": answer(None, 302)}, "not safe to follow"),
        ({"serve": hang_up(head(200, {"Content-Length": str(2**40)}))}, "broke off"),
        ({"archive": b"no archive"}, "the archive is damaged"),
        ({"archive": GOOD[:100]}, "the archive is damaged"),
        ({"archive": archive_of()}, "does not hold the file runner"),
        ({"archive": archive_of((member("../runner"), OLD))}, "something else than the file runner"),
        ({"archive": archive_of((member("/tmp/runner"), OLD))}, "something else than the file runner"),
        ({"archive": archive_of((member("runner", tarfile.SYMTYPE, "/bin/sh"), b""))}, "something else"),
        ({"archive": archive_of((member("runner", tarfile.LNKTYPE, "/bin/sh"), b""))}, "something else"),
        ({"archive": archive_of((member("runner", tarfile.DIRTYPE), b""))}, "something else"),
        ({"archive": archive_of((member("runner", tarfile.GNUTYPE_SPARSE), b""))}, "something else"),
        ({"archive": archive_of((member(), OLD), (member("more"), b""))}, "something else"),
        ({"archive": zeros(3)}, "more than 2 MiB"),
        ({"executable": crashing()}, "`version` ended with 127 (libfoo.so.1: not found)"),
        ({"executable": b"\0\0\0\0"}, "cannot be run here"),
        ({"executable": program("0.3.0")}, "says that it is another version"),
        ({"executable": b"#!/bin/sh\necho no JSON\n"}, "says that it is another version"),
    ],
)
def test_whatever_is_wrong_with_a_release_the_old_executable_stays(
    runner, releases, executable, monkeypatch, published, why
):
    monkeypatch.setattr("runscaler.ops.update.archive.MAX_EXECUTABLE", 2 * 2**20)
    releases.publish("0.2.0", **published)

    ended = runner("update")

    assert ended.code == 1
    assert why in ended.err
    assert "Traceback" not in ended.err
    assert_unchanged(executable)


def test_a_new_executable_that_hangs_is_ended(runner, releases, executable, monkeypatch):
    monkeypatch.setattr("runscaler.ops.update.executable.ANSWER_SECONDS", 0.2)
    releases.publish("0.2.0", b"#!/bin/sh\nexec sleep 600\n")

    ended = runner("update")

    assert (ended.code, "does not answer" in ended.err) == (1, True)
    assert_unchanged(executable)


def test_an_archive_that_never_ends_is_broken_off(runner, releases, executable, monkeypatch):
    monkeypatch.setattr("runscaler.ops.update.release_host.MAX_ARCHIVE", 50)
    releases.publish("0.2.0")

    assert "larger than" in runner("update").err
    assert_unchanged(executable)


def test_redirects_to_other_hosts_are_followed(runner, releases, executable):
    """As GitHub keeps the files elsewhere; there is no credential that could get there."""
    elsewhere = f"http://localhost:{releases.wire.host.rpartition(':')[2]}/files"
    releases.wire.on("GET", f"/files/{ARCHIVE}", answer(GOOD))
    releases.publish("0.2.0", archive=GOOD, serve=answer(None, 302, {"Location": f"{elsewhere}/{ARCHIVE}"}))

    assert runner("update").code == 0
    assert version_of(executable) == "0.2.0"


def test_redirects_without_end_are_an_error(runner, releases, executable):
    again = f"{releases.address}/download/v0.2.0/{ARCHIVE}"
    releases.publish("0.2.0", serve=answer(None, 302, {"Location": again}))

    assert "more than 3 redirects" in runner("update").err
    assert_unchanged(executable)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"<html>", "is no JSON"),
        ({"message": "no"}, "is no list"),
        ([5, {}, {"tag_name": 7}, {"tag_name": "nightly"}], "there is no release yet"),
    ],
)
def test_a_list_of_anything_is_no_crash(runner, releases, executable, value, said):
    releases.lists(value)

    ended = runner("update")

    assert said in ended.out + ended.err
    assert_unchanged(executable)


def test_a_rate_limit_says_how_to_do_without_the_list(runner, releases, executable):
    releases.wire.rules.clear()
    releases.wire.on("GET", "/api/v3/", answer({}, 403, {"X-RateLimit-Remaining": "0"}), times=FOREVER)

    ended = runner("update")

    assert ended.code == 1
    assert "runner update --to VERSION" in ended.err


def test_a_host_that_is_away_is_one_clear_line(runner, executable, monkeypatch):
    monkeypatch.setenv("RUNNER_RELEASES", "http://127.0.0.1:9/o/r/releases")

    ended = runner("update")

    assert ended.code == 1
    assert "127.0.0.1:9 refused the connection" in ended.err
    assert_unchanged(executable)


def test_a_bad_release_address_is_one_clear_line(runner, executable, monkeypatch):
    monkeypatch.setenv("RUNNER_RELEASES", "ftp://x")

    assert "RUNNER_RELEASES is no address" in runner("update").err


def test_without_the_right_to_write_nothing_is_downloaded(releases, tmp_path):
    """As another user than root, for whom rights do not count."""
    if os.geteuid() != 0:
        missing("root, to run a program as another user")
    releases.publish("0.2.0")
    folder = Path("/var/lib") / f"runscaler-test-{os.getpid()}"
    folder.mkdir()
    try:
        path = folder / "runner"
        path.write_bytes(OLD)
        path.chmod(0o755)
        ended = as_nobody(path, releases.address)

        assert ended.returncode == 1, ended.stdout
        assert f"no right to write to {folder}" in ended.stderr
        assert "with sudo" in ended.stderr
        assert_unchanged(path)
        assert releases.wire.requests("GET", "/download/") == []
    finally:
        path.unlink()
        folder.rmdir()


UPDATE_AS_NOBODY = """
import os, sys
import requests
from runscaler.cli import execute
from runscaler.ops.update import executable, installation, release_host
from runscaler.cli import update, console, signals
os.setgid(65534); os.setuid(65534)
sys.frozen, sys.executable = True, sys.argv[1]
sys.exit(execute(["update"]))
"""


def as_nobody(executable: Path, address: str) -> subprocess.CompletedProcess[str]:
    """`runner update`, imported before the rights are dropped: another user may not read this package."""
    return subprocess.run(
        [sys.executable, "-c", UPDATE_AS_NOBODY, str(executable)],
        capture_output=True,
        text=True,
        env={"RUNNER_RELEASES": address, "PATH": os.environ["PATH"]},
        timeout=60,
        check=False,
    )


def test_what_a_killed_update_left_is_removed_later(runner, releases, executable):
    old, new = (executable.parent / f".runner-update-{name}" for name in ("old", "new"))
    for path in (old, new):
        path.mkdir()
        (path / "runner").touch()
    os.utime(old, (0, 0))
    releases.publish("0.2.0")

    assert runner("update").code == 0

    assert not old.exists()
    assert new.exists(), "another update may be under way"


def test_what_another_tool_installed_is_left_to_it(runner, releases):
    releases.publish("0.2.0")

    ended = runner("update")

    assert ended.code == 1
    assert f"{runscaler.__version__} is to become 0.2.0, but " in ended.err
    assert "run: " in ended.err
    assert releases.wire.requests("GET", "/download/") == []


def test_check_names_the_command_of_another_tool(runner, releases, monkeypatch):
    monkeypatch.setenv("RUNNER_CONTAINER", "1")
    releases.publish("0.2.0")

    ended = runner("update", "--check")

    assert ended.code == 0
    assert "docker compose pull && docker compose up --detach" in ended.out
