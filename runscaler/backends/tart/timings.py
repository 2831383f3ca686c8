"""Timeouts and polling intervals of the Tart backend, in seconds (docs/tart.md § 6, 10, 13)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timings:
    """The defaults suit a heavily loaded Mac; tests shorten them."""

    query: float = 10.0
    """A command that only reads: `--version`, `list`."""
    clone: float = 120.0
    pull_silence: float = 600.0
    """Without new output. A pull, also one inside a clone, has no limit on its total duration."""
    set: float = 15.0
    inject: float = 30.0
    guest_query: float = 5.0
    """A question to the guest: the runner's state, its log, its processes."""
    socket_probe: float = 0.25
    probe_interval: float = 0.05
    """Between probes of a guest that boots."""
    exec_probe: float = 3.0
    exec_probe_interval: float = 0.25
    socket_only: float = 5.0
    """How long a booting guest is probed through its control socket alone, before execs are tried too."""
    signal_grace: float = 5.0
    """From SIGINT to SIGKILL for `tart run`, and from SIGKILL to giving up."""
    delete: float = 15.0
    delete_retry: float = 0.2
    """Before the first retry of a delete; the pause doubles, up to ten times this."""
    delete_total: float = 30.0
    """All attempts of one removal; after that the caller has to try again."""
    delete_kill_after: float = 10.0
    """A VM that `delete` still calls running is killed after this."""
    prune: float = 300.0
    exit_poll: float = 1.0
    """Between checks of VMs whose exit the system does not report."""
    runner_watch_retry: float = 1.0
    """Between the starts of two execs that wait for a runner's end."""
    warm_probe_interval: float = 30.0
    """Between probes of a warm VM; two that fail in a row mean that its guest hangs."""
    tool_check_interval: float = 5.0
    """Between checks that tart is still installed."""
