"""`clone`."""

from __future__ import annotations

import contextlib
import os

from runscaler.testing.fake_tart.call import Call, usage
from runscaler.testing.fake_tart.files import copy_file, copy_tree, flocked, remove_stubborn, write_json
from runscaler.testing.fake_tart.images import Image, cache_root
from runscaler.testing.fake_tart.pulling import pull
from runscaler.testing.fake_tart.temporary import temporary
from runscaler.testing.fake_tart.vms import DISK_FILES, Vm, local_vms


def do_clone(call: Call) -> None:
    source_name, new_name = call.words
    if "/" in new_name:
        raise usage("clone", "<new-name> should be a local name")
    source = source_of_clone(call, source_name)
    with temporary(call) as entry, flocked(call.home):
        mac = source.config()["macAddress"]
        taken = any(vm.config()["macAddress"] == mac for vm in local_vms(call.home))
        made = Vm(call.home, new_name, os.path.join(entry, "vm"))
        copy_vm(source, made)
        if taken and not source.suspended():
            write_json(made.config_path, made.config() | {"macAddress": call.knobs.chance.mac()})
        call.knobs.pause("clone")
        call.fire("during")
        replace_vm(made.path, Vm(call.home, new_name).path, os.path.join(entry, "old"))


def source_of_clone(call: Call, name: str) -> Vm:
    """A local VM, or a cached image, which is pulled first if it is not there."""
    if "/" not in name:
        return Vm(call.home, name).opened()
    image = Image(name)
    if not image.digest(cache_root(call.home)):
        pull(call, image)
    path = os.path.realpath(image.path(cache_root(call.home)))
    os.utime(path)
    return Vm(call.home, name, path).opened()


def copy_vm(source: Vm, made: Vm) -> None:
    """What tart copies, and the guest's files, which the real one has in the disk."""
    os.mkdir(made.path)
    for name in ("config.json", *DISK_FILES):
        copy_file(source.file(name), made.file(name))
    if source.suspended():
        copy_file(source.file("state.vzvmsave"), made.file("state.vzvmsave"))
    if os.path.isdir(source.file("guest")):
        copy_tree(source.file("guest"), made.file("guest"))


def replace_vm(made: str, place: str, aside: str) -> None:
    """Put it in its place, whatever is there, running or not (docs/tart.md § 1)."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(place, aside)
    os.rename(made, place)
    if os.path.exists(aside):
        remove_stubborn(aside)
