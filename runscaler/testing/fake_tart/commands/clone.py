"""`clone`: copies a local VM, or a cached image, which is pulled first if it is missing."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.commands.pull import pull
from runscaler.testing.fake_tart.files import (
    copy_file,
    copy_tree,
    flocked,
    remove_tree_being_written,
    write_json,
)
from runscaler.testing.fake_tart.images import Image, cache_root
from runscaler.testing.fake_tart.syntax import usage_error
from runscaler.testing.fake_tart.tmp_entries import tmp_entry
from runscaler.testing.fake_tart.vms import DISK_FILES, Vm, local_vms

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
    source_name, new_name = call.words
    if "/" in new_name:
        raise usage_error("clone", "<new-name> should be a local name")
    source = source_of_clone(call, source_name)
    with tmp_entry(call) as entry, flocked(call.home):
        mac = source.config()["macAddress"]
        taken = any(vm.config()["macAddress"] == mac for vm in local_vms(call.home))
        made = Vm(call.home, new_name, os.path.join(entry, "vm"))
        copy_vm(source, made)
        if taken and not source.is_suspended():
            write_json(made.config_path, made.config() | {"macAddress": call.knobs.random.mac()})
        call.knobs.pause("clone")
        call.fire("during")
        replace_vm(made.path, Vm(call.home, new_name).path, os.path.join(entry, "old"))


def source_of_clone(call: Call, name: str) -> Vm:
    if "/" not in name:
        return Vm(call.home, name).require_complete()
    image = Image(name)
    if not image.digest(cache_root(call.home)):
        pull(call, image)
    path = os.path.realpath(image.path(cache_root(call.home)))
    os.utime(path)
    return Vm(call.home, name, path).require_complete()


def copy_vm(source: Vm, made: Vm) -> None:
    """The files that tart copies, and the guest's, which the real tart has in the disk image."""
    os.mkdir(made.path)
    for name in ("config.json", *DISK_FILES):
        copy_file(source.file(name), made.file(name))
    if source.is_suspended():
        copy_file(source.file("state.vzvmsave"), made.file("state.vzvmsave"))
    if os.path.isdir(source.file("guest")):
        copy_tree(source.file("guest"), made.file("guest"))


def replace_vm(made: str, target: str, aside: str) -> None:
    """Move it to its name, whatever VM has that name, running or not (docs/tart.md § 1)."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(target, aside)
    os.rename(made, target)
    if os.path.exists(aside):
        remove_tree_being_written(aside)
