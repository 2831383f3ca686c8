"""How long each step may take (docs/tart.md § 6, 10, 13), in seconds; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The defaults are what a loaded Mac needs at its worst."""

    answer: float = 10.0
    """A command that only reads: `--version`, `list`."""
    clone: float = 120.0
    silence: float = 600.0
    """A pull, also one inside a clone, has no limit of its own, but says something within this."""
    set: float = 15.0
    inject: float = 30.0
    look: float = 5.0
    """A question to the guest: the runner's log, its processes."""
    socket_probe: float = 0.25
    probe_every: float = 0.05
    exec_probe: float = 3.0
    exec_probe_pause: float = 0.25
    socket_doubt: float = 5.0
    """A control socket that tells nothing for so long is not believed alone: execs ask too."""
    quit: float = 5.0
    """From SIGINT to SIGKILL for `tart run`, and again from SIGKILL until we give up."""
    delete: float = 15.0
    delete_again: float = 0.2
    """After a failed one; longer each time, up to ten times as long."""
    deletions: float = 30.0
    """All attempts of one removal; the caller tries the next."""
    still_running: float = 10.0
    """A VM that `delete` calls running is killed after this."""
    prune: float = 300.0
    poll: float = 1.0
    """Between looks at VMs whose end the system does not tell us."""
    guest_again: float = 1.0
    """Before a lost look at a runner is taken up again."""
    pulse: float = 30.0
    """Between looks at waiting VMs; two that fail mean that the guest hangs."""
    tool: float = 5.0
    """Between looks whether tart is still installed."""
