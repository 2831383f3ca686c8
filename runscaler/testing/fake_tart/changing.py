"""`set` and `delete`."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import remove_stubborn, remove_tree, write_json
from runscaler.testing.fake_tart.guest_process import wait_for_guest
from runscaler.testing.fake_tart.images import Image, cache_root
from runscaler.testing.fake_tart.output import Failure, Json, foreign, vm_missing
from runscaler.testing.fake_tart.vms import Vm

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call

MEBI = 1 << 20


def do_set(call: Call) -> None:
    call.knobs.pause("set")
    vm = Vm(call.home, call.name).opened()
    config = vm.config()
    config.pop("displayRefit", None)
    set_resources(call, config)
    if call.has("--random-mac"):
        config["macAddress"] = call.knobs.chance.mac()
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
        raise foreign(f"LessThanMinimalResourcesError: {text}")
    if memory and memory < least_memory:
        text = f"VM should have {least_memory} bytes of memory at minimum (requested {memory})"
        raise foreign(f"LessThanMinimalResourcesError: {text}")
    config.update({"cpuCount": cpu} if cpu else {}, **({"memorySize": memory} if memory else {}))


def do_delete(call: Call) -> None:
    for name in call.words:
        call.knobs.pause("delete")
        if "/" in name:
            delete_image(call, name)
        else:
            delete_vm(call, Vm(call.home, name))


def delete_image(call: Call, name: str) -> None:
    image = Image(name)
    link = image.path(cache_root(call.home))
    if not image.digest(cache_root(call.home)):
        raise vm_missing(name)
    path = os.path.realpath(link)
    if os.path.islink(link):
        os.unlink(link)
    siblings = [os.path.join(os.path.dirname(path), name) for name in os.listdir(os.path.dirname(path))]
    if not any(os.path.islink(one) and os.path.realpath(one) == path for one in siblings):
        remove_tree(path)


def delete_vm(call: Call, vm: Vm) -> None:
    """A directory without config.json is "not there", and stays."""
    try:
        fd = os.open(vm.config_path, os.O_RDWR)
    except FileNotFoundError:
        raise vm_missing(vm.name) from None
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Failure(f'VM "{vm.name}" is running') from None
    wait_for_guest(vm)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(vm.config_path)
    call.fire("during", names=[vm.name])
    remove_stubborn(vm.path)
    os.close(fd)
