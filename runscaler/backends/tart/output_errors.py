"""Typed errors, with fixes, made of what `tart` prints (docs/tart.md § 4, docs/behaviour.md § 12).

Texts are matched, not exit codes: code 1 means both "tart failed" and "the guest's command exited with 1".
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import BackendDown, BackendError, ImageMissing, StartFailed, VmLimitReached

if TYPE_CHECKING:
    from runscaler.backends.tart.cli import Output
    from runscaler.backends.tart.home import TartHome

_GIB = 2**30
_MAX_TEXT = 600


class VmNotFound(BackendError):
    """The VM that a command named does not exist."""


class VmRunning(BackendError):
    """The VM cannot be deleted because it runs."""


@dataclass(frozen=True, slots=True)
class _KnownError:
    pattern: re.Pattern[str]
    error: type[BackendError]
    reason: str
    fixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pattern: str, error: type[BackendError], reason: str, *fixes: str) -> _KnownError:
        return cls(re.compile(pattern, re.IGNORECASE), error, reason, fixes)


LOG_IN = "log in at its registry as the user that runs this program: `tart login REGISTRY`"
SPELLING = "check runner-image for a typing mistake"
UNLOCK = (
    "log this user in on the Mac's screen (automatic login), and run this program as its LaunchAgent",
    "unlock the keychain in the session it runs in: `security unlock-keychain login.keychain`",
)
FREE_SPACE = "free space: `tart prune --entries caches --older-than 7`, or remove images and VMs"
CONNECTION = "check this host's connection to the registry (DNS, proxy, firewall)"
_DISK_FULL = "the disk is full"

KNOWN_ERRORS = (
    _KnownError.of(
        r"number of VMs exceeds the system limit",
        VmLimitReached,
        "macOS runs as many macOS VMs as it allows (two, whoever they belong to)",
    ),
    _KnownError.of(
        r"no space left on device|out of space|not enough (free |disk )*space|disk (is )?full",
        StartFailed,
        _DISK_FULL,
        FREE_SPACE,
    ),
    _KnownError.of(
        r"SecKeyCreateRandomKey_ios failed|Failed to generate keypair|Interaction is not allowed with",
        StartFailed,
        "the login keychain is locked, and macOS starts no VM without it",
        *UNLOCK,
    ),
    _KnownError.of(r"VM \".*\" is (already )?running", VmRunning, "it is running"),
    _KnownError.of(r"the specified VM \".*\" does not exist", VmNotFound, "there is no such VM"),
    _KnownError.of(
        r"LessThanMinimalResourcesError",
        StartFailed,
        "the image needs more than the configuration gives",
        "raise cpu or memory in [tart], or set them to 0 for the image's own",
    ),
    _KnownError.of(
        r"Failed to lock auxiliary storage|virtual machine failed to start",
        StartFailed,
        "macOS could not start the VM",
        "look for a leftover com.apple.Virtualization.VirtualMachine process; restarting the Mac ends it",
    ),
    _KnownError.of(
        r"missing some of its files",
        StartFailed,
        "its directory is incomplete",
        "remove the broken VM: `tart delete NAME`",
    ),
)

REGISTRY_ERRORS = (
    _KnownError.of(r"code: 404", ImageMissing, "its registry has no such image", SPELLING, LOG_IN),
    _KnownError.of(
        r"AuthFailed|code: 40[13]|status code 40[13]",
        ImageMissing,
        "its registry denies access",
        LOG_IN,
        SPELLING,
    ),
    _KnownError.of(
        r"hostname could not be found|NSURLErrorDomain|could not connect|timed out"
        r"|network connection was lost|Internet connection appears|name resolution",
        ImageMissing,
        "its registry cannot be reached",
        CONNECTION,
    ),
)
"""Matched only for commands that may have asked a registry: a pull, and a clone that pulls."""


def command_error(
    doing: str, output: Output, home: TartHome | None = None, *, registry: bool = False
) -> BackendError:
    """Why a command failed. `doing` completes "cannot …": "clone image X".

    With `home`, an error about a full disk names the free space. `registry`: one may have been asked.
    """
    if output.code < 0:
        return BackendError(f"cannot {doing}: tart was ended by signal {-output.code}")
    text = output.error_text or f"tart ended with code {output.code}"
    return error_from_text(doing, text, home, registry=registry)


def error_from_text(
    doing: str, text: str, home: TartHome | None = None, *, registry: bool = False
) -> BackendError:
    """As `command_error`, for a text that comes without an exit code."""
    words = " ".join(text.split())[-_MAX_TEXT:]
    for known in KNOWN_ERRORS + REGISTRY_ERRORS * registry:
        if known.pattern.search(text):
            space = _free_space(home) if known.reason == _DISK_FULL else ""
            return known.error(f"cannot {doing}: {known.reason}{space}: {words}", fixes=known.fixes)
    return BackendError(f"cannot {doing}: {words}")


def file_error(doing: str, error: OSError | ValueError, home: TartHome) -> StartFailed:
    """Why a start could not read or write a file of its VM."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StartFailed(f"cannot {doing}: {_DISK_FULL}{_free_space(home)}", fixes=(FREE_SPACE,))
    return StartFailed(f"cannot {doing}: {error}")


def as_start_error(error: BackendError) -> BackendError:
    """One of the types that callers of a start tell apart; any other becomes `StartFailed`."""
    if isinstance(error, StartFailed | ImageMissing | BackendDown):
        return error
    return StartFailed(str(error), fixes=error.fixes)


def _free_space(home: TartHome | None) -> str:
    return f" ({home.free_bytes() / _GIB:.1f} GiB free at {home})" if home is not None else ""
