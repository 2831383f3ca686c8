"""Notices the ends of processes as they happen: by pidfds where the system has them, else by looking.

A pidfd also tells of processes that are no children of ours, which adopted runners are.
"""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.backends.base import BackendAvailable, BackendUnavailable, ResourceEnded, ResourceState
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.base import Observation, Resource

LOOK_EVERY = 0.5
"""Seconds between looks at processes that there is no pidfd for."""
LIST_EVERY = 5.0
"""Seconds between attempts to list the runners when that fails."""


class ProcessWatch:
    """One thread that reports the ends of the processes it follows, each once.

    `running` lists ids and pids; `look` gives a resource as it is now, None where it is not there.
    """

    def __init__(
        self,
        running: Callable[[], dict[str, int]],
        look: Callable[[str], Resource | None],
        report: Callable[[Observation], None],
        pidfd_open: Callable[[int], int] | None,
    ) -> None:
        self._running = running
        self._look = look
        self._report = report
        self._pidfd_open = pidfd_open
        self._followed: dict[str, int | None] = {}
        self._new: deque[tuple[str, int]] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="process-watch", daemon=True)
        self._selector = selectors.DefaultSelector()
        self._wake_lock = threading.Lock()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)

    def start(self) -> None:
        self._thread.start()

    def follow(self, resource_id: str, pid: int) -> None:
        """From any thread: report when it ends, at once if it has."""
        self._new.append((resource_id, pid))
        self._wake()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _wake(self) -> None:
        with self._wake_lock, suppress(BlockingIOError):
            if self._wake_writer >= 0:
                os.write(self._wake_writer, b"!")

    def _run(self) -> None:
        try:
            self._begin()
            while not self._stopping.is_set():
                self._take_new()
                for resource_id in self._suspects():
                    self._look_at(resource_id)
        finally:
            self._release()

    def _begin(self) -> None:
        """List what runs; an unreadable directory is this thing's way of being down."""
        said = False
        while not self._stopping.is_set():
            try:
                running = self._running()
            except BackendError as error:
                if not said:
                    self._report(BackendUnavailable(str(error), error.fixes))
                said = True
                self._stopping.wait(LIST_EVERY)
            else:
                self._new.extend(running.items())
                self._report(BackendAvailable())
                return

    def _take_new(self) -> None:
        while self._new:
            resource_id, pid = self._new.popleft()
            if resource_id not in self._followed:
                self._followed[resource_id] = self._open(resource_id, pid)

    def _open(self, resource_id: str, pid: int) -> int | None:
        if self._pidfd_open is None:
            return None
        try:
            descriptor = self._pidfd_open(pid)
        except OSError:
            return None
        self._selector.register(descriptor, selectors.EVENT_READ, resource_id)
        return descriptor

    def _suspects(self) -> list[str]:
        """Wait until something may have ended: those whose pidfd says so, and those without one."""
        unseen = [resource_id for resource_id, descriptor in self._followed.items() if descriptor is None]
        ready = self._selector.select(LOOK_EVERY if unseen else None)
        if any(key.fd == self._wake_reader for key, _ in ready):
            os.read(self._wake_reader, 4096)
        return unseen + [key.data for key, _ in ready if key.data is not None]

    def _look_at(self, resource_id: str) -> None:
        try:
            resource = self._look(resource_id)
        except BackendError:
            self._unfollow(resource_id)
            self._followed[resource_id] = None  # looked at again in a while
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
            os.close(descriptor)

    def _release(self) -> None:
        for resource_id in list(self._followed):
            self._unfollow(resource_id)
        self._selector.close()
        with self._wake_lock:
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            self._wake_writer = -1
