"""Records independently of the daemon which containers existed on an engine, and how many at once."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from docker.errors import DockerException
from requests.exceptions import RequestException
from support.daemon import CLOCK, POLL_SECONDS, wait_until
from support.engine import connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker import APIClient
    from docker.types import CancellableStream

PREFIX = "io.runscaler"


class Holder(NamedTuple):
    """The scale set, slot and runner of a container."""

    scale_set: str
    slot: str
    runner: str


@dataclass
class EngineWatch:
    """A context that follows the engine's events about the containers of one state directory.

    If the engine goes away, it waits for it and counts the containers that exist then.
    """

    url: str
    state_dir: Path
    alive: dict[str, Holder] = field(default_factory=dict)
    """Existing containers by id."""
    most: Counter[str] = field(default_factory=Counter)
    """The largest number of containers that each scale set had at once, from create to destroy."""
    most_living: Counter[str] = field(default_factory=Counter)
    """The same from start to end: not those that never started, or had ended and were still there."""
    runners: list[str] = field(default_factory=list)
    """The runner of each container that was created."""
    intruders: list[str] = field(default_factory=list)
    """The runners that were created in a slot that another container still held."""
    overlaps: list[str] = field(default_factory=list)
    """Those of them whose predecessor had not even ended."""
    ended: set[str] = field(default_factory=set)
    """Containers by id whose main process has ended."""
    _started: set[str] = field(default_factory=set)
    _counted: set[str] = field(default_factory=set)

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
        """Wait until it has seen the end of all containers."""
        wait_until(lambda: not self.alive, "the end of all containers")

    def names(self) -> set[str]:
        """The runners whose containers exist."""
        return {one.runner for one in list(self.alive.values())}

    def _watch(self) -> None:
        while not self._over.is_set():
            try:
                with connect(self.url) as api:
                    self._follow(api)
            except (DockerException, RequestException):
                pass  # the engine is not running
            self._over.wait(POLL_SECONDS)

    def _follow(self, api: APIClient) -> None:
        labels = [f"{PREFIX}.state-dir={self.state_dir}"]
        filters = {"type": ["container"], "event": ["create", "start", "die", "destroy"], "label": labels}
        # The engine sends its headers before it subscribes; with `since` it repeats what happens in between.
        self._stream = api.events(since=f"{CLOCK.wall():.9f}", decode=True, filters=filters)
        listed = api.containers(all=True, filters={"label": labels})
        for gone in self.alive.keys() - {each["Id"] for each in listed}:
            del self.alive[gone]
        for each in listed:
            if each["State"] in ("exited", "dead"):
                self.ended.add(each["Id"])  # while nobody watched
        for each in listed:
            self._count(each["Id"], each["Labels"])
            if each["State"] == "running":
                self._note_start(each["Id"])
        self._watches.set()
        for event in self._stream:
            self._see(event)

    def _see(self, event: dict[str, Any]) -> None:
        container = event["Actor"]["ID"]
        match event["Action"]:
            case "create":
                self._count(container, event["Actor"]["Attributes"])
            case "start":
                self._note_start(container)
            case "die":
                self.ended.add(container)
            case "destroy":
                self.alive.pop(container, None)

    def _note_start(self, container: str) -> None:
        self._started.add(container)
        living = [one for id_, one in self.alive.items() if id_ in self._started - self.ended]
        for scale_set, count in Counter(one.scale_set for one in living).items():
            self.most_living[scale_set] = max(self.most_living[scale_set], count)

    def _count(self, container: str, marks: Mapping[str, str]) -> None:
        if container in self._counted:
            return
        self._counted.add(container)
        made = Holder(*(marks[f"{PREFIX}.{name}"] for name in ("scale-set", "slot", "runner")))
        neighbours = [one for one in self.alive.values() if one.scale_set == made.scale_set]
        in_slot = [id_ for id_, one in self.alive.items() if one[:2] == made[:2]]
        if in_slot:
            self.intruders.append(made.runner)
        if not self.ended.issuperset(in_slot):
            self.overlaps.append(made.runner)
        self.alive[container] = made
        self.runners.append(made.runner)
        self.most[made.scale_set] = max(self.most[made.scale_set], len(neighbours) + 1)
