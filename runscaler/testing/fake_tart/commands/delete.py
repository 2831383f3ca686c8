"""`delete`: of local VMs and cached images."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import remove_tree, remove_tree_being_written
from runscaler.testing.fake_tart.guest_process import wait_for_guest
from runscaler.testing.fake_tart.images import Image, cache_root
from runscaler.testing.fake_tart.output import Failure, vm_missing
from runscaler.testing.fake_tart.vms import Vm

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
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
    """A directory without config.json "does not exist" and is left."""
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
    remove_tree_being_written(vm.path)
    os.close(fd)
