"""Starts and removes containers on one Docker engine (docs/behaviour.md § 7.1)."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound
from loguru import logger

from runscaler.backends.base import BackendAvailable, ResourceEnded
from runscaler.backends.docker import answers
from runscaler.backends.docker.check import findings
from runscaler.backends.docker.container import CA_FILE, create_body
from runscaler.backends.docker.engine import CALL_SECONDS
from runscaler.backends.docker.errors import status
from runscaler.backends.docker.images import ImageRequest, Images
from runscaler.backends.docker.inventory import own_resources
from runscaler.backends.docker.labels import labels_for, own_filter, resource_of
from runscaler.backends.docker.socket_mounts import SocketMounts
from runscaler.backends.docker.termination import terminate
from runscaler.backends.docker.volume import SharedVolume, file_archive
from runscaler.backends.docker.watch import Watch
from runscaler.backends.marks import UnreadableResources
from runscaler.config.inputs import read_input
from runscaler.errors import BackendDown, BackendError, ImageMissing, Interrupted, StartFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runscaler.backends.base import BackendContext, Observation, Progress, Resource, RunnerOrder, Sweep
    from runscaler.backends.docker.api import EngineApi
    from runscaler.backends.docker.engine import Engine
    from runscaler.config.model import ScaleSetSettings
    from runscaler.config.secrets import Secret
    from runscaler.findings import Finding
    from runscaler.interrupt import Interrupt

CREATE_GRACE = 3.0
"""Seconds that the engine may still take to create a container after an interrupt. If the call were
cancelled at once, the container could appear after we looked for it. An engine that hangs is given up."""
UNDO_SECONDS = 5.0
REMOVAL_SECONDS = 30.0
POLL_SECONDS = 0.05
CONFLICT = 409
WORKER = "Runner.Worker"


class DockerBackend:
    """See `Backend`. There is one for each engine."""

    def __init__(self, engine: Engine, context: BackendContext) -> None:
        self._engine = engine
        self._context = context
        self._images = Images(engine, context.clock)
        self._volume = SharedVolume(engine, context.owner)
        self._socket_mounts = SocketMounts(engine.address.socket_path)
        self._reported_ended: set[str] = set()
        self._unreadable = UnreadableResources()

    @property
    def name(self) -> str:
        return f"docker {self._engine.url}"

    def check(self, settings: ScaleSetSettings) -> list[Finding]:
        return findings(self._engine, self._images, settings)

    def prepare(self, settings: ScaleSetSettings, progress: Progress, interrupt: Interrupt) -> None:
        self._images.ensure(ImageRequest.of(settings), progress, interrupt)
        if settings.docker.shared_volume:
            self._volume.prepare(settings.runner_image, settings.docker.platform, interrupt)

    def start(self, order: RunnerOrder, interrupt: Interrupt) -> Resource:
        interrupt.wait(0)
        jit = order.jit()
        labels = labels_for(order, jit, self._context)
        container = self._create(order, jit.encoded, labels, interrupt)
        with ExitStack() as undo:
            undo.callback(self._discard, order)
            self._add_certificates(container, order, interrupt)
            with self._starting(order, f"start {_description(order)}", interrupt) as api:
                api.start(container)
            undo.pop_all()
        resource = resource_of(container, self._context.clock.wall(), labels)
        assert resource is not None, "the labels of an order name its runner"
        return resource

    def remove(self, resource: Resource, *, force: bool, interrupt: Interrupt, grace: float = 0.0) -> None:
        if resource.owner != self._context.owner:
            return
        doing = f"remove container {resource.runner}"
        if force and grace:
            terminate(self._engine, resource.id, doing, grace, interrupt)
        with self._engine.call(doing, interrupt, limited=True) as api:
            if _is_gone_after_removal(api, resource.id, force=force):
                return
        deadline = self._context.clock.monotonic() + REMOVAL_SECONDS
        while not self._is_gone(resource, interrupt):
            if self._context.clock.monotonic() > deadline:
                raise BackendError(f"cannot {doing}: the engine {self._engine.url} is still removing it")
            self._context.clock.pause(POLL_SECONDS, interrupt)

    def inventory(self) -> list[Resource]:
        with self._engine.call("list containers") as api:
            found = own_resources(
                api, self._context.owner, self._reported_ended, self._socket_mounts, self._unreadable
            )
        self._reported_ended.intersection_update(resource.id for resource in found)
        return found

    def logs(self, resource: Resource, tail: int, interrupt: Interrupt) -> bytes:
        kept = b""
        with self._engine.call(f"read the output of container {resource.runner}", interrupt) as api:
            try:
                # A line has at least one byte, so that `tail` lines hold `tail` bytes.
                for chunk in api.logs(resource.id, stream=True, follow=False, tail=max(tail, 1)):
                    kept = (kept + chunk)[-tail:] if tail > 0 else b""
            except NotFound:
                return b""
        return kept

    def runs_a_job(self, resource: Resource, interrupt: Interrupt) -> bool | None:
        with self._engine.call(f"look into container {resource.runner}", interrupt) as api:
            try:
                processes = answers.strings(api.top(resource.id)["Processes"], "the list of processes")
            except APIError as error:
                # Gone or not running: no job runs in it. With any other error the engine cannot tell.
                return False if status(error) in (404, CONFLICT) else None
        return any(WORKER in field for field in processes)

    def watch(self, since: float, report: Callable[[Observation], None]) -> Watch:
        def heard(observation: Observation) -> None:
            if isinstance(observation, ResourceEnded):
                self._reported_ended.add(observation.resource_id)
            if isinstance(observation, BackendAvailable):
                self._socket_mounts.forget()
            report(observation)

        return Watch(self._engine, self._context.owner, self._context.clock, since, heard)

    def sweeps(self, settings: Sequence[ScaleSetSettings]) -> list[Sweep]:
        return []

    def close(self) -> None:
        self._engine.disconnect()

    def _create(
        self, order: RunnerOrder, encoded_jit: Secret, labels: Mapping[str, str], interrupt: Interrupt
    ) -> str:
        body = create_body(order.settings, encoded_jit, labels, self._socket_group(order.settings))
        platform = order.settings.docker.platform or None
        doing = f"create {_description(order)}"
        try:
            with self._starting(order, doing, interrupt, grace=CREATE_GRACE) as api:
                created = api.create_container_from_config(body, order.runner, platform)
                return answers.identifier(created["Id"], "the id of a new container")
        except (BackendError, Interrupted) as error:
            # Unless the engine refused, it may have created it.
            if not status(error):
                self._discard(order)
            raise

    @contextmanager
    def _starting(
        self, order: RunnerOrder, doing: str, interrupt: Interrupt, grace: float = 0.0
    ) -> Iterator[EngineApi]:
        """A call that is part of a start: it ends by the deadline, and a refusal raises `StartFailed`."""
        left = order.deadline - self._context.clock.monotonic()
        if left <= 0:
            raise StartFailed(f"cannot {doing}: its start-timeout has passed")
        seconds = min(left, CALL_SECONDS)
        try:
            with self._engine.call(doing, interrupt, seconds=seconds, grace=grace, limited=True) as api:
                yield api
        except (BackendDown, ImageMissing, StartFailed):
            raise
        except BackendError as error:
            raise StartFailed(str(error), fixes=error.fixes) from error

    def _add_certificates(self, container: str, order: RunnerOrder, interrupt: Interrupt) -> None:
        """Copy the file `ca` of the settings into the container, as a remote engine has no access to it."""
        if not order.settings.ca:
            return
        try:
            content = read_input(Path(order.settings.ca))[0]
        except OSError as error:
            raise StartFailed(
                f"cannot start {_description(order)}: ca {order.settings.ca}: {error}"
            ) from error
        with self._starting(order, f"copy ca into {_description(order)}", interrupt) as api:
            api.put_archive(container, "/", file_archive(CA_FILE, content))

    def _discard(self, order: RunnerOrder) -> None:
        """Undo a start. The container is found by name and label, as the reply with its id may be missing."""
        filters = {"label": own_filter(self._context.owner), "name": f"^/?{order.runner}$"}
        doing = f"remove container {order.runner}, whose start failed"
        try:
            with self._engine.call(doing, seconds=UNDO_SECONDS) as api:
                for listed in answers.tables(api.containers(all=True, filters=filters), "the list"):
                    container = answers.identifier(listed.get("Id"), "the id of a container")
                    _is_gone_after_removal(api, container, force=True)
        except BackendError as error:
            logger.warning("{}; the next inventory finds it", error)

    def _is_gone(self, resource: Resource, interrupt: Interrupt) -> bool:
        with self._engine.call(f"look for container {resource.runner}", interrupt) as api:
            try:
                api.inspect_container(resource.id)
            except NotFound:
                return True
        return False

    def _socket_group(self, settings: ScaleSetSettings) -> int | None:
        """The group of the mounted engine socket; None if the socket is on another host."""
        if settings.docker.dind is not True or self._engine.address.socket_path is None:
            return None
        try:
            return Path(settings.docker.dind_path).stat().st_gid
        except OSError:
            return None


def _description(order: RunnerOrder) -> str:
    return f"container {order.runner} of image {order.settings.runner_image}"


def _is_gone_after_removal(api: EngineApi, container: str, *, force: bool) -> bool:
    """False if it is being removed already, by somebody else's call."""
    try:
        api.remove_container(container, v=True, force=force)
    except NotFound:
        return True
    except APIError as error:
        if status(error) == CONFLICT and "already in progress" in str(error.explanation):
            return False
        raise
    return True
