"""How long things last at the simulated GitHub (docs/protocol.md § 9.1), in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """One set of durations; `GITHUB` is close to the real ones, `FAST` serves demos and tests."""

    long_poll: float = 50.0
    admin_token: float = 3600.0
    queue_token: float = 3000.0
    rest_token: float = 3600.0
    session: float = 120.0
    """Without a poll or refresh for so long, a session is over."""
    agent_silence: float = 60.0
    """An idle agent that does not poll for so long is offline."""
    registration: float = 86400.0
    """An offline or never used registration is removed after this."""
    lease: float = 600.0
    pick_up: float = 60.0
    """A runner that was offered a job must start it within this."""
    start: float = 300.0
    """An assigned job that no runner started is withdrawn after this."""
    queue: float = 86400.0
    dormant: float = 7 * 86400.0
    """A scale set without a session for so long is deleted."""

    @property
    def renew(self) -> float:
        """How often a job's lease is renewed: every tenth of it."""
        return self.lease / 10


GITHUB = Timers()
FAST = Timers(
    long_poll=5.0,
    admin_token=150.0,
    queue_token=60.0,
    session=10.0,
    agent_silence=5.0,
    registration=60.0,
    lease=10.0,
    pick_up=5.0,
    start=60.0,
    queue=300.0,
)
