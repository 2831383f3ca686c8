"""How busy the daemon's host is. Docker engines and VMs may be elsewhere; this is where the daemon runs."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.config.model import HostSettings
    from runscaler.web.health import Json


def host_gauge(folder: Path, limits: HostSettings) -> Json:
    """Bytes of memory, and of the file system that `folder` is on; what cannot be read is None.

    `load` is the number of processes that run or wait for a processor, over the last minute. `limits` are
    those of `[host]` at which no runner starts, None where there is none.
    """
    from runscaler import host_facts
    from runscaler.host_facts import told

    load, memory = told(host_facts.load), told(host_facts.memory)
    disk = told(partial(host_facts.disk, folder))
    return {
        "cpus": os.cpu_count(),
        "load": None if load is None else round(load, 2),
        "memory_bytes": memory and memory.size,
        "memory_available_bytes": memory and memory.available,
        "disk_bytes": disk and disk.size,
        "disk_free_bytes": disk and disk.free,
        "limits": {
            "max_load": limits.max_load or None,
            "min_free_memory_bytes": limits.min_free_memory or None,
            "min_free_disk_bytes": limits.min_free_disk or None,
        },
    }
