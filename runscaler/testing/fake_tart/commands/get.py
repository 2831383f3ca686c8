"""`get`: a local VM's configuration and state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import allocated
from runscaler.testing.fake_tart.output import say
from runscaler.testing.fake_tart.swift_json import swift_json
from runscaler.testing.fake_tart.vms import GIGA, MEBI, Vm

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
    call.knobs.pause("get")
    vm = Vm(call.home, call.name).require_complete()
    config, state = vm.config(), vm.state()
    display = config.get("display", {})
    answer = {
        "OS": config["os"],
        "CPU": config["cpuCount"],
        "Memory": config["memorySize"] // MEBI,
        "Disk": vm.disk_bytes() // GIGA,
        "DiskFormat": config.get("diskFormat", "raw"),
        "Size": f"{allocated(vm.path) / GIGA:.3f}",
        "Display": f"{display.get('width', 1024)}x{display.get('height', 768)}",
        "Running": state == "running",
        "State": state,
    }
    if call.options.get("--format") == "json":
        say(swift_json(answer, call.knobs.random))
    else:
        say(" ".join(answer))
        say(" ".join(str(value) for value in answer.values()))
