"""`stop`: SIGINT to the VM's process, SIGKILL after the time-out."""

from __future__ import annotations

import contextlib
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
    call.knobs.pause("stop")
    pid = vm.pid()
    if not pid and vm.is_suspended():
        os.unlink(vm.file("state.vzvmsave"))
        return
    if not pid:
        raise Failure(f'VM "{vm.name}" is not running', 2)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
        until = time.monotonic() + call.number("--timeout", call.number("-t", 30))
        while vm.exists() and vm.pid():
            if time.monotonic() >= until:
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.1)
