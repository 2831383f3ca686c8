"""`ip`: the address of a VM's DHCP lease."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.host import Host
from runscaler.testing.fake_tart.output import Failure, say
from runscaler.testing.fake_tart.vms import Vm

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
    vm = Vm(call.home, call.name).require_complete()
    address = Host(call).address(vm.config()["macAddress"])
    if not address:
        time.sleep(max(1, call.number("--wait")))
        raise Failure("no IP address found" + ("" if vm.pid() else ", is your VM running?"))
    say(address)
