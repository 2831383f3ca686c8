"""`list`: local VMs and cached images."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import allocated
from runscaler.testing.fake_tart.images import cached_images
from runscaler.testing.fake_tart.output import Json, say, validation_error
from runscaler.testing.fake_tart.swift_json import swift_json
from runscaler.testing.fake_tart.vms import GIGA, Vm, local_vms

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
    call.knobs.pause("list")
    source = call.options.get("--source", "")
    rows = [] if source == "oci" else [local_row(call, vm) for vm in local_vms(call.home)]
    if source != "local":
        rows += [image_row(call, name, path) for name, path in cached_images(call.home)]
    if call.has("-q", "--quiet"):
        for row in rows:
            say(row["Name"])
    elif call.options.get("--format") == "json":
        say(swift_json(rows, call.knobs.random))
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
        text = f"The file “{file}” couldn’t be opened because there is no such file."
        raise validation_error(text) from None


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
