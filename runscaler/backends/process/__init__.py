"""Runners as child processes of the daemon that outlive it (docs/behaviour.md § 7.3).

For the demo, for tests, and for hosts without a container engine. `home` is a runner's directory
and the marks in it, `launch` what is run there, `tree` its processes (found in a `census` of the
host's), `homes` all of one owner's, `watch` notices their ends.
"""

from __future__ import annotations

from runscaler.backends.process.backend import ProcessBackend, ProcessBackendFactory

__all__ = ["ProcessBackend", "ProcessBackendFactory", "factory"]

factory = ProcessBackendFactory()
