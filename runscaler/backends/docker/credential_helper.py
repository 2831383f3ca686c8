"""Asks one of Docker's credential helpers, a program `docker-credential-NAME`, for the login of a registry.

docker-py runs them as well, though without a limit, with all variables of this process and with its standard
error: a helper that waits for a keyring to be unlocked would hold a pull up for ever.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.config.secret_variables import child_environment
from runscaler.errors import BackendError
from runscaler.units import format_duration
from runscaler.untrusted import in_one_line, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.interrupt import Interrupt

PREFIX = "docker-credential-"
SLICE = 0.5
MOST_OUTPUT = 1024 * 1024
NOT_FOUND = "credentials not found in native keychain"
"""What helpers print for a registry that they do not know; some print an empty login."""
NO_USER = "<token>"
FIXES = (
    "try it as the user that runs this program: `echo {registry} | {program} get`",
    "log in without it: remove it from ~/.docker/config.json, then `docker login {registry}`",
    "give user and password in [docker.registry-auth]",
)


class NoHelper(Exception):
    """The program is not there."""


def ask_helper(
    name: str, registry: str, doing: str, seconds: float, interrupt: Interrupt
) -> Mapping[str, str] | None:
    """The login as engines take it; None if the helper has none. `registry` is spelled as it knows it, and
    `doing` follows "cannot".

    Raises `NoHelper`, `Interrupted`, and `BackendError` for one that fails or takes longer than `seconds`.
    """
    program = f"{PREFIX}{name}"
    found = shutil.which(program)
    if found is None:
        raise NoHelper(f"{program} is not installed, or not in PATH")
    fixes = tuple(fix.format(registry=registry, program=program) for fix in FIXES)
    try:
        code, out, err = _run(found, registry, seconds, interrupt)
    except OSError as error:
        raise BackendError(
            f"cannot {doing}: the credential helper {program} cannot be run: {error.strerror}", fixes=fixes
        ) from error
    except _Killed as error:
        raise BackendError(
            f"cannot {doing}: the credential helper {program} {error} and was killed", fixes=fixes
        ) from None
    if NOT_FOUND in out.decode(errors="replace"):
        return None
    if code:
        said = in_one_line((out.strip() or err.strip()).decode(errors="replace")) or f"exit code {code}"
        raise BackendError(f"cannot {doing}: the credential helper {program} says: {said}", fixes=fixes)
    try:
        return _login(out, registry)
    except ValueError:  # without its text, which may be a password
        raise BackendError(
            f"cannot {doing}: the credential helper {program} answers nonsense", fixes=fixes
        ) from None


class _Killed(Exception):
    """It was, for this reason."""


def _run(program: str, registry: str, seconds: float, interrupt: Interrupt) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors. Raises `_Killed`, OSError."""
    with subprocess.Popen(
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(os.environ),
        start_new_session=True,
    ) as popen:
        try:
            with interrupt.cancelling(lambda: _end(popen)):
                out, err = _outputs(popen, registry.encode(), seconds)
                if popen.returncode < 0:
                    interrupt.wait(0)
        except BaseException:
            _end(popen)
            raise
        return popen.returncode, out, err


def _outputs(popen: subprocess.Popen[bytes], registry: bytes, seconds: float) -> tuple[bytes, bytes]:
    question: bytes | None = registry
    for _ in range(math.ceil(seconds / SLICE)):
        try:
            return popen.communicate(question, SLICE)
        except subprocess.TimeoutExpired as so_far:
            question = None
            if len(so_far.output or b"") + len(so_far.stderr or b"") > MOST_OUTPUT:
                raise _Killed("prints without an end") from None
    raise _Killed(f"did not answer within {format_duration(seconds)}")


def _end(popen: subprocess.Popen[bytes]) -> None:
    """With all that it started, which may have its output."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, signal.SIGKILL)


def _login(output: bytes, registry: str) -> Mapping[str, str] | None:
    """Raises `ValueError` for an answer that is none."""
    answer = parse_json(output)
    user, secret = (answer.get(key) for key in ("Username", "Secret")) if isinstance(answer, dict) else (0, 0)
    if not isinstance(user, str) or not isinstance(secret, str):
        raise ValueError("it is no login")
    if not user and not secret:
        return None
    if user == NO_USER:
        return {"identitytoken": secret, "serveraddress": registry}
    return {"username": user, "password": secret, "serveraddress": registry}
