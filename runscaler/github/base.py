"""What the actors need from GitHub: one `ScaleSetService` per scale set.

`github.client.connect` makes the real one, `testing.memory_github` the in-memory one.
All calls block, may be made from several threads at once, and end early with `Interrupted` when
their interrupt is set. They raise `GitHubError`s only. Retries, rate limits, token refreshes and the
bound of 8 JIT calls in flight are behind this line and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol, Self

from runscaler.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.config.secrets import Secret
    from runscaler.errors import GitHubError
    from runscaler.github.messages import (
        Batch,
        JobAvailable,
        RegisteredRunner,
        RunnerScaleSet,
        Statistics,
    )
    from runscaler.interrupt import Interrupt
    from runscaler.names import RunnerName

ScaleSetId = NewType("ScaleSetId", int)
SessionId = NewType("SessionId", str)


@dataclass(frozen=True, slots=True)
class Session:
    """A message session (docs/protocol.md § 4.5). `queue_token` is refreshed by `refresh_session` only.

    `refresh_at` is when to do that early (monotonic seconds; docs/protocol.md § 5.1), None where the token
    does not tell: then the 401 does.
    """

    id: SessionId
    scale_set_id: ScaleSetId
    queue_url: str
    queue_token: Secret
    statistics: Statistics | None
    refresh_at: float | None = None


@dataclass(frozen=True, slots=True)
class JitConfig:
    """A registration made for one runner: its id at GitHub and what the runner starts with."""

    runner_id: int
    runner: RunnerName
    encoded: Secret


@dataclass(frozen=True, slots=True)
class Trouble:
    """A call that does not succeed and is being retried: shown, once per kind, until it ends.

    `retry_at` is on the monotonic clock. `rate_limited` tells a wait that GitHub asked for.
    """

    reason: str
    retry_at: float
    fixes: tuple[str, ...] = ()
    rate_limited: bool = False
    kind: str = ""
    """The same for what is the same trouble in other words; empty: the reason is."""

    @classmethod
    def of(cls, error: GitHubError, retry_at: float) -> Self:
        """What GitHub answered tells a kind by its status: request ids and names differ each time. The
        words of a limit say how long it is, so they count."""
        limited = isinstance(error, RateLimited)
        kind = f"{type(error).__name__} {error.status}" if error.status and not limited else ""
        return cls(str(error), retry_at, error.fixes, limited, kind)


class TroubleReport(Protocol):
    """Called on the thread that makes the call; None when calls succeed again."""

    def __call__(self, trouble: Trouble | None, /) -> None: ...


class ScaleSetService(Protocol):
    """GitHub's side for one scale set (its credential and config URL).

    `retry_for` is how long, in seconds, a call goes on retrying retryable errors before it raises
    the last one; None: for ever (the listener).
    """

    def group_id(self, name: str, interrupt: Interrupt, retry_for: float | None = 30.0) -> int:
        """The runner group's id; "default" is 1 without a call. `NotFound` names the groups there are."""

    def find_scale_set(
        self, name: str, group_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None: ...

    def scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        """By its id, whatever its name and group are now; None where it is gone."""

    def create_scale_set(
        self,
        name: str,
        group_id: int,
        labels: Sequence[str],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        """Raises `Refused` when the name exists already: find it and update it then."""

    def update_scale_set(
        self,
        scale_set_id: ScaleSetId,
        name: str,
        group_id: int,
        labels: Sequence[str],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet: ...

    def delete_scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 10.0
    ) -> None:
        """Gone already is fine; `Refused` while a job runs on one of its runners."""

    def open_session(
        self,
        scale_set_id: ScaleSetId,
        owner_name: str,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> Session:
        """Raises `SessionConflict` while another listener holds the set, `ScaleSetGone`."""

    def refresh_session(
        self, session: Session, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> Session:
        """A new queue token and fresh statistics; `SessionGone` when the session is over."""

    def close_session(
        self,
        scale_set_id: ScaleSetId,
        session_id: SessionId,
        interrupt: Interrupt,
        retry_for: float | None = 10.0,
    ) -> None:
        """Gone already is fine."""

    def poll(
        self, session: Session, last_message_id: int, capacity: int, interrupt: Interrupt
    ) -> Batch | None:
        """Wait for the next batch; None when none came within the long poll's time.

        Never retries: raises what went wrong at once (`QueueTokenExpired`, `SessionGone`,
        `Unreachable`, `RateLimited`, …).
        """

    def acknowledge(
        self, session: Session, batch_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> None:
        """Delete a batch after handling it; gone already is fine."""

    def acquirable_jobs(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> tuple[JobAvailable, ...]: ...

    def acquire_jobs(
        self,
        session: Session,
        request_ids: Sequence[int],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> tuple[int, ...]:
        """Acquire offered jobs; returns those really acquired. `QueueTokenExpired` as in `poll`."""

    def jit_config(
        self,
        scale_set_id: ScaleSetId,
        runner: RunnerName,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> JitConfig:
        """Register a runner. Never repeated after an unclear failure: the caller takes a new name
        and removes the old one (docs/protocol.md § 4.6). `RunnerExists`, `ScaleSetGone`."""

    def runner(
        self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None: ...

    def find_runner(
        self, name: RunnerName, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None: ...

    def remove_runner(self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0) -> None:
        """Gone already is fine; `JobStillRunning` when GitHub refuses."""
