"""Starts and removes containers on one Docker engine (docs/behaviour.md § 7.1)."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound
from loguru import logger
from requests.exceptions import JSONDecodeError

from runscaler.backends.base import BackendAvailable, ResourceEnded, StartStep
from runscaler.backends.certificates import read_certificates
from runscaler.backends.docker import answers, buildx_sweep, shared_volume_sweep
from runscaler.backends.docker.check import findings
from runscaler.backends.docker.companions import remove_companions
from runscaler.backends.docker.container import BUNDLE_FILE, CA_FILE, create_body
from runscaler.backends.docker.containers import is_gone, state_of
from runscaler.backends.docker.engine import CALL_SECONDS
from runscaler.backends.docker.errors import CONFLICT, is_being_removed, status
from runscaler.backends.docker.exit_pruning import tidy_up
from runscaler.backends.docker.facts import EngineFacts
from runscaler.backends.docker.image_pruning import ImagePruning
from runscaler.backends.docker.image_records import ImageRecords
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import Images
from runscaler.backends.docker.inventory import own_containers, own_resources
from runscaler.backends.docker.job_labels import JobLabels
from runscaler.backends.docker.labels import JOB_LABEL, labels_for, own_filter, resource_of
from runscaler.backends.docker.missed_ends import MissedEnds
from runscaler.backends.docker.outdated_runners import OutdatedRunners
from runscaler.backends.docker.sidecar import Sidecars, remove_sidecars
from runscaler.backends.docker.socket_group import SocketGroups
from runscaler.backends.docker.socket_mounts import SocketMounts
from runscaler.backends.docker.termination import terminate
from runscaler.backends.docker.volume import SharedVolume, file_archive
from runscaler.backends.docker.watch import SidecarLost, Watch
from runscaler.backends.marks import UnreadableResources
from runscaler.errors import BackendDown, BackendError, ImageMissing, Interrupted, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.net.admission import Turn
from runscaler.untrusted import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from runscaler.backends.base import BackendContext, Observation, Progress, Resource, RunnerOrder, Sweep
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.config.model import ScaleSetSettings
    from runscaler.findings import Finding

CREATE_GRACE = 3.0
"""Seconds that the engine may still take to create a container after an interrupt. If the call were
cancelled at once, the container could appear after we looked for it. An engine that hangs is given up."""
UNDO_SECONDS = 5.0
DISK_SECONDS = 5.0
REMOVAL_SECONDS = 30.0
POLL_SECONDS = 0.05
WORKER = "Runner.Worker"
MAX_WARNINGS = 20
"""How many different warnings are logged, once each."""


class DockerBackend:
    """See `Backend`. There is one for each engine."""

    def __init__(self, engine: Engine, context: BackendContext) -> None:
        self._engine = engine
        self._context = context
        self._image_records = ImageRecords(context.state_dir, engine.url)
        self._images = Images(engine, context.clock, self._image_records)
        self._outdated_runners = OutdatedRunners()
        self._volume = SharedVolume(engine, context)
        self._closing = Interrupt()
        self._socket_mounts = SocketMounts(engine.address.socket_path)
        self._job_labels = JobLabels(self._socket_mounts)
        self._socket_groups = SocketGroups(engine, context)
        self._sidecars = Sidecars(engine, context)
        self._facts: EngineFacts | None = None
        self._warned: set[str] = set()
        self._reported_ended: set[str] = set()
        self._missed_ends = MissedEnds(engine.url, context.clock, self._list)
        self._unreadable = UnreadableResources()

    @property
    def name(self) -> str:
        return f"docker {self._engine.url}"

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        return findings(self._engine, self._images, self._socket_groups, settings)

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        self._outdated_runners.expect(settings)
        for wanted in ImageRequest.all_of(settings):
            self._images.ensure(wanted, progress, interrupt)
        if settings.docker.shared_volume:
            self._volume.prepare(settings.runner_image, settings.docker.platform, interrupt)

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        interrupt.wait(0)
        group, facts = self._socket_group(order, interrupt), self._engine_facts(order, interrupt)
        jit = order.jit()
        labels = labels_for(order, jit, self._context)
        body = create_body(order.settings, jit.encoded, labels, group, facts)
        with self._engine.starts.one():
            container = self._create_and_start(order, body, facts, interrupt)
        resource = resource_of(container, self._context.clock.wall(), labels)
        assert resource is not None, "the labels of an order name its runner"
        self._missed_ends.started(container)
        if order.settings.docker.dind is True:
            self._job_labels.keep(container, labels.get(JOB_LABEL, ""))
        return resource

    def _create_and_start(
        self, order: RunnerOrder, body: Mapping[str, object], facts: EngineFacts, interrupt: Interrupt
    ) -> str:
        container = self._create(order, body, interrupt)
        with ExitStack() as undo:
            undo.callback(self._discard, order)
            self._add_certificates(container, order, interrupt)
            order.reached(StartStep.CREATED)
            if order.settings.docker.dind == "sidecar":
                self._start_sidecar(order, container, facts, interrupt)
            with self._starting(order, f"start {_description(order)}", interrupt) as api:
                api.start(container)
            undo.pop_all()
        return container

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt, grace: float = 0.0) -> None:
        if resource.owner != self._context.owner:
            return
        doing = f"remove container {resource.runner}"
        if force and grace:
            terminate(self._engine, resource.id, doing, grace, interrupt)
        with self._engine.call(doing, interrupt, turn=Turn.LATER) as api:
            known_label = self._job_labels.of(resource.id)
            remove_companions(api, resource, self._socket_mounts, known_label, force=force)
            if self._is_gone_after_removal(api, resource.id, force=force):
                self._job_labels.forget(resource.id)
                return
        deadline = self._context.clock.monotonic() + REMOVAL_SECONDS
        while not self._is_gone(resource, interrupt):
            if self._context.clock.monotonic() > deadline:
                raise BackendError(f"cannot {doing}: the engine {self._engine.url} is still removing it")
            self._context.clock.pause(POLL_SECONDS, interrupt)
        self._job_labels.forget(resource.id)

    def inventory(self) -> list[Resource]:
        found = self._list()
        self._missed_ends.listed(found)
        return found

    def _list(self) -> list[Resource]:
        owner = self._context.owner
        with self._engine.call("list containers") as api:
            listed = own_containers(api, owner)
            found = own_resources(
                api,
                listed,
                owner,
                self._reported_ended,
                self._socket_mounts,
                self._outdated_runners,
                self._unreadable,
            )
        self._sidecars.sweep(listed)
        self._job_labels.listed(listed)
        self._reported_ended.intersection_update(str(one.get("Id")) for one in listed)
        return found

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        kept = b""
        doing = f"read the output of container {resource.runner}"
        with self._engine.call(doing, interrupt, turn=Turn.LATER) as api:
            try:
                # A line has at least one byte, so that `tail` lines hold `tail` bytes.
                for chunk in api.logs(resource.id, stream=True, follow=False, tail=max(tail, 1)):
                    kept = (kept + chunk)[-tail:] if tail > 0 else b""
            except NotFound:
                return b""
        return kept

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        doing = f"look into container {resource.runner}"
        with self._engine.call(doing, interrupt, turn=Turn.LATER) as api:
            try:
                processes = answers.strings(api.top(resource.id)["Processes"], "the list of processes")
            except APIError as error:
                # Gone or not running: no job runs in it. With any other error the engine cannot tell, unless
                # it ended meanwhile.
                return False if status(error) in (404, CONFLICT) or _has_ended(api, resource.id) else None
            except JSONDecodeError:
                return None  # Podman answers with nothing where it cannot tell
        return any(WORKER in field for field in processes) if processes else None

    def watch(self, since: float, report: Callable[[Observation], None]) -> Watch:
        def heard(observation: Observation | SidecarLost) -> None:
            if isinstance(observation, SidecarLost):
                self._reported_ended.add(observation.container)
                report(BackendAvailable())  # so that the receiver lists
                return
            if isinstance(observation, ResourceEnded):
                self._reported_ended.add(observation.resource_id)
                self._missed_ends.heard(observation.resource_id)
            if isinstance(observation, BackendAvailable):
                self._socket_mounts.forget()
                self._socket_groups.forget()
                self._facts = None
            report(observation)

        context = self._context
        return Watch(self._engine, context.owner, context.clock, since, heard, self._missed_ends)

    def disk_paths(self) -> list[Path]:
        facts = self._known_facts(self._engine.call("ask where its images lie", seconds=DISK_SECONDS))
        root = Path(facts.data_root)
        if facts.host_name != socket.gethostname() or not root.is_absolute():
            raise BackendError("its images lie on another host, or in a VM")
        return [root]

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        own = (shared_volume_sweep.sweeps_for, buildx_sweep.sweeps_for)
        sweeps = [
            sweep
            for sweeps_for in own
            for sweep in sweeps_for(settings, self._engine, self._context, self._closing)
        ]
        return [*sweeps, *self.image_pruning(settings).sweeps()]

    def tidy_up(self, settings: Sequence[ScaleSetSettings], interrupt: Interrupt) -> str:
        return tidy_up(self._engine, self._context, settings, interrupt)

    def image_pruning(self, settings: Sequence[ScaleSetSettings]) -> ImagePruning:
        return ImagePruning(self._engine, self._context.clock, self._image_records, settings)

    def pull_interval(self, settings: ScaleSetSettings) -> float:
        return ImageRequest.of(settings).due_after

    def look_for_newer_image(self, settings: ScaleSetSettings) -> bool:
        return self._images.look_again(ImageRequest.of(settings))

    def image_built_at(self, settings: ScaleSetSettings) -> float | None:
        return self._images.built(ImageRequest.of(settings))

    def close(self) -> None:
        self._closing.set()
        self._engine.disconnect()

    def _create(self, order: RunnerOrder, body: Mapping[str, object], interrupt: Interrupt) -> str:
        platform = order.settings.docker.platform or None
        doing = f"create {_description(order)}"
        try:
            with self._starting(order, doing, interrupt, CREATE_GRACE, Turn.USUAL) as api:
                created = api.create_container_from_config(body, order.runner, platform)
                container = answers.identifier(created["Id"], "the id of a new container")
        except (BackendError, Interrupted) as error:
            # Unless the engine refused, it may have created it.
            if not status(error):
                self._discard(order)
            raise
        warnings = created.get("Warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            self._warn_once(f"the engine {self._engine.url} says: {in_one_line(str(warning), 300)}")
        return container

    def _warn_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(text)
            logger.warning("{}", text)

    @contextmanager
    def _starting(
        self,
        order: RunnerOrder,
        doing: str,
        interrupt: Interrupt,
        grace: float = 0.0,
        turn: Turn = Turn.FIRST,
    ) -> Iterator[EngineApi]:
        """A call that is part of a start: it ends by the deadline, and a refusal raises `StartFailed`."""
        left = order.deadline - self._context.clock.monotonic()
        if left <= 0:
            raise StartFailed(f"cannot {doing}: its start-timeout has passed")
        seconds = min(left, CALL_SECONDS)
        try:
            with self._engine.call(doing, interrupt, seconds=seconds, grace=grace, turn=turn) as api:
                yield api
        except (BackendDown, ImageMissing, StartFailed):
            raise
        except BackendError as error:
            raise StartFailed(str(error), fixes=error.fixes) from error

    def _add_certificates(self, container: str, order: RunnerOrder, interrupt: Interrupt) -> None:
        """Copy the file `ca` of the settings into the container, as a remote engine has no access to it."""
        if not order.settings.ca:
            return
        own, bundle = read_certificates(order.settings.ca, _description(order))
        with self._starting(order, f"copy ca into {_description(order)}", interrupt) as api:
            api.put_archive(container, "/", file_archive({CA_FILE: own, BUNDLE_FILE: bundle}))

    def _start_sidecar(
        self, order: RunnerOrder, container: str, facts: EngineFacts, interrupt: Interrupt
    ) -> None:
        def call(doing: str) -> AbstractContextManager[EngineApi]:
            return self._starting(order, doing, interrupt, grace=CREATE_GRACE)

        self._sidecars.start(order, container, facts, call, interrupt)

    def _discard(self, order: RunnerOrder) -> None:
        """Undo a start. The container is found by name and label, as the reply with its id may be missing."""
        filters = {"label": own_filter(self._context.owner), "name": f"^/?{order.runner}$"}
        doing = f"remove container {order.runner}, whose start failed"
        try:
            with self._engine.call(doing, seconds=UNDO_SECONDS) as api:
                if order.settings.docker.dind == "sidecar":
                    remove_sidecars(api, self._context.owner, order.runner)
                for listed in answers.tables(api.containers(all=True, filters=filters), "the list"):
                    container = answers.identifier(listed.get("Id"), "the id of a container")
                    self._is_gone_after_removal(api, container, force=True)
        except BackendError as error:
            logger.warning("{}; the next inventory finds it", error)

    def _is_gone_after_removal(self, api: EngineApi, container: str, *, force: bool) -> bool:
        """False if it is being removed already, by somebody else's call."""
        if force and self._engine.is_podman:
            # Its removal by force sends SIGTERM, and SIGKILL 10 s later.
            with suppress(APIError):
                api.kill(container, signal="SIGKILL")
        try:
            api.remove_container(container, v=True, force=force)
        except NotFound:
            return True
        except APIError as error:
            if is_being_removed(error):
                return False
            raise
        return True

    def _is_gone(self, resource: Resource, interrupt: Interrupt) -> bool:
        with self._engine.call(f"look for container {resource.runner}", interrupt) as api:
            return is_gone(api, resource.id)

    def _socket_group(self, order: RunnerOrder, interrupt: Interrupt) -> int | str | None:
        """The group of the mounted engine socket as containers see it; None if that cannot be told."""
        docker = order.settings.docker
        if docker.dind is not True or docker.dind_group:
            return docker.dind_group or None
        try:
            seen = self._socket_groups.look(order.settings, interrupt)
        except (BackendDown, ImageMissing):
            raise
        except BackendError as error:
            raise StartFailed(str(error), fixes=error.fixes) from error
        if seen.trouble:
            self._warn_once(f"jobs cannot use the engine's socket {docker.dind_path}: {seen.trouble}")
        return seen.usable_group

    def _engine_facts(self, order: RunnerOrder, interrupt: Interrupt) -> EngineFacts:
        return self._known_facts(self._starting(order, "ask the engine what it can do", interrupt))

    def _known_facts(self, call: AbstractContextManager[EngineApi]) -> EngineFacts:
        """Asked by `call` where they are not known."""
        if (facts := self._facts) is None:
            with call as api:
                facts = self._facts = EngineFacts.of(api.info())
        return facts


def _has_ended(api: EngineApi, container: str) -> bool:
    state = state_of(api, container)
    return state is None or state.get("Running") is False


def _description(order: RunnerOrder) -> str:
    return f"container {order.runner} of image {order.settings.runner_image}"
