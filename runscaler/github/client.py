"""The real `ScaleSetService`, over HTTP; `connect` makes one for each scale set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.github.actions_client import ActionsClient
from runscaler.github.queue import MessageQueue
from runscaler.github.retrying import RetryingCaller, RetryReporter
from runscaler.github.runners import RunnerCalls
from runscaler.github.scale_sets import ScaleSetCalls
from runscaler.github.sessions import SessionCalls
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService, TroubleReport
    from runscaler.github.identity import Identity
    from runscaler.github.pool import TransportPool

MAX_CONCURRENT_JIT_CALLS = 8


def connect(
    settings: ScaleSetSettings,
    *,
    clock: Clock,
    report: TroubleReport,
    pool: TransportPool,
    identity: Identity,
) -> ScaleSetService:
    """The service for one scale set. Makes no call yet.

    `report` is told of calls that are being retried. Raises `ConfigError` without a usable credential,
    `HostError` for an unreadable CA file, `config.urls.InvalidUrl`.
    """
    admin_tokens, transport = pool.for_scale_set(settings)
    retrying = RetryingCaller(clock, RetryReporter(report), transport.meter.repeated)
    return GitHubService(ActionsClient(admin_tokens, transport, retrying, identity), clock)


class GitHubService(ScaleSetCalls, SessionCalls, RunnerCalls):
    """`ScaleSetService` says what each call does. Thread-safe."""

    def __init__(self, actions: ActionsClient, clock: Clock) -> None:
        self._actions = actions
        self._clock = clock
        self._queue = MessageQueue(actions)
        self._jit_calls = InterruptibleSemaphore(MAX_CONCURRENT_JIT_CALLS)

    def clock_skew(self) -> float:
        return self._actions.clock_skew

    def moved_to(self) -> str:
        return self._actions.moved_to
