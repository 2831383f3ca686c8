"""What tart's answers mean: its texts as typed errors, each with a cure (docs/tart.md § 4, docs/behaviour.md § 12).

Texts are matched, not codes: 1 is both "tart failed" and "the guest's command said 1".
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import BackendDown, BackendError, ImageMissing, PlacesTaken, StartFailed

if TYPE_CHECKING:
    from runscaler.backends.tart.cli import Output
    from runscaler.backends.tart.home import TartHome

_GIB = 2**30
_LONGEST = 600


class VmNotFound(BackendError):
    """The VM that a command named is not there."""


class VmRunning(BackendError):
    """The VM that was to be deleted runs."""


@dataclass(frozen=True, slots=True)
class _KnownError:
    pattern: re.Pattern[str]
    error: type[BackendError]
    why: str
    fixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pattern: str, error: type[BackendError], why: str, *fixes: str) -> _KnownError:
        return cls(re.compile(pattern, re.IGNORECASE), error, why, fixes)


LOG_IN = "log in at its registry as the user that runs this program: `tart login REGISTRY_ERRORS`"
SPELLING = "check runner-image for a typing mistake"
UNLOCK = (
    "log this user in on the Mac's screen (automatic login), and run this program as its LaunchAgent",
    "unlock the keychain in the session it runs in: `security unlock-keychain login.keychain`",
)
FREE_SPACE = "free space: `tart prune --entries caches --older-than 7`, or remove images and VMs"

KNOWN_ERRORS = (
    _KnownError.of(
        r"number of VMs exceeds the system limit",
        PlacesTaken,
        "macOS runs as many macOS VMs as it may (two, whoever they belong to)",
    ),
    _KnownError.of(
        r"no space left on device|out of space|not enough (free |disk )*space|disk (is )?full",
        StartFailed,
        "the disk is full",
        FREE_SPACE,
    ),
    _KnownError.of(
        r"SecKeyCreateRandomKey_ios failed|Failed to generate keypair|Interaction is not allowed with",
        StartFailed,
        "the login keychain is locked, and macOS starts no VM without it",
        *UNLOCK,
    ),
    _KnownError.of(r"VM \".*\" is (already )?running", VmRunning, "it runs"),
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
        "its directory is not whole",
        "remove the broken VM: `tart delete NAME`",
    ),
)

REGISTRY_ERRORS = (
    _KnownError.of(r"code: 404", ImageMissing, "its registry has no such image", SPELLING, LOG_IN),
    _KnownError.of(
        r"AuthFailed|code: 40[13]|status code 40[13]",
        ImageMissing,
        "its registry denies it",
        LOG_IN,
        SPELLING,
    ),
    _KnownError.of(
        r"hostname could not be found|NSURLErrorDomain|could not connect|timed out"
        r"|network connection was lost|Internet connection appears|name resolution",
        ImageMissing,
        "its registry cannot be reached",
        "check this host's way to the registry (DNS, proxy, firewall)",
    ),
)
"""What only a pull, and a clone that pulls, has to do with."""


def command_error(
    doing: str, output: Output, home: TartHome | None = None, *, registry: bool = False
) -> BackendError:
    """`doing` reads on from "cannot": "clone image X". With `home` a full disk is named with its space;
    `registry`: one may have been asked."""
    if output.code < 0:
        return BackendError(f"cannot {doing}: tart was ended by signal {-output.code}")
    text = output.error_text or f"tart ended with code {output.code}"
    return error_from_text(doing, text, home, registry=registry)


def error_from_text(
    doing: str, text: str, home: TartHome | None = None, *, registry: bool = False
) -> BackendError:
    """The same for a text alone."""
    words = " ".join(text.split())[-_LONGEST:]
    for known in KNOWN_ERRORS + REGISTRY_ERRORS * registry:
        if known.pattern.search(text):
            why = f"{known.why}{_space(home)}" if known.why == "the disk is full" else known.why
            return known.error(f"cannot {doing}: {why}: {words}", fixes=known.fixes)
    return BackendError(f"cannot {doing}: {words}")


def file_error(doing: str, error: OSError | ValueError, home: TartHome) -> StartFailed:
    """What a file of ours did not let us do."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StartFailed(f"cannot {doing}: the disk is full{_space(home)}", fixes=(FREE_SPACE,))
    return StartFailed(f"cannot {doing}: {error}")


def as_start_error(error: BackendError) -> BackendError:
    """What a start raises: its caller tells apart only these."""
    if isinstance(error, StartFailed | ImageMissing | BackendDown):
        return error
    return StartFailed(str(error), fixes=error.fixes)


def _space(home: TartHome | None) -> str:
    return f" ({home.free_bytes() / _GIB:.1f} GiB free at {home})" if home is not None else ""
