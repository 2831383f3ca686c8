"""`list`, `get`, `fqn`."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.changing import MEBI
from runscaler.testing.fake_tart.files import allocated
from runscaler.testing.fake_tart.images import Image, cache_root, cached_images
from runscaler.testing.fake_tart.output import Json, foreign, say, vm_missing
from runscaler.testing.fake_tart.vms import Vm, local_vms

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call
    from runscaler.testing.fake_tart.knobs import Chance

GIGA = 10**9


def swift_json(value: object, chance: Chance) -> str:
    """As Foundation writes it: `"key" : value`, `/` escaped, keys in any order."""
    if isinstance(value, list):
        inner = ",\n".join(swift_json(one, chance) for one in value)
        return f"[\n{inner}\n]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda _: chance.unit())
        return "{\n" + ",\n".join(f'  "{key}" : {swift_json(value[key], chance)}' for key in keys) + "\n}"
    return json.dumps(value, ensure_ascii=False).replace("/", "\\/")


def do_list(call: Call) -> None:
    call.knobs.pause("list")
    source = call.options.get("--source", "")
    rows = [] if source == "oci" else [local_row(call, vm) for vm in local_vms(call.home)]
    if source != "local":
        rows += [image_row(call, name, path) for name, path in cached_images(call.home)]
    if call.has("-q", "--quiet"):
        for row in rows:
            say(row["Name"])
    elif call.options.get("--format") == "json":
        say(swift_json(rows, call.knobs.chance))
    else:
        say("Source Name Disk Size Accessed State")
        for row in rows:
            say(" ".join(str(value) for key, value in row.items() if key != "Running"))


def local_row(call: Call, vm: Vm) -> Json:
    state = vm.state()
    try:
        return row_of(call, "local", vm.name, vm.path, vm.disk_bytes(), state)
    except FileNotFoundError as error:
        file = os.path.basename(error.filename)
        raise foreign(f"The file “{file}” couldn’t be opened because there is no such file.") from None


def image_row(call: Call, name: str, path: str) -> Json:
    return row_of(call, "OCI", name, path, Vm(call.home, name, path).disk_bytes(), "stopped")


def row_of(call: Call, source: str, name: str, path: str, disk: int, state: str) -> Json:
    size = allocated(path) // GIGA
    accessed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(os.stat(path).st_atime))
    dated = {"SizeOnDisk": size} if call.knobs.state("before_2_31") else {"Accessed": accessed}
    return {
        "Source": source,
        "Name": name,
        "Disk": disk // GIGA,
        "Size": size,
        **dated,
        "Running": state == "running",
        "State": state,
    }


def do_get(call: Call) -> None:
    call.knobs.pause("get")
    vm = Vm(call.home, call.name).opened()
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
        say(swift_json(answer, call.knobs.chance))
    else:
        say(" ".join(answer))
        say(" ".join(str(value) for value in answer.values()))


def do_fqn(call: Call) -> None:
    image = Image(call.name)
    digest = image.digest(cache_root(call.home))
    if "/" not in call.name or not digest:
        raise vm_missing(call.name)
    say(f"{image.place}@{digest}")
