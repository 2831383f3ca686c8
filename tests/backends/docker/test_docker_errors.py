from __future__ import annotations

import errno

import pytest
import requests
from docker.errors import APIError, InvalidVersion
from urllib3.exceptions import ProtocolError

from runscaler.backends.docker.errors import is_read_timeout, registry_error, status, translated
from runscaler.errors import BackendDown, BackendError, ImageMissing

ENGINE = "unix:///run/docker.sock"
DOING = "start container runner-0011aabb of image a:1"


def refusal(code: int, words: str) -> APIError:
    response = requests.Response()
    response.status_code = code
    return APIError("no", response=response, explanation=words)


def wrapped(cause: BaseException) -> requests.ConnectionError:
    """As requests and urllib3 hide a cause: in the arguments."""
    return requests.ConnectionError(ProtocolError("Connection aborted.", cause))


@pytest.mark.parametrize(
    ("cause", "line", "fix"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file"), "socket .* does not exist", "start docker"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission", "docker group"),
        (PermissionError(errno.EPERM, "Not permitted"), "no permission", "docker group"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Refused"), "nothing listens", "start docker"),
        (TimeoutError("timed out"), "does not answer in time", "journalctl"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_down_with_reason_and_cure(cause, line, fix):
    error = translated(wrapped(cause), DOING, ENGINE)

    assert isinstance(error, BackendDown)
    assert str(error).startswith(f"cannot {DOING}: ")
    assert ENGINE in str(error)
    assert any(fix in one for one in error.fixes)
    with pytest.raises(BackendDown, match=line):
        raise error


def test_an_engine_behind_ssh_is_to_be_tried_by_hand():
    error = translated(wrapped(ConnectionResetError("closed")), DOING, "ssh://me@there")

    assert "does not answer: closed" in str(error)
    assert "ssh HOST docker version" in error.fixes[0]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("No such image: a:1", ImageMissing),
        ("image with reference a:1 was found but does not match the specified platform", ImageMissing),
        ('exec: "/home/runner/run.sh": permission denied: unknown', BackendError),
        ("write /var/lib/docker/x: no space left on device", BackendError),
        ("something else", BackendError),
    ],
)
def test_a_refusal_names_engine_and_work_and_keeps_the_engines_words_on_one_line(words, kind):
    error = translated(refusal(500, f"{words}\n"), DOING, ENGINE)

    assert type(error) is kind
    assert DOING in str(error)
    assert ENGINE in str(error)
    assert "\n" not in str(error)


def test_a_full_disk_says_how_to_free_it():
    error = translated(refusal(500, "no space left on device"), DOING, ENGINE)

    assert "disk" in str(error)
    assert "docker system df" in error.fixes[0]


def test_an_image_without_the_runners_user_is_told_what_it_lacks():
    error = translated(refusal(400, "unable to find user runner: no matching entries"), DOING, ENGINE)

    assert "user called runner" in error.fixes[0]


def test_a_refusal_of_a_registry_is_told_from_a_registry_that_cannot_be_reached():
    denied = registry_error(BackendError("pull access denied for a, repository does not exist"))
    away = registry_error(BackendError("Get https://ghcr.io/v2/: dial tcp: no such host"))

    assert any("docker login" in fix for fix in denied.fixes)
    assert any("DNS" in fix for fix in away.fixes)


def test_braces_in_the_engines_words_are_kept():
    assert "{not a field}" in str(translated(wrapped(ValueError("{not a field}")), DOING, ENGINE))


def test_the_status_is_found_behind_a_translated_error():
    raw = refusal(409, "conflict")
    error = translated(raw, DOING, ENGINE)
    error.__cause__ = raw

    assert status(raw) == status(error) == 409
    assert status(ValueError()) == 0


def test_an_engine_that_is_too_old_is_said_to_be():
    assert "too old" in str(translated(InvalidVersion("platform needs 1.41"), DOING, ENGINE))


def test_silence_is_told_from_a_broken_connection():
    assert is_read_timeout(wrapped(TimeoutError("timed out")))
    assert not is_read_timeout(wrapped(ConnectionResetError(errno.ECONNRESET, "reset")))


def test_what_is_no_name_of_an_image_need_not_be_pulled():
    error = translated(refusal(400, "no such image: A:1: invalid reference format"), DOING, ENGINE)

    assert error.fixes == ("check runner-image for a typing mistake",)
