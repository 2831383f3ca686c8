"""Every error that runscaler raises on purpose.

    RunscalerError            one line: what failed, why, what to do
    ├── ConfigError           the configuration file or the environment is wrong (holds all findings)
    │   └── UsageError        a flag is wrong
    ├── HostError             this host cannot run the daemon: lock held, port taken, no state directory
    ├── UpdateFailed          this program could not be updated: the old executable is in its place
    ├── GitHubError           a call to GitHub failed
    │   ├── Unreachable       no usable reply: DNS, connection, timeout, TLS (retryable)
    │   │   └── MalformedReply  the reply cannot be parsed (retryable)
    │   ├── ServerError       5xx, or 429 without a time to wait (retryable)
    │   ├── RateLimited       GitHub says how long to wait (retryable)
    │   ├── AccessDenied      the credential is wrong, expired or lacks a permission
    │   ├── NotFound          the URL names nothing that the credential may see
    │   ├── SessionConflict   another listener holds the scale set
    │   ├── SessionGone       our message session expired or was deleted
    │   ├── QueueTokenExpired the message queue's token expired: refresh the session
    │   ├── ScaleSetGone      the scale set was deleted
    │   ├── RunnerExists      a runner of this name exists already
    │   ├── JobStillRunning   the runner has a job and must not be removed
    │   └── Refused           any other definite refusal
    ├── BackendError          a backend operation failed
    │   ├── BackendDown       the engine, tool or controller does not answer
    │   ├── ImageMissing      the image does not exist locally and cannot be pulled
    │   └── StartFailed       a runner's resource could not be created or started
    │       └── VmLimitReached  the host already runs as many VMs as it may
    └── Interrupted           the call was cut on purpose (a stop, a changed capacity)

`str(error)` is the line; `error.fixes` says what to do about it, most likely fix first. Exceptions of
libraries are translated where the library is called, with `raise … from`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.findings import Finding


class RunscalerError(Exception):
    """The base class. `exit_code` is the exit code of a command that fails with this error."""

    exit_code = 1

    def __init__(self, what: str, *, fixes: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.fixes = tuple(fixes)


class ConfigError(RunscalerError):
    """The configuration cannot be used. `findings` holds all problems, not only the first."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(finding.message for finding in self.findings))


class UsageError(ConfigError):
    """At least one finding is about a flag: wrong usage (docs/behaviour.md § 3)."""

    exit_code = 2


class HostError(RunscalerError):
    """A problem of this host that will not go away by waiting."""


class UpdateFailed(RunscalerError):
    """The program could not be updated. The executable that was there still is, unchanged."""


class GitHubError(RunscalerError):
    """A call to GitHub failed. `status` is 0 if there was no reply; `request_id` is GitHub's."""

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
    """There was no usable reply: DNS, connection, TLS, timeout, or a malformed body."""

    retryable = True


class MalformedReply(Unreachable):
    """A reply with a success status whose body cannot be parsed (faults F8, F9)."""


class ServerError(GitHubError):
    """GitHub answered 5xx, or 429 without saying how long to wait."""

    retryable = True


class RateLimited(GitHubError):
    """GitHub asked us to wait for `retry_after` seconds."""

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
    """The credential is wrong, expired or lacks a permission; retried only every 60 s."""


class NotFound(GitHubError):
    """The URL names nothing that exists, or nothing that the credential may see."""


class SessionConflict(GitHubError):
    """Another listener holds the scale set (docs/protocol.md § 4.5)."""


class SessionGone(GitHubError):
    """Our message session expired or was deleted: create a new one."""


class QueueTokenExpired(GitHubError):
    """401 on the message queue: refresh the session, then repeat once (docs/protocol.md § 5.1)."""


class ScaleSetGone(GitHubError):
    """Somebody deleted the scale set: find it or create it again."""


class RunnerExists(GitHubError):
    """A runner of this name exists: use another name (docs/protocol.md § 4.6)."""


class JobStillRunning(GitHubError):
    """GitHub refuses to remove the runner because a job was assigned to it."""


class Refused(GitHubError):
    """A definite refusal for which there is no other class."""


class BackendError(RunscalerError):
    """A backend operation failed."""


class BackendDown(BackendError):
    """The engine, tool or controller behind a backend does not answer."""


class ImageMissing(BackendError):
    """The runner image does not exist locally and could not be pulled."""


class StartFailed(BackendError):
    """A runner's resource could not be created or started. Nothing of it is left."""


class VmLimitReached(StartFailed):
    """The host already runs as many VMs as it may, no matter whose: wait, do not count a failure."""


class Interrupted(RunscalerError):
    """The blocking call was cut on purpose. Nothing failed."""

    def __init__(self) -> None:
        super().__init__("interrupted")
