"""Runners as child processes of the daemon that outlive it (docs/behaviour.md § 7.3).

For the demo, for tests, and for hosts without a container engine. `runner_directory` is one runner's
directory with the marks in it, `runner_inventory` all runners of one owner, `launch` starts a runner,
`process_tree` finds and kills its processes (in the host's `process_table`), `termination` lets them end by
themselves first, `watch` reports its end.
"""

from __future__ import annotations

from runscaler.backends.process.backend import ProcessBackend
from runscaler.backends.process.factory import ProcessBackendFactory, factory

__all__ = ["ProcessBackend", "ProcessBackendFactory", "factory"]
