"""Turns errors of docker-py and of the connection into one clear line each (docs/behaviour.md § 12)."""

from __future__ import annotations

import errno
import ssl

from docker.errors import APIError, DockerException, InvalidVersion, StreamParseError
from requests.exceptions import InvalidJSONError, RequestException
from urllib3.exceptions import HTTPError

from runscaler.backends.docker.docker_context import current_context
from runscaler.config.backends import DEFAULT_SOCKET
from runscaler.errors import BackendDown, BackendError, ImageMissing
from runscaler.net.causes import causes_of
from runscaler.untrusted import in_one_line

ENGINE_ERRORS = (DockerException, RequestException, HTTPError, StreamParseError, OSError)
"""What a call through docker-py may raise."""

NO_SPACE = "no space left on device"
CONFLICT = 409


def translated(
    error: BaseException, doing: str, engine: str, handled: BaseException | None = None
) -> BackendError:
    """The `BackendError` for an error of a call. `doing` follows "cannot": "start container X of image Y".

    `handled` is the exception that was being handled when the call began, as in `causes_of`.
    """
    if isinstance(error, APIError):
        return _refused(error, doing, engine)
    if isinstance(error, InvalidVersion):
        return BackendError(
            f"cannot {doing}: the engine {engine} is too old: {error}", fixes=("update the engine",)
        )
    if isinstance(error, DockerException):
        # docker-py itself raised it: the engine was not asked.
        return BackendError(f"cannot {doing}: {explanation(error)}")
    if isinstance(error, InvalidJSONError):
        return nonsense(error, doing, engine)
    return _unreachable(error, doing, engine, handled)


def nonsense(error: BaseException, doing: str, engine: str) -> BackendError:
    """For an answer of another shape than an engine's."""
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    why = f"{kind}{in_one_line(error)}"
    return BackendError(
        f"cannot {doing}: the engine answers nonsense: {why}", fixes=(f"look at what answers at {engine}",)
    )


def explanation(error: BaseException) -> str:
    """The engine's own explanation, on one line."""
    words = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    return " ".join(str(words).split())


def status(error: BaseException | None) -> int:
    """The HTTP status of the engine's reply behind an error, translated or not; 0 if there was none."""
    if isinstance(error, APIError) and error.response is not None:
        return error.response.status_code
    return status(error.__cause__) if isinstance(error, BackendError) else 0


def lacks_program(error: APIError) -> bool:
    """Could the engine not start a command in a container, as its image does not have it?"""
    said = explanation(error).lower()
    return "executable file not found" in said or "no such file" in said


def is_being_removed(error: APIError) -> bool:
    """Did the engine refuse a removal because of another one that it has not ended yet?"""
    return status(error) == CONFLICT and "already in progress" in str(error.explanation)


def is_read_timeout(error: BaseException) -> bool:
    """Was the engine silent for longer than the call allows, on a connection that stands?"""
    return any(_is_timeout(cause) for cause in causes_of(error))


def _is_timeout(cause: BaseException) -> bool:
    return "timed out" in str(cause).lower()


def registry_error(error: BackendError) -> ImageMissing:
    """The same error where the engine asked a registry: the image cannot be had."""
    unreachable = any(sign in str(error).lower() for sign in REGISTRY_UNREACHABLE)
    return ImageMissing(str(error), fixes=NETWORK_FIXES if unreachable else error.fixes or REGISTRY_FIXES)


REGISTRY_UNREACHABLE = (
    "no such host",
    "connection refused",
    "i/o timeout",
    "client.timeout exceeded",
    "dial tcp",
)
NETWORK_FIXES = ("check that the engine can reach the registry (DNS, proxy, firewall)",)
REGISTRY_FIXES = (
    "check runner-image for a typing mistake",
    "log in at its registry as the user that runs this program: `docker login REGISTRY`",
)
IMAGE_FIXES = (
    'pull it: `docker pull IMAGE`, or set pull = "missing"',
    "check runner-image for a typing mistake",
)
USER_FIXES = ("use an image that has a user called runner, as GitHub's own actions-runner image does",)
GROUP_FIXES = ("correct [docker] dind-group: the engine's containers have no such group", "set dind = false")
FIXES_BY_WORDS = {
    "unable to find user": USER_FIXES,
    "setgroups": GROUP_FIXES,
    "unable to find group": GROUP_FIXES,
}
DISK_FIXES = ("free space: `docker system df` shows what takes it, `docker system prune` frees it",)


