"""`prune`: of the caches only, never of VMs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import allocated, remove_tree
from runscaler.testing.fake_tart.images import cached_images
from runscaler.testing.fake_tart.knobs import DAY
from runscaler.testing.fake_tart.output import Failure

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call

GIBI = 1 << 30


def run(call: Call) -> None:
    if not call.has("--older-than", "--space-budget", "--gc"):
        raise Failure("Error: at least one pruning criteria must be specified", 64)
    call.knobs.pause("prune")
    if call.options.get("--entries", "caches") != "caches":
        raise Failure("Error: the fake does not prune VMs")
    entries = prunable(call.home)
    if call.has("--older-than"):
        latest = time.time() - call.number("--older-than") * DAY
        prune([path for accessed, path in entries if accessed <= latest])
    if call.has("--space-budget"):
        prune(over_budget(prunable(call.home), call.number("--space-budget") * GIBI))
    call.fire("during")


def prunable(home: str) -> list[tuple[float, str]]:
    """(last access, path) of images and IPSWs, the latest first."""
    folder = os.path.join(home, "cache", "IPSWs")
    paths = {path for _, path in cached_images(home)}
    paths |= {os.path.join(folder, name) for name in os.listdir(folder)}
    return sorted(((os.stat(path).st_atime, path) for path in paths), reverse=True)


def over_budget(entries: list[tuple[float, str]], budget: int) -> list[str]:
    pruned = []
    for _, path in entries:
        size = allocated(path)
        if size <= budget:
            budget -= size
        else:
            pruned.append(path)
    return pruned


def prune(paths: list[str]) -> None:
    for path in paths:
        if os.path.isfile(path):
            os.unlink(path)
            continue
        remove_tree(path)
        folder = os.path.dirname(path)
        for name in os.listdir(folder):
            link = os.path.join(folder, name)
            if os.path.islink(link) and not os.path.exists(link):
                os.unlink(link)
