"""The lock files of the host's VM slots, shared by all daemons and users of the host (docs/tart.md § 11).

A slot is taken while its file is locked. `tart run` inherits the locked descriptor, so that the lock lives
as long as the VM, whatever happens to this process. The content of the file only informs others.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from runscaler.backends.marks import HIGHEST_PID
from runscaler.errors import BackendError
from runscaler.private_files import check_single_name
from runscaler.untrusted import in_one_line, is_number, parse_json

if TYPE_CHECKING:
    from pathlib import Path

_FILE = re.compile(r"^slot-(\d{1,3})\.lock\Z")
_SIZE = 2000
"""The content is always written at once and padded to this size, so that nobody reads half of it."""


@dataclass(frozen=True, slots=True)
class SlotHolder:
    """Who holds a slot, by their own account; all fields may be empty."""

    owner: str = ""
    vm: str = ""
    home: str = ""
    mac: str = ""
    pid: int = 0


@dataclass(slots=True)
class _Claim:
    descriptor: int
    is_inherited: bool = False


class SlotLocks:
    """Not thread-safe; `VmSlots` serialises the calls. Raises `BackendError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._claims: dict[int, _Claim] = {}

    def claim(self, number: int, holder: SlotHolder) -> bool:
        """False if it is taken, perhaps by ourselves."""
        descriptor = self._lock(number)
        if descriptor is None:
            return False
        _write(descriptor, holder)
        self._claims[number] = _Claim(descriptor)
        return True

    def has(self, number: int) -> bool:
        """False also if somebody deleted the file of our claim: another process may hold a new one."""
        claim = self._claims.get(number)
        return claim is not None and self._is_current(number, claim.descriptor)

    def claimed(self) -> list[int]:
        """Those that this process claimed and did not release."""
        return sorted(self._claims)

    def set_holder(self, number: int, holder: SlotHolder) -> None:
        """Tell others what a slot of ours is used for."""
        _write(self._claims[number].descriptor, holder)

    def descriptor_to_inherit(self, number: int) -> int:
        """For the VM's process, which holds the slot from then on."""
        claim = self._claims[number]
        claim.is_inherited = True
        return claim.descriptor

    def release(self, number: int) -> None:
        """A slot whose descriptor was inherited stays taken until that process ends."""
        claim = self._claims.pop(number, None)
        if claim is not None:
            if not claim.is_inherited:
                fcntl.flock(claim.descriptor, fcntl.LOCK_UN)
            os.close(claim.descriptor)

    def taken(self) -> dict[int, SlotHolder]:
        """All locked slots, whoever holds them."""
        return {number: holder for number in self._numbers() if (holder := self._holder(number))}

    def close(self) -> None:
        for number in list(self._claims):
            self.release(number)

    def _numbers(self) -> list[int]:
        try:
            found = [_FILE.match(entry.name) for entry in self._directory.iterdir()]
        except OSError:
            return sorted(self._claims)
        return sorted({int(match[1]) for match in found if match} | set(self._claims))

    def _holder(self, number: int) -> SlotHolder | None:
        """None if it is free."""
        if number in self._claims:
            return _read(self._claims[number].descriptor)
        try:
            descriptor = _open_existing(self._path(number))
        except FileNotFoundError:
            return None
        except OSError:
            return SlotHolder()  # a file that we may not open: it counts as taken
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child just forked by us holds the descriptor, too
        except BlockingIOError:
            return _read(descriptor)
        finally:
            os.close(descriptor)
        return None

    def _lock(self, number: int) -> int | None:
        """The locked descriptor, None if the slot is taken.

        Repeated while the locked file is not the one at its path any more, as somebody deleted it."""
        while True:
            try:
                descriptor = self._open(number)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except PermissionError:
                return None
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError as error:
                raise self._unusable(error) from error
            if self._is_current(number, descriptor):
                return descriptor
            os.close(descriptor)

    def _is_current(self, number: int, descriptor: int) -> bool:
        with suppress(OSError):
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path(number)))
        return False

    def _open(self, number: int) -> int:
        """First without O_CREAT: Linux refuses that for another user's file in a world-writable directory."""
        path = self._path(number)
        with suppress(FileNotFoundError):
            return _open_existing(path)
        self._make_directory()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        except FileExistsError:
            return _open_existing(path)
        os.fchmod(descriptor, 0o666)
        return descriptor

    def _make_directory(self) -> None:
        with suppress(FileExistsError):
            self._directory.mkdir(parents=True)
            self._directory.chmod(0o1777)
        if not stat.S_ISDIR(self._directory.lstat().st_mode):
            raise OSError(errno.ENOTDIR, "it is not a directory", str(self._directory))

    def _path(self, number: int) -> Path:
        return self._directory / f"slot-{number}.lock"

    def _unusable(self, error: OSError) -> BackendError:
        return BackendError(
            f"the VM slots of this host cannot be used: {error}",
            fixes=(f"remove {self._directory}: it is created again, writable for everyone",),
        )


def _open_existing(path: Path) -> int:
    """Any user may have made it: no link is followed, no FIFO waited for, and no other file written to."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        check_single_name(path, descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _write(descriptor: int, holder: SlotHolder) -> None:
    content = json.dumps(asdict(holder))
    with suppress(OSError):  # a full disk must not keep a slot from being used
        os.pwrite(descriptor, content.encode().ljust(_SIZE), 0)


def _read(descriptor: int) -> SlotHolder:
    try:
        found = parse_json(os.pread(descriptor, _SIZE, 0))
    except (OSError, ValueError):
        return SlotHolder()
    if not isinstance(found, dict):
        return SlotHolder()
    owner, vm, home, mac = (in_one_line(found.get(name, "")) for name in ("owner", "vm", "home", "mac"))
    pid = found.get("pid", 0)
    return SlotHolder(owner, vm, home, mac, pid if is_number(pid, HIGHEST_PID) else 0)
