"""`set`: changes a VM's config.json in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import write_json
from runscaler.testing.fake_tart.output import Json, validation_error
from runscaler.testing.fake_tart.vms import MEBI, Vm

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
    call.knobs.pause("set")
    vm = Vm(call.home, call.name).require_complete()
    config = vm.config()
    config.pop("displayRefit", None)
    set_resources(call, config)
    if call.has("--random-mac"):
        config["macAddress"] = call.knobs.random.mac()
    if call.has("--display"):
        width, _, height = call.options["--display"].partition("x")
        config["display"] = {"width": int(width), "height": int(height)}
    call.fire("during")
    write_json(vm.config_path, config)


def set_resources(call: Call, config: Json) -> None:
    cpu, memory = call.number("--cpu"), call.number("--memory") * MEBI
    least_cpu, least_memory = config.get("cpuCountMin", 1), config.get("memorySizeMin", 1)
    if cpu and cpu < least_cpu:
        text = f"VM should have {least_cpu} CPU cores at minimum (requested {cpu})"
        raise validation_error(f"LessThanMinimalResourcesError: {text}")
    if memory and memory < least_memory:
        text = f"VM should have {least_memory} bytes of memory at minimum (requested {memory})"
        raise validation_error(f"LessThanMinimalResourcesError: {text}")
    config.update({"cpuCount": cpu} if cpu else {}, **({"memorySize": memory} if memory else {}))
