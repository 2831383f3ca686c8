"""Runners in macOS virtual machines, driven through the `tart` command (docs/behaviour.md § 7.2, docs/tart.md).

`cli` runs one command, `texts` reads what it answers, `home` and `vm` are its files; `slots` and
`places` are the host's places, `intents`, `record` and `inventory` what is written down about our VMs;
`boot` makes a VM ready, `guest` speaks with it, `watch` notices its end, `remove` makes it go.
"""

from __future__ import annotations

from runscaler.backends.tart.backend import TartBackend
from runscaler.backends.tart.kind import TartKind
from runscaler.backends.tart.timings import Timings

__all__ = ["Timings", "TartBackend", "TartKind", "kind"]

kind = TartKind()
