"""The keeper of one real thing (an engine, the host's processes) that several scale sets share.

It never blocks: the event stream runs on the backend's threads, lists and image pulls on workers,
and all of them tell it. It tells the scale sets: what ended, what is listed, what is up or down.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.interrupt import Interrupt
from runscaler.policy.backoff import Backoff

if TYPE_CHECKING:
    from runscaler.actors.house import House
    from runscaler.backends.base import Backend, Resource, Stoppable
    from runscaler.config.model import ScaleSetSettings
    from runscaler.errors import RunscalerError
    from runscaler.names import ScaleSetKey

_BACKOFF = Backoff(first=2.0, cap=60.0)
PULLS_AT_ONCE = 4
LOOK_AGAIN_SECONDS = 3600.0
"""How often the backend is asked to look after an image that is there; it knows its pull-interval."""


class KeeperCrashed(Exception):
    """Something escaped a worker that no backend may raise."""


@dataclass(slots=True)
class _Tenant:
    ref: m.Ref
    settings: ScaleSetSettings
    failures: int = 0
    preparing: bool = False
    ready: bool = False
    turn: int = 0


class KeeperActor(SupervisedActor[m.KeeperMessage]):
    def __init__(self, name: str, parent: m.Ref, house: House, backend: Backend) -> None:
        super().__init__(name, parent, house.clock)
        self._backend = backend
        self._tenants: dict[ScaleSetKey, _Tenant] = {}
        self._wanting: set[ScaleSetKey] = set()
        self._listing: set[ScaleSetKey] = set()
        self._list_failures = 0
        self._list_turn = 0
        self._down: m.ThingDown | None = None
        self._interrupt = Interrupt()
        self._stream: Stoppable | None = None
        self._lister = house.workers(f"{name} list", 1, self._hear)
        self._preparers = house.workers(f"{name} image", PULLS_AT_ONCE, self._hear)

    def _hear(self, message: object) -> None:
        """From workers and the backend's own threads."""
        self.send(self.actor_ref, message)

    def started(self) -> None:
        self._stream = self._backend.watch(self.clock.wall(), self._hear)

    def released(self) -> None:
        self._interrupt.set()
        self._lister.close()
        self._preparers.close()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()

    def receive(self, message: m.KeeperMessage) -> None:
        match message:
            case m.ResourceEnded(key=key):
                self._tell_tenants(message, key)
            case m.ThingDown():
                self._went_down(message)
            case m.ThingUp():
                self._came_up()
            case m.JoinKeeper(key, ref, settings):
                self._join(key, _Tenant(ref, settings))
            case m.LeaveKeeper(key):
                self._tenants.pop(key, None)
            case m.StopKeeper():
                self.end(m.SharedStopped(self.name))
            case m.WorkerCrashed(error):
                raise KeeperCrashed(error)
            case m.ListResources() | m.Listed() | m.ListingFailed() | m.ListAgain():
                self._list_step(message)
            case m.Prepared() | m.PreparingFailed() | m.PreparingGoesOn() | m.PrepareAgain():
                self._prepare_step(message)
            case _:
                assert_never(message)

    # -- availability -----------------------------------------------------------------------------

    def _went_down(self, down: m.ThingDown) -> None:
        self._down = down
        logger.debug("{} does not answer: {}; trying again by itself", self._backend.name, down.reason)
        self._tell_tenants(m.BackendDown(down.reason, down.fixes))

    def _came_up(self) -> None:
        if self._down is not None:
            logger.debug("{} answers again", self._backend.name)
        self._down = None
        self._tell_tenants(m.BackendUp())
        for key, tenant in self._tenants.items():
            if tenant.failures:
                self._prepare(key)

    def _tell_tenants(self, message: object, key: ScaleSetKey | None = None) -> None:
        for one, tenant in self._tenants.items():
            if key is None or key == one:
                self.send(tenant.ref, message)

    def _join(self, key: ScaleSetKey, tenant: _Tenant) -> None:
        self._tenants[key] = tenant
        if self._down is not None:
            self.send(tenant.ref, m.BackendDown(self._down.reason, self._down.fixes))
        self._prepare(key)

    # -- the list -----------------------------------------------------------------------------------

    def _list_step(self, message: m.ListResources | m.Listed | m.ListingFailed | m.ListAgain) -> None:
        match message:
            case m.ListResources(key):
                self._wanting.add(key)
                self._list()
            case m.Listed(as_of, resources):
                self._listed(as_of, resources)
            case m.ListingFailed(reason, fixes):
                self._listing_failed(reason, fixes)
            case m.ListAgain(turn):
                if turn == self._list_turn:
                    self._list()

    def _list(self) -> None:
        """One listing at a time answers all who asked before it began."""
        if self._listing or not self._wanting:
            return
        self._listing, self._wanting = self._wanting, set()
        as_of = self.clock.monotonic()
        self._lister.submit(
            self._backend.inventory,
            done=lambda resources: m.Listed(as_of, tuple(resources)),
            failed=lambda error: m.ListingFailed(str(error), error.fixes),
        )

    def _listed(self, as_of: float, resources: tuple[Resource, ...]) -> None:
        by_key: dict[ScaleSetKey, list[Resource]] = defaultdict(list)
        for resource in resources:
            by_key[resource.key].append(resource)
        for key in self._listing:
            if tenant := self._tenants.get(key):
                self.send(tenant.ref, m.Inventory(as_of, tuple(by_key[key])))
        self._listing = set()
        if self._list_failures:
            self._list_failures = 0
            self._tell_tenants(m.BackendUp())  # also to those who have not asked
        self._list()

    def _listing_failed(self, reason: str, fixes: tuple[str, ...]) -> None:
        """Nobody gets an empty list for an answer; who asked is answered when it works again."""
        self._wanting |= self._listing
        self._listing = set()
        self._list_failures += 1
        if self._list_failures == 1 and self._down is None:
            logger.debug("the runners on {} cannot be listed: {}", self._backend.name, reason)
            self._tell_tenants(m.BackendDown(reason, fixes))
        self._list_turn += 1
        self.after(_BACKOFF.delay(self._list_failures), m.ListAgain(self._list_turn))

    # -- images -------------------------------------------------------------------------------------

    def _prepare_step(
        self, message: m.Prepared | m.PreparingFailed | m.PreparingGoesOn | m.PrepareAgain
    ) -> None:
        tenant = self._tenants.get(message.key)
        if tenant is None:
            return
        match message:
            case m.Prepared():
                tenant.preparing, tenant.failures, tenant.ready = False, 0, True
                self.send(tenant.ref, m.ImagePrepared())
                self._prepare_after(LOOK_AGAIN_SECONDS, message.key, tenant)
            case m.PreparingFailed(key, reason, fixes):
                self._preparing_failed(key, tenant, m.ImageAbsent(reason, fixes))
            case m.PreparingGoesOn(what=what, percent=percent):
                share = "" if percent is None else f" ({percent} %)"
                if not tenant.ready:
                    self.send(tenant.ref, m.ImageAbsent(f"fetching {what}{share}", failed=False))
            case m.PrepareAgain(key, turn):
                if turn in (None, tenant.turn):
                    self._prepare(key)

    def _prepare(self, key: ScaleSetKey) -> None:
        tenant = self._tenants[key]
        if tenant.preparing:
            return
        tenant.preparing = True
        if not tenant.failures and not tenant.ready:
            self.send(tenant.ref, m.ImageAbsent(f"preparing {tenant.settings.runner_image}", failed=False))
        shown: set[tuple[str, int | None]] = set()

        def progress(what: str, done: int, total: int, /) -> None:
            percent = None if total <= 0 else min(100, 5 * (20 * done // total))
            if (what, percent) not in shown:
                shown.add((what, percent))
                self._hear(m.PreparingGoesOn(key, what, percent))

        self._preparers.submit(
            lambda: self._backend.prepare(tenant.settings, progress, self._interrupt),
            done=lambda _: m.Prepared(key),
            failed=lambda error: _preparing_failed(key, error),
        )

    def _preparing_failed(self, key: ScaleSetKey, tenant: _Tenant, absent: m.ImageAbsent) -> None:
        tenant.preparing = tenant.ready = False
        tenant.failures += 1
        self.send(tenant.ref, absent)
        self._prepare_after(_BACKOFF.delay(tenant.failures), key, tenant)

    def _prepare_after(self, seconds: float, key: ScaleSetKey, tenant: _Tenant) -> None:
        tenant.turn += 1
        self.after(seconds, m.PrepareAgain(key, tenant.turn))


def _preparing_failed(key: ScaleSetKey, error: RunscalerError) -> m.PreparingFailed:
    return m.PreparingFailed(key, str(error), error.fixes)
