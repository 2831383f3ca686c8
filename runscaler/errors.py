"""Every error that runscaler raises on purpose.

    RunscalerError            one clear line: what failed, why, what to do
    ├── ConfigError           the user's file or environment is wrong (holds all findings)
    │   └── UsageError        a flag is wrong
    ├── HostError             this host cannot run the daemon: lock held, port taken, no state directory
    ├── GitHubError           a call to GitHub failed
    │   ├── Unreachable       no usable reply: DNS, connection, time-out, TLS (retryable)
    │   │   └── Unreadable    a reply that is garbage (retryable)
    │   ├── ServerError       5xx, or 429 that names no time (retryable)
    │   ├── RateLimited       GitHub asked us to wait
    │   ├── AccessDenied      the credential is wrong, expired, or lacks a right
    │   ├── NotFound          the thing addressed does not exist
    │   ├── SessionConflict   another listener holds the scale set
    │   ├── SessionGone       our message session is over
    │   ├── QueueTokenExpired the message queue's token is over: refresh the session
    │   ├── ScaleSetGone      the scale set was deleted
    │   ├── RunnerExists      a runner of that name exists already
    │   ├── JobStillRunning   the runner has a job and must not be removed
    │   └── Refused           any other definite no
    ├── BackendError          a backend could not do what it was told
    │   ├── BackendDown       the engine, tool or controller does not answer
    │   ├── ImageMissing      the image is not there and cannot be had
    │   └── StartFailed       a runner's resource could not be created or started
    │       └── PlacesTaken   the host runs as many VMs as it may
    └── Interrupted           the call was cut on purpose (a stop, a changed capacity)

`str(error)` is the line; `error.fixes` are possible cures, most likely first.
Foreign exceptions are translated at the edge that knows them, with `raise … from`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.findings import Finding


class RunscalerError(Exception):
    """The root of the tree. `exit_code` is what a command that ends by it exits with."""

    exit_code = 1

    def __init__(self, what: str, *, fixes: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.fixes = tuple(fixes)


class ConfigError(RunscalerError):
    """The configuration is unusable; `findings` holds every problem, not only the first."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(finding.message for finding in self.findings))


class UsageError(ConfigError):
    """At least one of the findings is about a flag: wrong usage (docs/behaviour.md § 3)."""

    exit_code = 2


class HostError(RunscalerError):
    """This host's own trouble, which cannot mend itself while we wait."""


class GitHubError(RunscalerError):
    """A call to GitHub failed. `status` is 0 where no reply came; `request_id` is GitHub's."""

    retryable = False

    def __init__(
        self,
        what: str,
        *,
        status: int = 0,
        request_id: str = "",
        fixes: Sequence[str] = (),
    ) -> None:
        super().__init__(what, fixes=fixes)
        self.status = status
        self.request_id = request_id


class Unreachable(GitHubError):
    """No usable reply came: DNS, connection, TLS, time-out, or a body that is not what it should be."""

    retryable = True


class Unreadable(Unreachable):
    """A success whose content is not what it should be (faults F8, F9)."""


class ServerError(GitHubError):
    """GitHub answered 5xx, or 429 without saying how long to wait."""

    retryable = True


class RateLimited(GitHubError):
    """GitHub asked for patience; `retry_after` is in seconds."""

    retryable = True

    def __init__(
        self,
        what: str,
        *,
        retry_after: float,
        status: int = 429,
        request_id: str = "",
        fixes: Sequence[str] = (),
    ) -> None:
        super().__init__(what, status=status, request_id=request_id, fixes=fixes)
        self.retry_after = retry_after


class AccessDenied(GitHubError):
    """The credential is wrong, expired or lacks a right; not retried quickly (every 60 s)."""


class NotFound(GitHubError):
    """What the URL names does not exist, or the credential may not see it."""


class SessionConflict(GitHubError):
    """Another listener holds the scale set (docs/protocol.md § 4.5)."""


class SessionGone(GitHubError):
    """Our message session expired or was deleted: make a new one."""


class QueueTokenExpired(GitHubError):
    """401 on the message queue: refresh the session, then repeat once (docs/protocol.md § 5.1)."""


class ScaleSetGone(GitHubError):
    """The scale set was deleted under us: find or create it again."""


class RunnerExists(GitHubError):
    """A runner of that name exists: take a new name (docs/protocol.md § 4.6)."""


class JobStillRunning(GitHubError):
    """GitHub refuses to remove the runner because a job was assigned to it."""


class Refused(GitHubError):
    """A definite no that none of the others names."""


class BackendError(RunscalerError):
    """A backend could not do what it was told."""


class BackendDown(BackendError):
    """The engine, tool or controller behind a backend does not answer."""


class ImageMissing(BackendError):
    """The runner image is not there and could not be had."""


class StartFailed(BackendError):
    """A runner's resource could not be created or started; nothing of it is left."""


class PlacesTaken(StartFailed):
    """The host runs as many VMs as it may, whoever they belong to: waiting, not a failure."""


class Interrupted(RunscalerError):
    """The blocking call was cut on purpose; nothing is wrong."""

    def __init__(self) -> None:
        super().__init__("interrupted")
