"""Runners that are containers of an engine, and containers that only look like them."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import quote

from benchmarks.bare_engine import BareEngine, event_lines, query_filters
from urllib3.exceptions import HTTPError

from chaos_plan.ground import BYSTANDER, STRANGER, Lodger
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from chaos_plan.daemon import Daemon
    from runscaler.clock import Clock

Json: TypeAlias = Any  # what came over the wire
MARKS = "io.runscaler"
LOOKALIKES: Mapping[str, Mapping[str, str]] = {
    "another owner's runner": {
        "managed-by": "runner",
        f"{MARKS}.owner": STRANGER,
        f"{MARKS}.runner": BYSTANDER,
        f"{MARKS}.scale-set": "chaos",
        f"{MARKS}.slot": "0",
    },
    "a runner of nobody": {"managed-by": "runner", f"{MARKS}.runner": BYSTANDER},
    "somebody's container": {},
}
"""Labels by what the bystander is."""
RECONNECT = 0.2
NANOSECONDS = 1_000_000_000
BLINK = 0.1
"""Seconds. The engine has forgotten a container a moment before it says so: its place may be taken."""


class DockerGround:
    """The engine's own events tell what exists; its list, where it may end and take its events along."""

    def __init__(self, daemon: Daemon, url: str, image: str, clock: Clock, *, alone: bool) -> None:
        """`alone`: nobody else uses the engine, which may also end and start again."""
        self._daemon = daemon
        self._url, self._image = url, image
        self._clock, self._alone = clock, alone
        self._engine = BareEngine(url, 2)
        self._ours = f"{MARKS}.state-dir={daemon.state_dir}"
        self.crowds: set[frozenset[Lodger]] = set()
        self._bystanders: dict[str, str] = {}
        self._over = Interrupt()

    def __enter__(self) -> Self:
        self._before = self._things()
        for what, labels in LOOKALIKES.items():
            self._bystanders[self._made(labels)] = what
        self._was = self._states()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for container in self._bystanders:
            self._try("DELETE", f"/containers/{container}?force=1")
        self._engine.close()

    def kill(self, runner: str) -> bool:
        return self._each(runner, "POST", "/kill")

    def take_away(self, runner: str) -> bool:
        return self._each(runner, "DELETE", "?force=1&v=1")

    def pause(self, runner: str) -> bool:
        return self._each(runner, "POST", "/pause")

    def resume(self, runner: str) -> None:
        self._each(runner, "POST", "/unpause")

    def runners(self) -> frozenset[str]:
        with suppress(BackendError, HTTPError, OSError):  # an engine that has ended has none
            return frozenset(lodger_of(one["Labels"]).runner for one in self._listed(self._ours))
        return frozenset()

    def left(self) -> list[str]:
        """On an engine that others use too, only what bears our label."""
        containers = [str(one["Names"]) for one in self._listed(self._ours)]
        new = sorted(self._things() - self._before - {f"container {one}" for one in self._bystanders})
        return containers + new + [str(path) for path in self._daemon.temporary.iterdir()]

    def touched(self) -> list[str]:
        now = self._states()
        return [
            what for container, what in self._bystanders.items() if now[container] != self._was[container]
        ]

    def clear(self) -> None:
        with suppress(BackendError, HTTPError, OSError):
            self._engine.remove_labelled(self._ours)

    # -- the engine -----------------------------------------------------------------------------------

    def _made(self, labels: Mapping[str, str]) -> str:
        host = {"NetworkMode": "none", "RestartPolicy": {"Name": "always"}}
        command = ["/bin/sh", "-c", "sleep 86400"]
        body = {"Image": self._image, "Cmd": command, "Labels": labels, "HostConfig": host}
        name = quote(f"{BYSTANDER}-{uuid.uuid4().hex[:8]}")
        container = str(self._json("POST", f"/containers/create?name={name}", body)["Id"])
        self._engine.ask("POST", f"/containers/{container}/start")
        return container

    def _states(self) -> dict[str, tuple[object, ...]]:
        """What a stranger's hand would change; an engine that starts again starts them again, too."""
        return {container: self._state(container) for container in self._bystanders}

    def _state(self, container: str) -> tuple[object, ...]:
        with suppress(BackendError):
            found = self._json("GET", f"/containers/{container}/json")
            state = found["State"]
            began = "" if self._alone else state["StartedAt"]
            return (found["Name"], state["Running"], state["Paused"], began)
        return ()

    def _things(self) -> set[str]:
        """Of an engine of our own all that takes room; else only labelled volumes and networks."""
        ours = "" if self._alone else f"filters={query_filters(label=[self._ours])}"
        volumes = self._json("GET", f"/volumes?{ours}")["Volumes"] or []
        networks = self._json("GET", f"/networks?{ours}")
        found = {f"volume {one['Name']}" for one in volumes} | {f"network {one['Name']}" for one in networks}
        if self._alone:
            found |= {f"container {one['Id']}" for one in self._json("GET", "/containers/json?all=1")}
        return found

    def _each(self, runner: str, method: str, action: str) -> bool:
        done = False
        with suppress(BackendError, HTTPError, OSError):  # it has just ended by itself, or the engine is away
            for one in self._listed(f"{MARKS}.runner={runner}", self._ours):
                self._engine.ask(method, f"/containers/{one['Id']}{action}")
                done = True
        return done

    def _listed(self, *labels: str) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = self._json(
            "GET", f"/containers/json?all=1&filters={query_filters(label=list(labels))}"
        )
        return found

    def _try(self, method: str, path: str) -> None:
        with suppress(BackendError, HTTPError, OSError):
            self._engine.ask(method, path)

    def _json(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        return json.loads(self._engine.ask(method, path, body))

    # -- who is there ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        look, pause = (self._sample, BLINK) if self._alone else (self._follow, RECONNECT)
        with suppress(Interrupted):
            while True:
                with suppress(BackendError, HTTPError, OSError):
                    look()
                self._over.wait(pause)

    def _sample(self) -> None:
        self.crowds.add(frozenset(lodger_of(one["Labels"]) for one in self._listed(self._ours)))

    def _follow(self) -> None:
        """Events from before the list was complete only bring it up to date: each one's last word counts."""
        began = self._clock.wall()
        here = {lodger_of(one["Labels"]) for one in self._listed(self._ours)}
        since = self._clock.wall()
        wanted = query_filters(type=["container"], event=["create", "destroy"], label=[self._ours])
        stream = BareEngine(self._url, 1).stream(f"/events?since={began:.9f}&filters={wanted}")
        with self._over.cancelling(stream.shutdown):
            for event in event_lines(stream.stream(1 << 16)):
                at = event["timeNano"] / NANOSECONDS
                self._note(here, at - since)
                lodger = lodger_of(event["Actor"]["Attributes"])
                (here.add if event["Action"] == "create" else here.discard)(lodger)
                since = max(since, at)
        self._note(here, self._clock.wall() - since)

    def _note(self, here: set[Lodger], seconds: float) -> None:
        if seconds > BLINK:
            self.crowds.add(frozenset(here))


def lodger_of(labels: Mapping[str, str]) -> Lodger:
    return Lodger(labels[f"{MARKS}.runner"], labels[f"{MARKS}.scale-set"])
