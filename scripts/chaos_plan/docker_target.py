"""Runners as containers of an engine, with decoys beside them."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import quote

from benchmarks.bare_engine import BareEngine, event_lines, query_filters
from urllib3.exceptions import HTTPError

from chaos_plan.target import DECOY_RUNNER, FOREIGN_OWNER, Resource
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from chaos_plan.daemon import Daemon
    from runscaler.clock import Clock

Json: TypeAlias = Any  # what came over the wire
LABEL = "io.runscaler"
DECOYS: Mapping[str, Mapping[str, str]] = {
    "another owner's runner": {
        "managed-by": "runner",
        f"{LABEL}.owner": FOREIGN_OWNER,
        f"{LABEL}.runner": DECOY_RUNNER,
        f"{LABEL}.scale-set": "chaos",
        f"{LABEL}.slot": "0",
    },
    "a runner of nobody": {"managed-by": "runner", f"{LABEL}.runner": DECOY_RUNNER},
    "somebody's container": {},
}
"""The labels of each decoy, by a description of it."""
RUNNING = ("running", "paused")
"""The states of a container whose main process lives."""
RECONNECT_SECONDS = 0.2
NANOSECONDS = 1_000_000_000
EVENT_DELAY = 0.1
"""Seconds by which an event may come late: the slot of a removed container may be in use again by then."""


class DockerTarget:
    """Watches by the engine's events; by its list if the engine may be restarted, which ends the events.

    A container counts while its main process runs: one that has ended, and that the engine would not remove
    yet, holds no slot (docs/behaviour.md § 6.5a).
    """

    def __init__(self, daemon: Daemon, url: str, image: str, clock: Clock, *, exclusive: bool) -> None:
        """`exclusive`: nobody else uses the engine, and it may be restarted."""
        self._daemon = daemon
        self._url, self._image = url, image
        self._clock, self._exclusive = clock, exclusive
        self._engine = BareEngine(url, 2)
        self._ours = f"{LABEL}.state-dir={daemon.state_dir}"
        self.snapshots: set[frozenset[Resource]] = set()
        self._decoys: dict[str, str] = {}
        self._stop = Interrupt()

    def __enter__(self) -> Self:
        self._before = self._objects()
        for what, labels in DECOYS.items():
            self._decoys[self._start_decoy(labels)] = what
        self._states_before = self._states()
        self._thread = threading.Thread(target=self._watch, name="docker-target", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for container in self._decoys:
            self._try("DELETE", f"/containers/{container}?force=1")
        self._engine.close()

    def kill(self, runner: str) -> bool:
        return self._each(runner, "POST", "/kill")

    def remove(self, runner: str) -> bool:
        return self._each(runner, "DELETE", "?force=1&v=1")

    def pause(self, runner: str) -> bool:
        return self._each(runner, "POST", "/pause")

    def resume(self, runner: str) -> None:
        self._each(runner, "POST", "/unpause")

    def runners(self) -> frozenset[str]:
        with suppress(BackendError, HTTPError, OSError):  # the engine has ended, so there are none
            return frozenset(resource_of(one["Labels"]).runner for one in self._listed(self._ours))
        return frozenset()

    def leftovers(self) -> list[str]:
        """On an engine that others use too, only what has the label of this run's daemon."""
        containers = [str(one["Names"]) for one in self._listed(self._ours)]
        new = sorted(self._objects() - self._before - {f"container {one}" for one in self._decoys})
        return containers + new + [str(path) for path in self._daemon.temporary.iterdir()]

    def changed_decoys(self) -> list[str]:
        now = self._states()
        return [
            what
            for container, what in self._decoys.items()
            if now[container] != self._states_before[container]
        ]

    def remove_all(self) -> None:
        with suppress(BackendError, HTTPError, OSError):
            self._engine.remove_labelled(self._ours)

    # -- the engine -----------------------------------------------------------------------------------

    def _start_decoy(self, labels: Mapping[str, str]) -> str:
        host = {"NetworkMode": "none", "RestartPolicy": {"Name": "always"}}
        command = ["/bin/sh", "-c", "sleep 86400"]
        body = {"Image": self._image, "Cmd": command, "Labels": labels, "HostConfig": host}
        name = quote(f"{DECOY_RUNNER}-{uuid.uuid4().hex[:8]}")
        container = str(self._json("POST", f"/containers/create?name={name}", body)["Id"])
        self._engine.ask("POST", f"/containers/{container}/start")
        return container

    def _states(self) -> dict[str, tuple[object, ...]]:
        """What somebody else could have changed; an engine that starts again also restarts the decoys."""
        return {container: self._state(container) for container in self._decoys}

    def _state(self, container: str) -> tuple[object, ...]:
        with suppress(BackendError):
            found = self._json("GET", f"/containers/{container}/json")
            state = found["State"]
            began = "" if self._exclusive else state["StartedAt"]
            return (found["Name"], state["Running"], state["Paused"], began)
        return ()

    def _objects(self) -> set[str]:
        """Volumes, networks and containers; on a shared engine only volumes and networks with our label."""
        ours = "" if self._exclusive else f"filters={query_filters(label=[self._ours])}"
        volumes = self._json("GET", f"/volumes?{ours}")["Volumes"] or []
        networks = self._json("GET", f"/networks?{ours}")
        found = {f"volume {one['Name']}" for one in volumes} | {f"network {one['Name']}" for one in networks}
        if self._exclusive:
            found |= {f"container {one['Id']}" for one in self._json("GET", "/containers/json?all=1")}
        return found

    def _each(self, runner: str, method: str, action: str) -> bool:
        done = False
        with suppress(BackendError, HTTPError, OSError):  # it has just ended, or the engine does not answer
            for one in self._listed(f"{LABEL}.runner={runner}", self._ours):
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

    # -- watching -------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._exclusive:
            observe, pause = self._sample, EVENT_DELAY
        else:
            observe, pause = self._follow, RECONNECT_SECONDS
        with suppress(Interrupted):
            while True:
                with suppress(BackendError, HTTPError, OSError):
                    observe()
                self._stop.wait(pause)

    def _sample(self) -> None:
        self.snapshots.add(frozenset(self._running()))

    def _running(self) -> set[Resource]:
        return {resource_of(one["Labels"]) for one in self._listed(self._ours) if one["State"] in RUNNING}

    def _follow(self) -> None:
        """The events overlap the list: those from before it was complete can only repeat what it says."""
        began = self._clock.wall()
        here = self._running()
        since = self._clock.wall()
        wanted = query_filters(type=["container"], event=["start", "die", "destroy"], label=[self._ours])
        stream = BareEngine(self._url, 1).stream(f"/events?since={began:.9f}&filters={wanted}")
        with self._stop.cancelling(stream.shutdown):
            for event in event_lines(stream.stream(1 << 16)):
                at = event["timeNano"] / NANOSECONDS
                self._note(here, at - since)
                resource = resource_of(event["Actor"]["Attributes"])
                (here.add if event["Action"] == "start" else here.discard)(resource)
                since = max(since, at)
        self._note(here, self._clock.wall() - since)

    def _note(self, here: set[Resource], seconds: float) -> None:
        """Take a snapshot if these resources existed together for longer than an event may be late."""
        if seconds > EVENT_DELAY:
            self.snapshots.add(frozenset(here))


def resource_of(labels: Mapping[str, str]) -> Resource:
    return Resource(labels[f"{LABEL}.runner"], labels[f"{LABEL}.scale-set"])
