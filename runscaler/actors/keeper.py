"""The keeper of one real thing (an engine, the host's processes) that several scale sets share.

It never blocks: the event stream runs on the backend's threads, lists and image pulls on workers,
and all of them tell it. It tells the scale sets: what ended, what is listed, what is up or down.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.sweeping import Sweeping
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
class Tenant:
    ref: m.Ref
    settings: ScaleSetSettings
    failures: int = 0
    preparing: bool = False
    ready: bool = False
    turn: int = 0


class KeeperActor(SupervisedActor[m.KeeperMessage]):
    def __init__(self, name: str, parent: m.Ref, house: House, backend: Backend) -> None:
        super().__init__(name, parent, house.clock)
        self.backend = backend
        self.tenants: dict[ScaleSetKey, Tenant] = {}
        self._wanting: set[ScaleSetKey] = set()
        self._listing: set[ScaleSetKey] = set()
        self._list_failures = 0
        self._list_turn = 0
        self._down: m.BackendUnavailable | None = None
        self._interrupt = Interrupt()
        self._stream: Stoppable | None = None
        self._lister = house.workers(f"{name} list", 1, self.hear)
        self._preparers = house.workers(f"{name} image", PULLS_AT_ONCE, self.hear)
        self._sweeping = Sweeping(self, backend, house.workers(f"{name} sweep", 1, self.hear))

    def hear(self, message: object) -> None:
        """From workers and the backend's own threads."""
        self.send(self.actor_ref, message)

    def started(self) -> None:
        self._stream = self.backend.watch(self.clock.wall(), self.hear)

    def released(self) -> None:
        self._interrupt.set()
        self._lister.close()
        self._preparers.close()
        self._sweeping.close()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()

    def receive(self, message: m.KeeperMessage) -> None:
        match message:
            case m.ResourceEnded():
                self.ended(message)
            case m.BackendUnavailable():
                self._went_down(message)
            case m.BackendAvailable():
                self._came_up()
            case m.JoinKeeper(key, ref, settings):
                self._join(key, Tenant(ref, settings))
            case m.LeaveKeeper(key, keep):
                self.left(key, keep=keep)
                self.tenants.pop(key, None)
            case m.StopKeeper(keep):
                self.leave(keep=keep)
            case m.WorkerCrashed(error):
                raise KeeperCrashed(error)
            case m.ListResources() | m.Listed() | m.ListingFailed() | m.ListAgain():
                self._list_step(message)
            case m.Prepared() | m.PreparingFailed() | m.PreparingGoesOn() | m.PrepareAgain():
                self._prepare_step(message)
            case m.SweepDue(name):
                self._sweeping.begin(name)
            case m.Swept():
                self._sweeping.done(message)
            case _:
                self.hand_out(message)

    # -- what the actor of VM slots does more than this ---------------------------------------------

    def hand_out(self, message: m.VmSlotMessage) -> None:
        """Only who has VM slots is told such."""
        raise NotImplementedError(f"{self.name} has no VM slots")

    def ended(self, ended: m.ResourceEnded) -> None:
        self.tell_tenants(ended, ended.key)

    def joined(self, key: ScaleSetKey) -> None:
        """A scale set is new here."""

    def left(self, key: ScaleSetKey, *, keep: bool) -> None:
        """A scale set is gone."""

    def prepared(self, key: ScaleSetKey) -> None:
        """An image is there, or is new."""

    def leave(self, *, keep: bool) -> None:
        self.end(m.SharedStopped(self.name))

    # -- availability -----------------------------------------------------------------------------

    def _went_down(self, down: m.BackendUnavailable) -> None:
        self._down = down
        logger.debug("{} does not answer: {}; trying again by itself", self.backend.name, down.reason)
        self.tell_tenants(m.BackendDown(down.reason, down.fixes))

    def _came_up(self) -> None:
        if self._down is not None:
            logger.debug("{} answers again", self.backend.name)
        self._down = None
        self.tell_tenants(m.BackendUp())
        for key, tenant in self.tenants.items():
            if tenant.failures:
                self._prepare(key)

    def tell_tenants(self, message: object, key: ScaleSetKey | None = None) -> None:
        for one, tenant in self.tenants.items():
            if key is None or key == one:
                self.send(tenant.ref, message)

    def _join(self, key: ScaleSetKey, tenant: Tenant) -> None:
        self.tenants[key] = tenant
        self.joined(key)
        if self._down is not None:
            self.send(tenant.ref, m.BackendDown(self._down.reason, self._down.fixes))
        self._prepare(key)
        self._sweeping.plan([one.settings for one in self.tenants.values()])

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
            self.backend.inventory,
            done=lambda resources: m.Listed(as_of, tuple(resources)),
            failed=lambda error: m.ListingFailed(str(error), error.fixes),
        )

    def _listed(self, as_of: float, resources: tuple[Resource, ...]) -> None:
        by_key: dict[ScaleSetKey, list[Resource]] = defaultdict(list)
        for resource in resources:
            by_key[resource.key].append(resource)
        for key in self._listing:
            if tenant := self.tenants.get(key):
                self.send(tenant.ref, m.Inventory(as_of, tuple(by_key[key])))
        self._listing = set()
        if self._list_failures:
            self._list_failures = 0
            self.tell_tenants(m.BackendUp())  # also to those who have not asked
        self._list()

    def _listing_failed(self, reason: str, fixes: tuple[str, ...]) -> None:
        """Nobody gets an empty list for an answer; who asked is answered when it works again."""
        self._wanting |= self._listing
        self._listing = set()
        self._list_failures += 1
        if self._list_failures == 1 and self._down is None:
            logger.debug("the runners on {} cannot be listed: {}", self.backend.name, reason)
            self.tell_tenants(m.BackendDown(reason, fixes))
        self._list_turn += 1
        self.after(_BACKOFF.delay(self._list_failures), m.ListAgain(self._list_turn))

    # -- images -------------------------------------------------------------------------------------

    def _prepare_step(
        self, message: m.Prepared | m.PreparingFailed | m.PreparingGoesOn | m.PrepareAgain
    ) -> None:
        tenant = self.tenants.get(message.key)
        if tenant is None:
            return
        match message:
            case m.Prepared():
                tenant.preparing, tenant.failures, tenant.ready = False, 0, True
                self.send(tenant.ref, m.ImagePrepared())
                self.prepared(message.key)
                self._prepare_after(LOOK_AGAIN_SECONDS, message.key, tenant)
            case m.PreparingFailed(key, reason, fixes):
                self._preparing_failed(key, tenant, m.ImageAbsent(reason, fixes))
            case m.PreparingGoesOn(what=what, percent=percent):
                share = "" if percent is None else f" ({percent} %)"
                if not tenant.ready and not tenant.failures:  # why it failed is worth more
                    self.send(tenant.ref, m.ImageAbsent(f"{what}{share}", failed=False))
            case m.PrepareAgain(key, turn):
                if turn in (None, tenant.turn):
                    self._prepare(key)

    def _prepare(self, key: ScaleSetKey) -> None:
        tenant = self.tenants[key]
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
                self.hear(m.PreparingGoesOn(key, what, percent))

        self._preparers.submit(
            lambda: self.backend.prepare(tenant.settings, progress, self._interrupt),
            done=lambda _: m.Prepared(key),
            failed=lambda error: _preparing_failed(key, error),
        )

    def _preparing_failed(self, key: ScaleSetKey, tenant: Tenant, absent: m.ImageAbsent) -> None:
        tenant.preparing = tenant.ready = False
        tenant.failures += 1
        self.send(tenant.ref, absent)
        self._prepare_after(_BACKOFF.delay(tenant.failures), key, tenant)

    def _prepare_after(self, seconds: float, key: ScaleSetKey, tenant: Tenant) -> None:
        tenant.turn += 1
        self.after(seconds, m.PrepareAgain(key, tenant.turn))


def _preparing_failed(key: ScaleSetKey, error: RunscalerError) -> m.PreparingFailed:
    return m.PreparingFailed(key, str(error), error.fixes)
