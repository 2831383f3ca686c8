"""What the engine and the road to it answer, as one clear line each (docs/behaviour.md § 12)."""

from __future__ import annotations

import errno
import ssl

from docker.errors import APIError, DockerException, InvalidVersion, StreamParseError
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from runscaler.errors import BackendDown, BackendError, ImageMissing
from runscaler.net.causes import causes_of

ENGINE_TROUBLE = (DockerException, RequestException, HTTPError, StreamParseError, OSError)
"""Everything that a call through docker-py is known to raise."""

NO_SPACE = "no space left on device"


def translated(
    error: BaseException, doing: str, engine: str, outer: BaseException | None = None
) -> BackendError:
    """`doing` reads on from "cannot": "start container runner-1a2b3c4d of image X".

    `outer` is what was being handled when the call began: Python writes it down as the context of
    every later error, but it is no cause of them.
    """
    if isinstance(error, APIError):
        return _refusal(error, doing, engine)
    if isinstance(error, InvalidVersion):
        return BackendError(
            f"cannot {doing}: the engine {engine} is too old: {error}", fixes=("update the engine",)
        )
    if isinstance(error, DockerException):
        # Said on this side: no engine was asked.
        words = explanation(error)
        return BackendError(f"cannot {doing}: {words}", fixes=HELPER_FIXES if "redentials" in words else ())
    return _away(error, doing, engine, outer)


def explanation(error: BaseException) -> str:
    """The engine's own words, on one line."""
    words = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    return " ".join(str(words).split())


def status(error: BaseException | None) -> int:
    """The engine's HTTP status behind a translated or raw error, 0 where no answer came."""
    if isinstance(error, APIError) and error.response is not None:
        return error.response.status_code
    return status(error.__cause__) if isinstance(error, BackendError) else 0


def is_quiet_timeout(error: BaseException) -> bool:
    """Did the connection stand, with nothing said for longer than the call allows?"""
    return any(_is_timeout(cause) for cause in causes_of(error))


def _is_timeout(cause: BaseException) -> bool:
    return "timed out" in str(cause).lower()


def refused_by_registry(error: BackendError) -> ImageMissing:
    """The same line, as what it is where a registry was asked: the image cannot be had."""
    away = any(sign in str(error).lower() for sign in REGISTRY_AWAY)
    return ImageMissing(str(error), fixes=WAY_FIXES if away else error.fixes or REGISTRY_FIXES)


REGISTRY_AWAY = ("no such host", "connection refused", "i/o timeout", "client.timeout exceeded", "dial tcp")
WAY_FIXES = ("check this engine's way to the registry (DNS, proxy, firewall)",)
REGISTRY_FIXES = (
    "check runner-image for a typing mistake",
    "log in at its registry as the user that runs this program: `docker login REGISTRY`",
)
HELPER_FIXES = (
    "put the credential helper that ~/.docker/config.json names into this program's PATH",
    "log in without one: `docker login REGISTRY`",
)
IMAGE_FIXES = (
    'pull it: `docker pull IMAGE`, or set pull = "missing"',
    "check runner-image for a typing mistake",
)
USER_FIXES = ("use an image that has a user called runner, as GitHub's own actions-runner image does",)
DISK_FIXES = ("free space: `docker system df` shows what takes it, `docker system prune` frees it",)


def _refusal(error: APIError, doing: str, engine: str) -> BackendError:
    words = explanation(error)
    line, lower = f"cannot {doing}: the engine {engine} says: {words}", words.lower()
    if NO_SPACE in lower:
        return BackendError(f"cannot {doing}: the disk of the engine {engine} is full", fixes=DISK_FIXES)
    if "no such image" in lower or "does not match the specified platform" in lower:
        return ImageMissing(line, fixes=IMAGE_FIXES)
    return BackendError(line, fixes=USER_FIXES if "unable to find user" in lower else ())


NOT_ALLOWED = (
    "no permission to use the engine {engine}",
    "put this program's user into the docker group: `sudo usermod -aG docker USER`; log in anew",
    "run it as root",
)
START_IT = "start the engine: `sudo systemctl start docker`"
AWAY = {
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
    errno.ENOENT: (
        "the engine's socket {engine} does not exist",
        START_IT,
        "set [docker] socket, host or DOCKER_HOST to where it listens",
    ),
    errno.ECONNREFUSED: ("nothing listens at the engine's address {engine}", START_IT),
}
"""What an error number of the connection means, and what to do."""
SLOW = ("the engine {engine} does not answer in time", "look at its log: `journalctl -u docker`")
CERTIFICATES = "check [docker] tls-ca, tls-cert and tls-key, or Docker's own DOCKER_CERT_PATH"
TRY_SSH = "try it by hand: `ssh HOST docker version` must work without asking anything"


def _away(error: BaseException, doing: str, engine: str, outer: BaseException | None) -> BackendDown:
    why, *fixes = _reason(error, engine, outer)
    return BackendDown(f"cannot {doing}: {why.format(engine=engine)}", fixes=fixes)


def _reason(error: BaseException, engine: str, outer: BaseException | None) -> tuple[str, ...]:
    """Why no answer came, with the cures; `{engine}` stands for its address."""
    causes = list(causes_of(error, outer))
    for cause in causes:
        # First, as its numbers are OpenSSL's: 1 is not EPERM there.
        if isinstance(cause, ssl.SSLError):
            return f"TLS with the engine {{engine}} fails: {_braced(cause.reason or cause)}", CERTIFICATES
    numbers = (cause.errno for cause in causes if isinstance(cause, OSError))
    number = next((number for number in numbers if isinstance(number, int)), 0)
    if number in AWAY:
        return AWAY[number]
    if any(_is_timeout(cause) for cause in causes):
        return SLOW
    text = f"the engine {{engine}} does not answer: {_braced(causes[-1]) or type(causes[-1]).__name__}"
    return (text, TRY_SSH) if engine.startswith("ssh://") else (text,)


def _braced(words: object) -> str:
    """On one line, and safe to format."""
    return " ".join(str(words).split()).replace("{", "{{").replace("}", "}}")