def _refused(error: APIError, doing: str, engine: str) -> BackendError:
    words = explanation(error)
    line, lower = f"cannot {doing}: the engine {engine} says: {words}", words.lower()
    if NO_SPACE in lower:
        return BackendError(f"cannot {doing}: the disk of the engine {engine} is full", fixes=DISK_FIXES)
    if "no such image" in lower or "does not match the specified platform" in lower:
        return ImageMissing(line, fixes=IMAGE_FIXES[1:] if "invalid reference" in lower else IMAGE_FIXES)
    return BackendError(
        line, fixes=next((fixes for sign, fixes in FIXES_BY_WORDS.items() if sign in lower), ())
    )


NOT_ALLOWED = (
    "no permission to use the engine {engine}",
    "put this program's user into the docker group: `sudo usermod -aG docker USER`; log in again",
    "run it as root",
)
DEFAULT_ENGINE = f"unix://{DEFAULT_SOCKET}"
START_IT = "start the engine: `sudo systemctl start docker`"
NOT_REACHED = {
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
    errno.ENOENT: (
        "the engine's socket {engine} does not exist",
        START_IT,
        "set [docker] socket, host or DOCKER_HOST to where it listens",
    ),
    errno.ECONNREFUSED: ("nothing listens at the engine's address {engine}", START_IT),
}
"""What an error number of the connection means, and possible fixes."""
SLOW = ("the engine {engine} does not answer in time", "look at its log: `journalctl -u docker`")
CERTIFICATES = "check [docker] tls-ca, tls-cert and tls-key, or Docker's own DOCKER_CERT_PATH"
TRY_SSH = "try it by hand: `ssh HOST docker version` must work without asking anything"


def _unreachable(error: BaseException, doing: str, engine: str, handled: BaseException | None) -> BackendDown:
    why, *fixes = _reason(error, engine, handled)
    return BackendDown(f"cannot {doing}: {why.format(engine=engine)}", fixes=fixes)


def _reason(error: BaseException, engine: str, handled: BaseException | None) -> tuple[str, ...]:
    """Why there was no reply, and possible fixes; `{engine}` stands for its address."""
    causes = list(causes_of(error, handled))
    for cause in causes:
        # Checked first, because its numbers are OpenSSL's: 1 is not EPERM there.
        if isinstance(cause, ssl.SSLError):
            return f"TLS with the engine {{engine}} fails: {_braced(cause.reason or cause)}", CERTIFICATES
    numbers = (cause.errno for cause in causes if isinstance(cause, OSError))
    number = next((number for number in numbers if isinstance(number, int)), 0)
    if number == errno.ENOENT and engine == DEFAULT_ENGINE and (context := current_context()):
        return _context_named(*context)
    if number in NOT_REACHED:
        return NOT_REACHED[number]
    if any(_is_timeout(cause) for cause in causes):
        return SLOW
    text = f"the engine {{engine}} does not answer: {_braced(causes[-1]) or type(causes[-1]).__name__}"
    return (text, TRY_SSH) if engine.startswith("ssh://") else (text,)


def _context_named(name: str, url: str) -> tuple[str, ...]:
    where = f"whose engine is at {_braced(url)}" if url else "which this program does not read"
    set_it = f'set [docker] host = "{url}"' if url else "set [docker] host to its engine's URL"
    return (
        (
            f"the engine's socket {{engine}} does not exist, and the docker command uses the context "
            f"{_braced(name)}, {where}"
        ),
        set_it,
        START_IT,
    )


def _braced(words: object) -> str:
    """On one line, with braces escaped for `format`."""
    return " ".join(str(words).split()).replace("{", "{{").replace("}", "}}")
