"""Which containers hold a dead mount of the engine's socket (docs/behaviour.md § 6.5a).

A bind mount keeps the file that it began with. An engine that starts again makes its socket anew, and with
`live-restore` containers live through that: nobody listens any more behind their mounts. Where somebody else
holds the socket, as systemd does, it stays, and the mounts are good.

The proof is the engine's own: the file that a mount would find now was made after the container was.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from runscaler.backends.docker.api import path_stat, seconds_of
from runscaler.backends.docker.container import ENGINE_SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runscaler.backends.docker.api import EngineApi, Inspection

DEAD_MOUNT = "the engine was started again, and the runner's mount of its socket is dead"
SOCKET_MODE = 1 << 24
"""The bit of a socket in the engine's file modes, which are Go's."""
RESOLUTION = 1.0
"""Seconds to which the engine tells when it created a container, and what time it has."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """A container with such a mount. `created` is in whole seconds of the engine's clock."""

    container: str
    created: float
    source: str
    target: str


class SocketMounts:
    """Thread-safe. The engine is asked once for each socket, and again when it may have been started anew."""

    def __init__(self, own_socket: str | None) -> None:
        """`own_socket`: the engine's socket as this program reaches it, None if it does not."""
        self._own_socket = own_socket
        self._made: dict[str, float] = {}
        """When the file at each path was made, by the engine's clock; 0 if that cannot be told."""

    def forget(self) -> None:
        """The engine answers again: it may be another process, with another socket."""
        self._made = {}

    def dead(self, api: EngineApi, listed: Iterable[Inspection]) -> set[str]:
        """The ids of the containers in the engine's list whose mount is proved to be dead."""
        made = self._made
        holders = [holder for container in listed for holder in self._holders(container)]
        for source in {holder.source for holder in holders} - made.keys():
            asked = next(holder for holder in holders if holder.source == source)
            found = _made_at(api, asked)
            if found is not None:
                made[source] = found
        return {
            holder.container
            for holder in holders
            if made.get(holder.source, 0.0) >= holder.created + RESOLUTION
        }

    def mounts_socket(self, container: Inspection) -> bool:
        """Does a container, listed or inspected, mount the engine's socket?"""
        return any(True for _ in self._mounted(container))

    def _holders(self, container: Inspection) -> Iterator[_Holder]:
        created = container.get("Created")
        if isinstance(created, int):
            for source, target in self._mounted(container):
                yield _Holder(str(container["Id"]), float(created), source, target)

    def _mounted(self, container: Inspection) -> Iterator[tuple[str, str]]:
        mounts = container.get("Mounts")
        for mount in mounts if isinstance(mounts, list) else ():
            source, target = str(mount.get("Source", "")), str(mount.get("Destination", ""))
            if mount.get("Type") == "bind" and (target == ENGINE_SOCKET or source == self._own_socket):
                yield source, target


def _made_at(api: EngineApi, holder: _Holder) -> float | None:
    """When the file that its mount would find now was made; None if the container is gone.

    0 for what is no socket, and for one from the future: then somebody has set the clock, and nothing is
    proved.
    """
    stat, date = path_stat(api, holder.container, holder.target)
    if stat is None:
        return None
    mode = stat.get("mode")
    if not isinstance(mode, int) or not mode & SOCKET_MODE:
        return 0.0
    made = seconds_of(str(stat.get("mtime", "")))
    return made if made < _now(date) + RESOLUTION else 0.0


def _now(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0
