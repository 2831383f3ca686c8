"""The job labels of our runners, for those whose container somebody else removes (docs/behaviour.md § 7.1).

The label of a runner's container tells what its job left beside it. Where the container is gone, only this
daemon, which wrote the label or saw it in a list, still knows it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runscaler.backends.docker.labels import JOB_LABEL, labels_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.backends.docker.api import Inspection
    from runscaler.backends.docker.socket_mounts import SocketMounts

MOST = 10_000
"""So many are kept; the oldest go first. One is dropped as soon as its runner is removed."""


class JobLabels:
    """Of runners with the engine's socket, by the ids of their containers. Thread-safe."""

    def __init__(self, socket_mounts: SocketMounts) -> None:
        self._socket_mounts = socket_mounts
        self._lock = threading.Lock()
        self._labels: dict[str, str] = {}

    def keep(self, container: str, label: str) -> None:
        with self._lock:
            self._labels[container] = label
            while len(self._labels) > MOST:
                del self._labels[next(iter(self._labels))]

    def listed(self, containers: Iterable[Inspection]) -> None:
        """Those of our containers in the engine's list."""
        for one in containers:
            label = labels_of(one).get(JOB_LABEL)
            if label and self._socket_mounts.mounts_socket(one):
                self.keep(str(one.get("Id")), label)

    def of(self, container: str) -> str:
        """Empty if none is known."""
        with self._lock:
            return self._labels.get(container, "")

    def forget(self, container: str) -> None:
        with self._lock:
            self._labels.pop(container, None)
