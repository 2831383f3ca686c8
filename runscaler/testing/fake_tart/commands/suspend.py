"""`suspend`: SIGUSR1 to the VM's process, which then writes its state and ends."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.output import Failure
from runscaler.testing.fake_tart.vms import Vm

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
    vm = Vm(call.home, call.name).require_complete()
    pid = vm.pid()
    if not pid:
        raise Failure(f'VM "{vm.name}" is not running', 2)
    os.kill(pid, signal.SIGUSR1)
    while vm.pid():
        time.sleep(0.05)
