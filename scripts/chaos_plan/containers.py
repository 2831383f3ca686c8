"""Runners that are containers of an engine, and a container that only looks like one."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import quote

from benchmarks.bare_engine import BareEngine, event_lines, query_filters

from chaos_plan.ground import BYSTANDER, STRANGER
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from chaos_plan.daemon import Daemon

Json: TypeAlias = Any  # what came over the wire


class DockerGround:
    """The engine's own events tell what exists."""

    def __init__(self, daemon: Daemon, url: str, image: str) -> None:
        self._daemon = daemon
        self._url, self._image = url, image
        self._engine = BareEngine(url, 2)
        self._ours = f"io.runscaler.state-dir={daemon.state_dir}"
        self.crowds: set[frozenset[str]] = set()
        self._bystander = ""

    def __enter__(self) -> Self:
        labels = {"managed-by": "runner", "io.runscaler.owner": STRANGER, "io.runscaler.runner": BYSTANDER}
        body = {
            "Image": self._image,
            "Cmd": ["/bin/sh", "-c", "sleep 86400"],
            "Labels": labels,
            "HostConfig": {"NetworkMode": "none"},
        }
        name = quote(f"{BYSTANDER}-{os.getpid()}")
        self._bystander = self._json("POST", f"/containers/create?name={name}", body)["Id"]
        self._engine.ask("POST", f"/containers/{self._bystander}/start")
        events = BareEngine(self._url, 1)
        wanted = query_filters(type=["container"], event=["create", "destroy"], label=[self._ours])
        self._events = events.stream(f"/events?filters={wanted}")
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.shutdown()
        self._thread.join()
        self._engine.ask("DELETE", f"/containers/{self._bystander}?force=1")
        self._engine.close()

    def kill(self, runner: str) -> bool:
        killed = False
        for one in self._listed(f"io.runscaler.runner={runner}"):
            with suppress(BackendError):  # it has just ended by itself
                self._engine.ask("POST", f"/containers/{one['Id']}/kill")
                killed = True
        return killed

    def left(self) -> list[str]:
        containers = [str(one["Names"]) for one in self._listed(self._ours)]
        return containers + [str(path) for path in self._daemon.temporary.iterdir()]

    def bystanders_live(self) -> bool:
        with suppress(BackendError):
            state = self._json("GET", f"/containers/{self._bystander}/json")["State"]
            return bool(state["Running"])
        return False

    def clear(self) -> None:
        self._engine.remove_labelled(self._ours)

    def _listed(self, label: str) -> list[dict[str, object]]:
        path = f"/containers/json?all=1&filters={query_filters(label=[label])}"
        found: list[dict[str, object]] = self._json("GET", path)
        return found

    def _json(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        return json.loads(self._engine.ask(method, path, body))

    def _follow(self) -> None:
        here: set[str] = set()
        for event in event_lines(self._events.stream(1 << 16)):
            runner = event["Actor"]["Attributes"]["io.runscaler.runner"]
            (here.add if event["Action"] == "create" else here.discard)(runner)
            self.crowds.add(frozenset(here))
