"""What the engine and the road to it answer, as one clear line each (spec.md 12)."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING

from docker.errors import APIError, DockerException, InvalidVersion, StreamParseError
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from runscaler.errors import BackendDown, BackendError, ImageMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINE_TROUBLE = (DockerException, RequestException, HTTPError, StreamParseError, OSError)
"""Everything that a call through docker-py is known to raise."""

NO_SPACE = "no space left on device"


def translated(error: BaseException, doing: str, engine: str) -> BackendError:
    """`doing` reads on from "cannot": "start container runner-1a2b3c4d of image X"."""
    if isinstance(error, APIError):
        return _refusal(error, doing, engine)
    if isinstance(error, InvalidVersion):
        return BackendError(
            f"cannot {doing}: the engine {engine} is too old: {error}", fixes=("update the engine",)
        )
    return _away(error, doing, engine)


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
    return any("timed out" in str(cause).lower() for cause in _causes(error))


def _refusal(error: APIError, doing: str, engine: str) -> BackendError:
    words = explanation(error)
    line = f"cannot {doing}: the engine {engine} says: {words}"
    lower = words.lower()
    if NO_SPACE in lower:
        return BackendError(f"cannot {doing}: the disk of the engine {engine} is full", fixes=DISK_FIXES)
    if "no such image" in lower or "does not match the specified platform" in lower:
        return ImageMissing(line, fixes=IMAGE_FIXES)
    if any(sign in lower for sign in REGISTRY_DENIES):
        return ImageMissing(line, fixes=REGISTRY_FIXES)
    if any(sign in lower for sign in REGISTRY_AWAY):
        return ImageMissing(line, fixes=("check this engine's way to the registry (DNS, proxy, firewall)",))
    return BackendError(line, fixes=USER_FIXES if "unable to find user" in lower else ())


USER_FIXES = ("use an image that has a user called runner, as GitHub's own actions-runner image does",)
DISK_FIXES = ("free space: `docker system df` shows what takes it, `docker system prune` frees it",)
IMAGE_FIXES = (
    'pull it: `docker pull IMAGE`, or set pull = "missing"',
    "check runner-image for a typing mistake",
)
REGISTRY_FIXES = (
    "check runner-image for a typing mistake",
    "log in at its registry as the user that runs this program: `docker login REGISTRY`",
)
REGISTRY_DENIES = (
    "denied",
    "unauthorized",
    "manifest unknown",
    "not found: manifest",
    "repository does not exist",
    "no matching manifest",
    "no basic auth credentials",
)
REGISTRY_AWAY = ("no such host", "connection refused", "i/o timeout", "client.timeout exceeded", "dial tcp")


def _away(error: BaseException, doing: str, engine: str) -> BackendDown:
    tls = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        return BackendDown(
            f"cannot {doing}: TLS with the engine {engine} fails: {tls.reason or tls}",
            fixes=("check [docker] tls-ca, tls-cert and tls-key, or Docker's own DOCKER_CERT_PATH",),
        )
    numbers = (cause.errno for cause in _causes(error) if isinstance(cause, OSError))
    number = next((number for number in numbers if isinstance(number, int)), 0)
    if number in (errno.EACCES, errno.EPERM):
        return BackendDown(
            f"cannot {doing}: no permission to use the engine {engine}",
            fixes=(
                "put this program's user into the docker group: `sudo usermod -aG docker USER`; log in anew",
                "or run it as root",
            ),
        )
    if number == errno.ENOENT:
        return BackendDown(
            f"cannot {doing}: the engine's socket {engine} does not exist",
            fixes=(
                "start the engine: `sudo systemctl start docker`",
                "or set [docker] socket, host or DOCKER_HOST to where it listens",
            ),
        )
    if number == errno.ECONNREFUSED:
        return BackendDown(
            f"cannot {doing}: nothing listens at the engine's address {engine}",
            fixes=("start the engine: `sudo systemctl start docker`",),
        )
    if is_quiet_timeout(error):
        return BackendDown(
            f"cannot {doing}: the engine {engine} does not answer in time",
            fixes=("look at the engine's log: `journalctl -u docker`",),
        )
    return BackendDown(f"cannot {doing}: the engine {engine} does not answer: {_root(error)}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: urllib3 and requests also hide causes in their arguments."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        hidden = [argument for argument in current.args if isinstance(argument, BaseException)]
        reason = getattr(current, "reason", None)
        queue += [current.__cause__, current.__context__, *hidden]
        queue.append(reason if isinstance(reason, BaseException) else None)


def _root(error: BaseException) -> str:
    *_, last = _causes(error)
    return " ".join(str(last).split()) or type(last).__name__
