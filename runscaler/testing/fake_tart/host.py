"""What all TART_HOMEs of a host share: the limit of macOS guests, and DHCP leases (docs/tart.md § 7, 8)."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import flocked, read_text, try_flock, write_json
from runscaler.testing.fake_tart.output import Failure, Json
from runscaler.testing.fake_tart.vms import local_vms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.testing.fake_tart.call import Call
    from runscaler.testing.fake_tart.vms import Vm

LIMIT_TEXT = "The number of VMs exceeds the system limit"


class Host:
    """The running VMs, an entry in `running/` each, whose `flock` is held by `tart run`; and the leases."""

    def __init__(self, call: Call) -> None:
        self._knobs, self._home, self._folder = call.knobs, call.home, call.host
        self._entry = -1

    def admit(self, vm: Vm, config: Json) -> None:
        """Count this VM; raises Failure if the host's limit is reached."""
        with self._locked():
            darwin = sum(entry["os"] == "darwin" for entry in self._entries())
            full = darwin + self._knobs.state("leaked") >= self._knobs.state("limit")
            if config["os"] != "darwin" or not full:
                self._enter(vm, config)
                return
        self._knobs.pause("limit")
        others = [one.name for one in local_vms(self._home) if one.name != vm.name and one.pid()]
        hint = f" (other running VMs: {', '.join(others)})" if others else ""
        raise Failure(LIMIT_TEXT + hint)

    def leave(self) -> None:
        """The entry of a VM that ended may still count for `count_lag` seconds."""
        path = self._entry_path(os.getpid())
        with self._locked():
            ended = json.loads(read_text(path)) | {"until": time.time() + self._knobs.state("count_lag")}
            write_json(path, ended)
            os.close(self._entry)
            self._update_connectivity()

    def address(self, mac: str) -> str:
        """Empty if there is no lease."""
        with self._locked():
            lease: Json = self._leases().get(mac, {})
            return str(lease.get("ip", ""))

    def _enter(self, vm: Vm, config: Json) -> None:
        path = self._entry_path(os.getpid())
        write_json(f"{path}.new", {"os": config["os"], "mac": config["macAddress"], "path": vm.path})
        self._entry = os.open(f"{path}.new", os.O_RDONLY)
        fcntl.flock(self._entry, fcntl.LOCK_EX)
        os.rename(f"{path}.new", path)
        self._lease(config["macAddress"])
        self._update_connectivity()

    def _entries(self) -> list[Json]:
        """Those of running VMs, and of ended ones that still count; deletes the others."""
        found = []
        for name in os.listdir(os.path.join(self._folder, "running")):
            path = self._entry_path(name)
            with open(path, encoding="utf-8") as file:
                has_ended, entry = try_flock(file.fileno()), json.loads(file.read())
            if has_ended and not self._counts(entry):
                os.unlink(path)
            else:
                found.append(entry | {"has_ended": has_ended})
        return found

    def _counts(self, ended: Json) -> bool:
        """Does the kernel still count this ended VM? `until` is missing if its `run` was killed."""
        if "until" not in ended:
            return bool(self._knobs.state("leak_on_kill"))
        return bool(time.time() < ended["until"])

    def _lease(self, mac: str) -> None:
        leases, now = self._leases(), time.time()
        taken = {lease["ip"] for one, lease in leases.items() if one != mac}
        free = [f"192.168.64.{number}" for number in range(2, 255)]
        ips = [leases[mac]["ip"]] if mac in leases else [ip for ip in free if ip not in taken]
        if mac in leases or len(leases) < self._knobs.state("lease_places"):
            leases[mac] = {"ip": ips[0], "expires": now + self._knobs.state("lease_seconds")}
            write_json(os.path.join(self._folder, "leases"), leases)

    def _leases(self) -> Json:
        try:
            known = json.loads(read_text(os.path.join(self._folder, "leases")))
        except FileNotFoundError:
            return {}
        return {mac: one for mac, one in known.items() if one["expires"] > time.time()}

    def _update_connectivity(self) -> None:
        """A guest without an address, or with the MAC of another, is offline: it has a file `offline`."""
        running = [entry for entry in self._entries() if not entry["has_ended"]]
        macs, leases = [entry["mac"] for entry in running], self._leases()
        for entry in running:
            path = os.path.join(entry["path"], "offline")
            with contextlib.suppress(FileNotFoundError):
                if entry["mac"] not in leases or macs.count(entry["mac"]) > 1:
                    open(path, "w").close()
                else:
                    os.unlink(path)

    def _entry_path(self, name: object) -> str:
        return os.path.join(self._folder, "running", str(name))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with flocked(os.path.join(self._folder, "running")):
            yield
