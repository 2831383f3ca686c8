"""The page of `GET /metrics` (docs/metrics.md)."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

import psutil

from runscaler import host_facts
from runscaler.metrics import own
from runscaler.metrics.exposition import CONTENT_TYPE, Exposition
from runscaler.metrics.gauges import orphans
from runscaler.metrics.words import ActorKind
from runscaler.web.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.metrics.family import Family
    from runscaler.metrics.metrics import Metrics
    from runscaler.metrics.series import Labels
    from runscaler.status import Status

Gauges = dict["Family", "Mapping[Labels, float]"]


class MetricsPage:
    """Rendered when it is asked for. Asks no actor, and takes no lock that an actor takes: it has one for the
    readers, as there may be several."""

    def __init__(self, metrics: Metrics) -> None:
        self._exposition = Exposition(metrics)
        self._process = psutil.Process()
        self._rendering = threading.Lock()

    def reply(self, status: Status, now: float) -> Reply:
        """`now` is in wall-clock seconds."""
        gauges = {**_process_gauges(self._process), **_host_gauges(status)}
        with self._rendering:
            text = self._exposition.text(status, now, gauges)
        return Reply(HTTPStatus.OK, text.encode(errors="replace"), CONTENT_TYPE)


def _process_gauges(process: psutil.Process) -> Gauges:
    """The standard ones; what the platform does not tell is left out."""
    with process.oneshot():
        memory, cpu, threads = process.memory_info(), process.cpu_times(), process.num_threads()
        values = {
            own.PROCESS_CPU: cpu.user + cpu.system,
            own.PROCESS_MEMORY: memory.rss,
            own.PROCESS_VIRTUAL: memory.vms,
            own.PROCESS_STARTED: process.create_time(),
            own.THREADS: threads,
        }
    values[own.PROCESS_FDS] = process.num_fds()
    values[own.PROCESS_MAX_FDS] = _most_files()
    return {family: {(): value} for family, value in values.items()}


def _most_files() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _host_gauges(status: Status) -> Gauges:
    """What costs nothing to look at; the guards publish the rest."""
    load, memory = host_facts.told(host_facts.load), host_facts.told(host_facts.memory)
    return {
        own.ORPHANS: orphans(status),
        own.HOST_LOAD: {} if load is None else {(): load},
        own.HOST_MEMORY: {} if memory is None else {(): memory.available},
        own.HOST_RUNNERS: {(): sum(one.total for one in status.scale_sets)},
        own.ACTORS: {
            (ActorKind.LISTENER,): sum(one.listening for one in status.scale_sets),
            (ActorKind.RUNNER,): sum(one.actors for one in status.scale_sets),
        },
    }
