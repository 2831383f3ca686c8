"""Local VMs: their directories and configuration, and whether they run (docs/tart.md § 2, 3)."""

from __future__ import annotations

import json
import os

from runscaler.testing.fake_tart.files import lock_owner
from runscaler.testing.fake_tart.output import UNREADABLE, Failure, Json, validation_error, vm_missing

DISK_FILES = ("disk.img", "nvram.bin")
MEBI = 1 << 20
GIGA = 10**9


class Vm:
    """One local VM, whose directory may be incomplete or missing."""

    def __init__(self, home: str, name: str, path: str = "") -> None:
        self.home, self.name = home, name
        self.path = path or os.path.join(home, "vms", name)
        self.config_path = self.file("config.json")

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def exists(self) -> bool:
        return os.path.exists(self.config_path)

    def is_complete(self) -> bool:
        return self.exists() and all(os.path.exists(self.file(name)) for name in DISK_FILES)

    def require_complete(self) -> Vm:
        if not self.exists():
            raise vm_missing(self.name)
        if not self.is_complete():
            raise Failure("VM is missing some of its files (config.json, disk.img or nvram.bin)")
        return self

    def config(self) -> Json:
        try:
            with open(self.config_path, encoding="utf-8") as file:
                config: Json = json.load(file)
            octets = [int(octet, 16) for octet in config["macAddress"].split(":")]
        except FileNotFoundError:
            text = "The file “config.json” couldn’t be opened because there is no such file."
            raise validation_error(text) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise validation_error(UNREADABLE) from None
        if len(octets) != 6 or not all(0 <= octet <= 255 for octet in octets):
            raise validation_error(UNREADABLE)
        return config

    def pid(self) -> int:
        """Of its `tart run`, which must not call this: closing the file would release its lock."""
        try:
            return lock_owner(self.config_path)
        except FileNotFoundError:
            text = "The file “config.json” couldn’t be opened because there is no such file."
            raise validation_error(text) from None

    def is_suspended(self) -> bool:
        return os.path.exists(self.file("state.vzvmsave"))

    def state(self) -> str:
        if self.pid():
            return "running"
        return "suspended" if self.is_suspended() else "stopped"

    def disk_bytes(self) -> int:
        return os.stat(self.file("disk.img")).st_size


def local_vms(home: str) -> list[Vm]:
    names = sorted(os.listdir(os.path.join(home, "vms")))
    return [vm for vm in (Vm(home, name) for name in names) if vm.is_complete()]
