"""Reports the ends of runner processes: at once if the system tells of their exit, else by polling.

The system tells of any process's exit, so also of adopted runners, which are no children of ours.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from runscaler.backends.base import (
    BackendAvailable,
    BackendUnavailable,
    ResourceEnded,
    ResourceState,
    WatchCrashed,
)
from runscaler.backends.wakeable_selector import WakeableSelector
from runscaler.errors import BackendError
from runscaler.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.base import Observation, Resource
    from runscaler.backends.process_exit import ExitDescriptor

POLL_INTERVAL = 0.5
"""Seconds between checks of processes without an exit descriptor."""
LIST_RETRY = 5.0
"""Seconds between attempts to list the runners while that fails."""


class ProcessWatch:
    """One thread that reports the end of each runner that it follows, once.

    `running` returns the pids of all running runners by resource id, `find` a resource as it is now (None
    if it is gone); both may raise `BackendError`.
    """

    def __init__(
        self,
        running: Callable[[], dict[str, int]],
        find: Callable[[str], Resource | None],
        report: Callable[[Observation], None],
        exit_descriptor: Callable[[int], ExitDescriptor | None],
    ) -> None:
        self._running = running
        self._find = find
        self._report = report
        self._exit_descriptor = exit_descriptor
        self._followed: dict[str, ExitDescriptor | None] = {}
        self._new: deque[tuple[str, int]] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._selector = WakeableSelector()

    def start(self) -> None:
        self._thread = start_thread(
            self._run, "process-watch", lambda error: self._report(WatchCrashed(error))
        )

    def follow(self, resource_id: str, pid: int) -> None:
        """Report its end, at once if it has ended. From any thread."""
        self._new.append((resource_id, pid))
        self._selector.wake()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()
        self._selector.wake()
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._list_running()
            while not self._stopping.is_set():
                self._follow_new()
                for resource_id in self._wait():
                    self._check(resource_id)
        finally:
            self._release()

    def _list_running(self) -> None:
        """Report the backend as down while the runners cannot be listed."""
        reported = False
        while not self._stopping.is_set():
            try:
                running = self._running()
            except BackendError as error:
                if not reported:
                    self._report(BackendUnavailable(str(error), error.fixes))
                reported = True
                self._stopping.wait(LIST_RETRY)
            else:
                self._new.extend(running.items())
                self._report(BackendAvailable())
                return

    def _follow_new(self) -> None:
        while self._new:
            resource_id, pid = self._new.popleft()
            if resource_id not in self._followed:
                descriptor = self._exit_descriptor(pid)
                self._followed[resource_id] = descriptor
                if descriptor is not None:
                    self._selector.register(descriptor, resource_id)

    def _wait(self) -> list[str]:
        """The runners that may have ended: those whose exit was signalled, and those that must be polled."""
        polled = [resource_id for resource_id, descriptor in self._followed.items() if descriptor is None]
        ready = self._selector.select(POLL_INTERVAL if polled else None)
        return polled + [key.data for key in ready]

    def _check(self, resource_id: str) -> None:
        try:
            resource = self._find(resource_id)
        except BackendError:
            self._unfollow(resource_id)
            self._followed[resource_id] = None  # to be polled
            return
        if resource is not None and resource.state is ResourceState.RUNNING:
            return
        self._unfollow(resource_id)
        ending, key = (resource.ending, resource.key) if resource else (None, None)
        self._report(ResourceEnded(resource_id, ending, key))

    def _unfollow(self, resource_id: str) -> None:
        descriptor = self._followed.pop(resource_id)
        if descriptor is not None:
            self._selector.unregister(descriptor)
            descriptor.close()

    def _release(self) -> None:
        for resource_id in list(self._followed):
            self._unfollow(resource_id)
        self._selector.close()
