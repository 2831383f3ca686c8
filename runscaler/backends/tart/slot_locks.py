"""The host's VM slots: a lock file each, the same for every daemon and user of the host (docs/tart.md § 11).

A slot is taken while its file is locked. The lock is handed to `tart run` as an open descriptor, so
that it lives as long as the VM, whatever becomes of us. What stands in the file is for others to read.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import BackendError

if TYPE_CHECKING:
    from pathlib import Path

_FILE = re.compile(r"^slot-(\d{1,3})\.lock\Z")
_SIZE = 2000
"""Always written in full and at once, so that a reader meets no half of it."""


@dataclass(frozen=True, slots=True)
class SlotHolder:
    """Who holds a slot, as they wrote it; all may be empty."""

    owner: str = ""
    vm: str = ""
    home: str = ""
    mac: str = ""
    pid: int = 0


@dataclass(slots=True)
class _Claim:
    descriptor: int
    lent: bool = False


class SlotLocks:
    """Not thread-safe: `VmSlots` takes care of that. Raises `BackendError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._claims: dict[int, _Claim] = {}

    def claim(self, number: int, holder: SlotHolder) -> bool:
        """False: somebody has it, perhaps we."""
        descriptor = self._locked(number)
        if descriptor is None:
            return False
        _write(descriptor, holder)
        self._claims[number] = _Claim(descriptor)
        return True

    def has(self, number: int) -> bool:
        """Not if somebody deleted its file since: then another may have claimed it too."""
        claim = self._claims.get(number)
        return claim is not None and self._is_in_its_place(number, claim.descriptor)

    def claimed(self) -> list[int]:
        """Those that this process has, lent or not."""
        return sorted(self._claims)

    def note(self, number: int, holder: SlotHolder) -> None:
        """Say what a slot of ours is used for."""
        _write(self._claims[number].descriptor, holder)

    def lend(self, number: int) -> int:
        """The descriptor that a VM's process is to inherit."""
        claim = self._claims[number]
        claim.lent = True
        return claim.descriptor

    def give_back(self, number: int) -> None:
        """Ours no more: free, unless a process that inherited it lives."""
        claim = self._claims.pop(number, None)
        if claim is not None:
            if not claim.lent:
                fcntl.flock(claim.descriptor, fcntl.LOCK_UN)
            os.close(claim.descriptor)

    def taken(self) -> dict[int, SlotHolder]:
        """All that are locked, by whomever."""
        return {number: holder for number in self._numbers() if (holder := self._holder(number))}

    def close(self) -> None:
        for number in list(self._claims):
            self.give_back(number)

    def _numbers(self) -> list[int]:
        try:
            found = [_FILE.match(entry.name) for entry in self._directory.iterdir()]
        except OSError:
            return sorted(self._claims)
        return sorted({int(match[1]) for match in found if match} | set(self._claims))

    def _holder(self, number: int) -> SlotHolder | None:
        """None: it is free."""
        if number in self._claims:
            return _read(self._claims[number].descriptor)
        try:
            descriptor = os.open(self._path(number), os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError:
            return SlotHolder()  # not ours to open: whoever made it so keeps it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was just forked has it open too
        except BlockingIOError:
            return _read(descriptor)
        finally:
            os.close(descriptor)
        return None

    def _locked(self, number: int) -> int | None:
        """Opened anew while the path is no longer the file that was locked: somebody cleans up."""
        while True:
            try:
                descriptor = self._opened(number)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except PermissionError:
                return None
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError as error:
                raise self._unusable(error) from error
            if self._is_in_its_place(number, descriptor):
                return descriptor
            os.close(descriptor)

    def _is_in_its_place(self, number: int, descriptor: int) -> bool:
        with suppress(OSError):
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path(number)))
        return False

    def _opened(self, number: int) -> int:
        """Without creation first: Linux forbids that for a file of another user in such a directory."""
        path = self._path(number)
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        self._make_directory()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        except FileExistsError:
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        os.fchmod(descriptor, 0o666)
        return descriptor

    def _make_directory(self) -> None:
        with suppress(FileExistsError):
            self._directory.mkdir(parents=True)
            self._directory.chmod(0o1777)
        if not stat.S_ISDIR(self._directory.lstat().st_mode):
            raise OSError(errno.ENOTDIR, "it is no directory", str(self._directory))

    def _path(self, number: int) -> Path:
        return self._directory / f"slot-{number}.lock"

    def _unusable(self, error: OSError) -> BackendError:
        return BackendError(
            f"the VM slots of this host cannot be used: {error}",
            fixes=(f"remove {self._directory}: it is made anew, for everyone to write to",),
        )


def _write(descriptor: int, holder: SlotHolder) -> None:
    said = {"owner": holder.owner, "vm": holder.vm, "home": holder.home, "mac": holder.mac, "pid": holder.pid}
    with suppress(OSError):  # a full disk must not keep a slot from being used
        os.pwrite(descriptor, json.dumps(said).encode().ljust(_SIZE), 0)


def _read(descriptor: int) -> SlotHolder:
    try:
        found = json.loads(os.pread(descriptor, _SIZE, 0))
        owner, vm, home, mac = (str(found.get(name, "")) for name in ("owner", "vm", "home", "mac"))
        return SlotHolder(owner, vm, home, mac, int(found.get("pid", 0)))
    except (OSError, ValueError, TypeError, AttributeError):
        return SlotHolder()
