"""Runners in macOS VMs, driven through the `tart` command (docs/behaviour.md § 7.2, docs/tart.md § 1).

| modules | about |
| --- | --- |
| `cli`, `output_errors`, `pull_listener`, `version` | running one command and interpreting its output |
| `home`, `vm`, `images`, `processes` | TART_HOME, the VMs and images in it, and tart's processes |
| `slot_locks`, `vm_slots` | the VM slots of the host |
| `record`, `intents`, `vm_inventory` | the files in which we describe our VMs |
| `starter`, `boot`, `clone`, `start_deadline`, `removal` | making and removing VMs |
| `guest`, `background_exec` | talking to a guest |
| `vm_monitor`, `monitored_vm`, `watch` | noticing and reporting the ends of VMs and runners |
| `backend`, `kind`, `host`, `timings`, `check`, `cache_pruning` | the backend and the rest of its interface |
"""

from __future__ import annotations

from runscaler.backends.tart.backend import TartBackend
from runscaler.backends.tart.factory import TartBackendFactory
from runscaler.backends.tart.timings import Timings

__all__ = ["TartBackend", "TartBackendFactory", "Timings", "factory"]

factory = TartBackendFactory()
"""How the registry makes Tart backends."""
