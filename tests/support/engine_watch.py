"""An independent witness at the engine: which containers there were, and how many at once."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from docker.errors import DockerException
from requests.exceptions import RequestException
from support.daemon import GLANCE, wait_until
from support.engine import connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker import APIClient
    from docker.types import CancellableStream

PREFIX = "io.runscaler"


class Holder(NamedTuple):
    """Whose a container is."""

    scale_set: str
    slot: str
    runner: str


@dataclass
class EngineWatch:
    """Follows the engine's event stream for the containers of one state directory; a context.

    An engine that goes is waited for, and what it has then is counted as well.
    """

    url: str
    state_dir: Path
    alive: dict[str, Holder] = field(default_factory=dict)
    """What there is, by the container's id."""
    most: Counter[str] = field(default_factory=Counter)
    """The most containers that a scale set ever had at once, from create to destroy."""
    runners: list[str] = field(default_factory=list)
    """The runner of each container that was made."""
    intruders: list[str] = field(default_factory=list)
    """The runners that were made in a slot that another container still held."""

    def __enter__(self) -> Self:
        self._over, self._watches = threading.Event(), threading.Event()
        self._stream: CancellableStream | None = None
        self._thread = threading.Thread(target=self._watch, name="engine-watch", daemon=True)
        self._thread.start()
        assert self._watches.wait(60), "the engine cannot be watched"
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._stream is not None:
            self._stream.close()
        self._thread.join()

    def settle(self) -> None:
        """Returns when it has seen all containers go."""
        wait_until(lambda: not self.alive, "the end of all containers")

    def names(self) -> set[str]:
        """The runners whose containers there are."""
        return {one.runner for one in list(self.alive.values())}

    def _watch(self) -> None:
        while not self._over.is_set():
            try:
                with connect(self.url) as api:
                    self._follow(api)
            except (DockerException, RequestException):
                pass  # it is not there
            self._over.wait(GLANCE)

    def _follow(self, api: APIClient) -> None:
        labels = [f"{PREFIX}.state-dir={self.state_dir}"]
        filters = {"type": ["container"], "event": ["create", "destroy"], "label": labels}
        self._stream = api.events(decode=True, filters=filters)
        listed = api.containers(all=True, filters={"label": labels})
        for gone in self.alive.keys() - {each["Id"] for each in listed}:
            del self.alive[gone]
        for each in listed:
            self._count(each["Id"], each["Labels"])
        self._watches.set()
        for event in self._stream:
            self._see(event)

    def _see(self, event: dict[str, Any]) -> None:
        if event["Action"] == "create":
            self._count(event["Actor"]["ID"], event["Actor"]["Attributes"])
        else:
            self.alive.pop(event["Actor"]["ID"], None)

    def _count(self, container: str, marks: Mapping[str, str]) -> None:
        if container in self.alive:
            return
        made = Holder(*(marks[f"{PREFIX}.{name}"] for name in ("scale-set", "slot", "runner")))
        neighbours = [one for one in self.alive.values() if one.scale_set == made.scale_set]
        if any(one.slot == made.slot for one in neighbours):
            self.intruders.append(made.runner)
        self.alive[container] = made
        self.runners.append(made.runner)
        self.most[made.scale_set] = max(self.most[made.scale_set], len(neighbours) + 1)
