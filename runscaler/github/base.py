"""What the actors need from GitHub: one `ScaleSetService` for each scale set.

`github.client.connect` makes the real one, `testing.memory_github` one in memory. Retries, rate limits,
token refreshes and the limit of 8 JIT calls at once are behind this interface and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol, Self

from runscaler.errors import RateLimited, ServerError

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
    """A message session (docs/protocol.md § 4.5).

    `refresh_session` replaces `queue_token`. `refresh_at` is when that should happen (monotonic seconds;
    docs/protocol.md § 5.1). It is None if the token does not say: refresh on `QueueTokenExpired` then.
    """

    id: SessionId
    scale_set_id: ScaleSetId
    queue_url: str
    queue_token: Secret
    statistics: Statistics | None
    refresh_at: float | None = None


@dataclass(frozen=True, slots=True)
class ScaleSetChange:
    """What to change about a scale set; None: leave it as it is."""

    name: str | None = None
    runner_group_id: int | None = None
    labels: tuple[str, ...] | None = None
    updates_disabled: bool | None = None

    def __bool__(self) -> bool:
        return self != ScaleSetChange()


@dataclass(frozen=True, slots=True)
class JitConfig:
    """The registration of one runner: its id at GitHub, and the configuration that the runner starts with."""

    runner_id: int
    runner: RunnerName
    encoded: Secret


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a call fails, and when it is tried again. Shown until a call succeeds; logged once for each kind.

    `retry_at` is in monotonic seconds. `rate_limited`: GitHub asked for the wait.
    """

    reason: str
    retry_at: float
    fixes: tuple[str, ...] = ()
    rate_limited: bool = False
    kind: str = ""
    """Equal for two reasons that mean the same in other words. Empty: the reason itself tells."""

    @classmethod
    def of(cls, error: GitHubError, retry_at: float) -> Self:
        """The kind of a reply is its error and status, because request ids and names differ each time; all
        errors of the server are one kind, as an outage shows several in turn. For a rate limit the reason
        counts, as it says how long the wait is."""
        limited = isinstance(error, RateLimited)
        kind = f"{type(error).__name__} {error.status}" if error.status and not limited else ""
        if isinstance(error, ServerError):
            kind = ServerError.__name__
        return cls(str(error), retry_at, error.fixes, limited, kind)


class TroubleReport(Protocol):
    """Called on the thread that makes the call; with None when calls succeed again."""

    def __call__(self, trouble: Trouble | None, /) -> None: ...


class ScaleSetService(Protocol):
    """GitHub's side of one scale set, with its credential and config URL.

    All calls block, may be made by several threads at once, and raise only `GitHubError` and, once their
    interrupt is set, `Interrupted`. `retry_for` is how many seconds a call is retried before the last
    error is raised; 0: not at all, None: for ever.
    """

    def clock_skew(self) -> float:
        """Seconds that this host's clock is ahead of GitHub's, by the latest reply; negative: behind, 0: not
        known. Makes no call; `github.clock_skew.clock_words` says it to people."""

    def moved_to(self) -> str:
        """The config URL with the names that GitHub uses now, after a rename; empty while they are the
        configured ones, or not known. Makes no call; `github.renames.moved_words` says it to people."""

    def group_id(self, name: str, interrupt: Interrupt, retry_for: float | None = 30.0) -> int:
        """The id of a runner group; 1 for "default", without a call. `NotFound` lists those that exist."""

    def find_scale_set(
        self, name: str, group_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        """By its name in a runner group; None if there is none. `Refused` if there are several."""

    def scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        """By its id, whatever its name and group are now; None if it was deleted."""

    def create_scale_set(
        self,
        name: str,
        group_id: int,
        labels: Sequence[str],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        """Raises `Refused` if the name exists already: find that one and update it."""

    def update_scale_set(
        self,
        scale_set_id: ScaleSetId,
        change: ScaleSetChange,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        """What it is afterwards, as far as GitHub tells: it may keep its labels (fault F93). Raises
        `ScaleSetGone`."""

    def delete_scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 10.0
    ) -> None:
        """No error if it was deleted already. Raises `Refused` while a job runs on one of its runners."""

    def open_session(
        self,
        scale_set_id: ScaleSetId,
        owner_name: str,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> Session:
        """Raises `SessionConflict` while another listener has a session on the scale set, `ScaleSetGone`."""

    def refresh_session(
        self, session: Session, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> Session:
        """The session with a new queue token and new statistics. Raises `SessionGone` if it is over."""

    def close_session(
        self,
        scale_set_id: ScaleSetId,
        session_id: SessionId,
        interrupt: Interrupt,
        retry_for: float | None = 10.0,
    ) -> None:
        """No error if it is closed already."""

    def poll(
        self, session: Session, last_message_id: int, capacity: int, interrupt: Interrupt
    ) -> Batch | None:
        """Wait up to 120 s for the next batch; None if there was none.

        `capacity` is how many runners the scale set could have at most. Never retries; raises
        `QueueTokenExpired`, `SessionGone` and whatever else went wrong.
        """

    def acknowledge(
        self, session: Session, batch_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> None:
        """Delete a batch that was handled. No error if it was deleted already. Raises as `poll` does."""

    def acquirable_jobs(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> tuple[JobAvailable, ...]:
        """The jobs that the scale set could acquire now. Raises `ScaleSetGone`."""

    def acquire_jobs(
        self,
        session: Session,
        request_ids: Sequence[int],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> tuple[int, ...]:
        """Acquire jobs; returns the request ids of those that the scale set got. Raises `QueueTokenExpired`,
        `ScaleSetGone`."""

    def jit_config(
        self,
        scale_set_id: ScaleSetId,
        runner: RunnerName,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> JitConfig:
        """Register a runner. Raises `RunnerExists`, `ScaleSetGone`.

        Not repeated once GitHub may have seen it: the caller takes a new name and removes the registration
        of the old one, if there is one (docs/protocol.md § 4.6).
        """

    def runner(
        self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        """By its id; None if it is not registered."""

    def find_runner(
        self, name: RunnerName, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        """By its name; None if it is not registered."""

    def remove_runner(self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0) -> None:
        """No error if it was removed already. Raises `JobStillRunning` if it has a job."""
