"""Which group the mounted engine socket has, as containers see it (docs/behaviour.md § 7.1).

That is another one than on the engine's host where the engine is rootless, remaps users or runs in a VM, and
the daemon may run on another host. The engine's archive of a path leaves sockets out, so that a container
that looks at it is the only one that can tell: it runs `stat` of the runner image for a moment.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError

from runscaler.backends.docker import answers
from runscaler.backends.docker.container import ENGINE_SOCKET, RUNNER_USER, security_options
from runscaler.backends.docker.containers import discard
from runscaler.backends.docker.errors import explanation
from runscaler.backends.docker.labels import helper_labels
from runscaler.errors import BackendError
from runscaler.net.semaphore import InterruptibleSemaphore

if TYPE_CHECKING:
    from runscaler.backends.base import BackendContext
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.config.model import ScaleSetSettings
    from runscaler.interrupt import Interrupt

LOOK_SECONDS = 15.0
UNDO_SECONDS = 5.0
UNMAPPED = 65534
"""The group that a container sees where the real one has no number in it: no process can belong to it."""
FORMAT = "%f %g"
ANSWER = re.compile(rb"^([0-9a-f]{1,8}) ([0-9]{1,10})$", re.MULTILINE)
SOCKET_TYPE, TYPE_MASK = 0o140000, 0o170000
GROUP_MAY_WRITE, ALL_MAY_WRITE = 0o020, 0o002


@dataclass(frozen=True, slots=True)
class SeenSocket:
    """What a container sees at the mount. `group` is None if that could not be told, for the reason `why`."""

    group: int | None = None
    mode: int = 0
    why: str = ""

    @property
    def trouble(self) -> str:
        """Why jobs cannot use the socket, as far as that is certain; else empty."""
        if self.group is None:
            return ""
        if self.mode & TYPE_MASK != SOCKET_TYPE:
            return "it is no socket"
        if self.mode & ALL_MAY_WRITE:
            return ""
        if not self.mode & GROUP_MAY_WRITE:
            return "only its owner may use it"
        if self.group == UNMAPPED:
            return "its group has no number in the containers, whose users are mapped to others of the host"
        return ""

    @property
    def usable_group(self) -> int | None:
        return None if self.group == UNMAPPED else self.group


class SocketGroups:
    """Thread-safe. A container looks once for each socket, and again when the engine may be another one."""

    def __init__(self, engine: Engine, context: BackendContext) -> None:
        self._engine = engine
        self._context = context
        self._looking = InterruptibleSemaphore(1)
        self._seen: dict[str, SeenSocket] = {}

    def forget(self) -> None:
        """The engine answers again: it may be another process, with another socket."""
        self._seen = {}

    def look(self, settings: ScaleSetSettings, interrupt: Interrupt) -> SeenSocket:
        """Whose image must be on the engine. Raises `BackendError` where no runner can be created either."""
        path, seen = settings.docker.dind_path, self._seen
        with self._looking.held(interrupt):
            if path not in seen:
                seen[path] = self._look(path, settings, interrupt)
            return seen[path]

    def _look(self, path: str, settings: ScaleSetSettings, interrupt: Interrupt) -> SeenSocket:
        body, name = _body(settings, self._context), f"runner-look-{self._context.owner[:8]}"
        doing = f"look at the engine socket {path} in a container"
        try:
            with self._engine.call(doing, interrupt, seconds=LOOK_SECONDS) as api:
                discard(api, name)  # left by a daemon that was killed here
                made = api.create_container_from_config(body, name, settings.docker.platform or None)
                return _seen_by(api, answers.identifier(made["Id"], "the id of a new container"))
        finally:
            # Also where the look was cut, which cancels the calls in it.
            with suppress(BackendError), self._engine.call(doing, seconds=UNDO_SECONDS) as api:
                discard(api, name)


def _seen_by(api: EngineApi, container: str) -> SeenSocket:
    try:
        api.start(container)
        api.wait(container)
        return answer_of(b"".join(api.logs(container, stream=True, follow=False, tail=10)))
    except APIError as error:
        return SeenSocket(why=explanation(error))


def answer_of(output: bytes) -> SeenSocket:
    """What `stat` printed."""
    found = ANSWER.search(output)
    if found is None:
        said = " ".join(output.decode(errors="replace").split())[:200]
        return SeenSocket(why=f"stat in the runner image says: {said or 'nothing'}")
    return SeenSocket(int(found[2]), int(found[1], 16))


def _body(settings: ScaleSetSettings, context: BackendContext) -> dict[str, object]:
    mount = {"Type": "bind", "Source": settings.docker.dind_path, "Target": ENGINE_SOCKET}
    return {
        "Image": settings.runner_image,
        "User": RUNNER_USER,
        "Entrypoint": ["stat"],
        "Cmd": ["-c", FORMAT, ENGINE_SOCKET],
        "Labels": helper_labels("socket", context),
        "HostConfig": {
            "Mounts": [mount],
            "NetworkMode": "none",
            "SecurityOpt": security_options(settings.docker),
        },
    }
