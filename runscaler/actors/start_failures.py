"""Which part of a start failed, as the metrics name it."""

from __future__ import annotations

from runscaler.errors import GitHubError, ImageMissing, RateLimited, RunscalerError, ServerError, Unreachable
from runscaler.metrics.words import FailureReason, LossReason

VERSION_REFUSED = 7
"""The exit code of a runner whose version GitHub refuses (docs/protocol.md § 8.2)."""
_NO_ANSWER = (Unreachable, ServerError, RateLimited)
_OF_CONTAINER = {"start": FailureReason.START}
_OF_VM = {
    "boot": FailureReason.BOOT_TIMEOUT,
    "jit": FailureReason.GUEST_AGENT,
    "start": FailureReason.INJECT,
}


def failure_reason(error: RunscalerError, phase: str, *, is_vm: bool, overdue: bool) -> FailureReason:
    """`phase` is the one that was under way; `overdue`: its start-timeout has passed."""
    if isinstance(error, GitHubError):
        return FailureReason.JIT_TIMEOUT if isinstance(error, _NO_ANSWER) else FailureReason.JIT_REJECTED
    if isinstance(error, ImageMissing):
        return FailureReason.IMAGE
    if overdue:
        return FailureReason.START_TIMEOUT
    return (_OF_VM if is_vm else _OF_CONTAINER).get(phase, FailureReason.CREATE)


def early_end_reason(
    exit_code: int | None, *, out_of_memory: bool, vanished: bool, outdated: bool
) -> FailureReason:
    """Of a runner that was up and ended before a job."""
    if outdated or exit_code == VERSION_REFUSED:
        return FailureReason.RUNNER_OUTDATED
    if out_of_memory:
        return FailureReason.OOM
    return FailureReason.REMOVED_EXTERNALLY if vanished else FailureReason.EXITED_BEFORE_JOB


def loss_reason(exit_code: int | None, signal: int | None, *, out_of_memory: bool) -> LossReason:
    """Of a runner that ended with a job on it. A shell reports a signal as 128 and more."""
    if out_of_memory:
        return LossReason.OOM
    killed = signal is not None or (exit_code is not None and exit_code > 128)
    return LossReason.KILLED if killed else LossReason.UNKNOWN
