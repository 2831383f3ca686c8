"""The durations of the simulated GitHub (docs/protocol.md § 9.1), in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """A set of durations: `GITHUB` is close to the real ones, `FAST` is for demos and tests."""

    long_poll: float = 50.0
    admin_token: float = 3600.0
    queue_token: float = 3000.0
    rest_token: float = 3600.0
    session: float = 50.0
    """A session expires after this time without a poll or refresh."""
    agent_silence: float = 60.0
    """An idle runner is offline after this time without a poll."""
    registration: float = 86400.0
    """An offline or unused registration is removed after this time."""
    lease: float = 600.0
    pick_up: float = 60.0
    """A runner must start the job that it was offered within this time."""
    start: float = 300.0
    """The assignment of a job that no runner has started is withdrawn after this time."""
    queue: float = 86400.0
    dormant: float = 7 * 86400.0
    """A scale set is deleted after this time without a session."""

    @property
    def renew(self) -> float:
        """The interval at which agents renew a lease."""
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
