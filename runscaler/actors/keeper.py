"""The keeper of one backend, for instance a Docker engine, on behalf of the scale sets that share it.

The keeper never blocks: the backend watches for events on threads of its own, lists and image pulls run on
workers, and all of them report to the keeper by message. It tells the scale sets which resources exist, which
have ended, whether the backend answers and whether their runner image is there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from math import ceil, inf, isinf
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.measuring import backend_and_engine, measured
from runscaler.actors.sweeping import Sweeping
from runscaler.actors.tidying import Tidying
from runscaler.backends.base import DatedBackend, ImageBackend
from runscaler.interrupt import Interrupt
from runscaler.metrics import own
from runscaler.metrics.words import Operation
from runscaler.policy.backoff import Backoff

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Backend, Progress, Resource, Stoppable
    from runscaler.config.model import ScaleSetSettings
    from runscaler.errors import RunscalerError
    from runscaler.names import ScaleSetKey

_BACKOFF = Backoff(first=2.0, cap=60.0)
PULLS_AT_ONCE = 4
REFRESH_SECONDS = 3600.0
"""How often the backend is asked to prepare an image that is there, at the least; it knows whether a pull is
due."""


class KeeperCrashed(Exception):
    """A worker or a thread that watches raised something that no backend may raise."""


@dataclass(slots=True)
class AttachedSet:
    """A scale set on this backend, and how far the preparation of its image is."""

    ref: m.Ref
    settings: ScaleSetSettings
    starts_runners: bool = True
    """False: the runners that it has may end, and nothing is prepared for others."""
    preparing: bool = False
    ready: bool = False
    failures: int = 0
    """Failed preparations in a row."""
    turn: int = 0
    """The number of its latest `RetryPrepare`; earlier ones are void."""
    revision: int = 0
    """Of its settings (`ScaleSetChanged`)."""
    prepared: int | None = None
    """The revision that was prepared last."""
    again: bool = False
    """What is being prepared is no longer what it needs."""


def refresh_seconds(pull_interval: float) -> float:
    """When to ask next: at the latest after an hour, and so that a pull which is due then is not missed."""
    return REFRESH_SECONDS if isinf(pull_interval) else pull_interval / ceil(pull_interval / REFRESH_SECONDS)


class KeeperActor(SupervisedActor[m.KeeperMessage]):
    def __init__(self, name: str, parent: m.Ref, context: ActorContext, backend: Backend) -> None:
        super().__init__(name, parent, context.clock)
        self.backend = backend
        self.scale_sets: dict[ScaleSetKey, AttachedSet] = {}
        self._to_list: set[ScaleSetKey] = set()
        """Who gets the result of the next listing."""
        self._listing: set[ScaleSetKey] = set()
        """Who gets the result of the listing in progress."""
        self._list_failures = 0
        self._list_reason: tuple[str, tuple[str, ...]] = "", ()
        """Why the listing failed first, with possible fixes: what lasts keeps its first words."""
        self._list_turn = 0
        self._has_listed = False
        self._down: m.BackendUnavailable | None = None
        self._interrupt = Interrupt()
        self._events: Stoppable | None = None
        self._list_worker = context.make_worker_pool(f"{name} list", 1, self.tell_self)
        self._image_workers = context.make_worker_pool(f"{name} image", PULLS_AT_ONCE, self.tell_self)
        sweep_worker = context.make_worker_pool(f"{name} sweep", 1, self.tell_self)
        self._metrics = context.metrics
        self._engine = backend_and_engine(backend.name)
        self._was_available = False
        self._sweeping = Sweeping(self.after, backend, sweep_worker, context.metrics, self.clock)
        self._tidying = Tidying(self.after, backend, self._image_workers, self._interrupt)

    def tell_self(self, message: object) -> None:
        """Called on the threads of workers and of the backend."""
        self.send(self.actor_ref, message)

    def started(self) -> None:
        self._events = self.backend.watch(self.clock.wall(), self.tell_self)

    def clean_up(self) -> None:
        self._interrupt.set()
        self._list_worker.close()
        self._image_workers.close()
        self._sweeping.close()
        events, self._events = self._events, None
        if events is not None:
            events.stop()

    def receive(self, message: m.KeeperMessage) -> None:
        match message:
            case m.ResourceEnded():
                self.resource_ended(message)
            case m.BackendUnavailable():
                self._backend_down(message)
            case m.BackendAvailable():
                self._backend_up()
            case m.JoinKeeper(key, ref, settings, starts_runners, revision):
                self._attach(key, AttachedSet(ref, settings, starts_runners, revision=revision))
            case m.ScaleSetChanged():
                self._settings_changed(message)
            case m.LeaveKeeper(key, keep):
                self.scale_set_left(key, keep=keep)
                self.scale_sets.pop(key, None)
            case m.StopKeeper(keep, tidy_up):
                if not tidy_up or not self._tidying.begin():
                    self.stop_in_order(keep=keep)
            case m.TidiedUp() | m.TidyingTimedOut():
                self._tidying.ended(message)
                self.stop_in_order(keep=False)
            case m.WorkerCrashed(error) | m.WatchCrashed(error):
                raise KeeperCrashed(error)
            case m.ListResources() | m.Listed() | m.ListingFailed() | m.RetryListing():
                self._receive_listing(message)
            case m.Prepared() | m.PrepareFailed() | m.PrepareProgressed() | m.RetryPrepare():
                self._receive_prepare(message)
            case m.VersionRefused(key):
                self._version_refused(key)
            case m.SweepDue(name):
                self._sweeping.run(name)
            case m.Swept():
                self._sweeping.swept(message)
            case _:
                self.receive_vm_slot(message)

    # -- what `TartSlotActor` overrides ---------------------------------------------------------------

    def receive_vm_slot(self, message: m.VmSlotMessage) -> None:
        raise NotImplementedError(f"{self.name} has no VM slots")

    def resource_ended(self, ended: m.ResourceEnded) -> None:
        self.notify(ended, ended.key)

    def scale_set_joined(self, key: ScaleSetKey) -> None:
        """Runs after the scale set was attached."""

    def scale_set_changed(self, key: ScaleSetKey) -> None:
        """Runs after a reload has changed its settings."""

    def scale_set_left(self, key: ScaleSetKey, *, keep: bool) -> None:
        """Runs before the scale set is detached. `keep`: its warm VMs stay for the next start."""

    def image_prepared(self, key: ScaleSetKey) -> None:
        """Runs each time the image of a scale set was prepared; it may be a new one."""

    def stop_in_order(self, *, keep: bool) -> None:
        self.end(m.SharedStopped(self.name))

    # -- availability -------------------------------------------------------------------------------

    def notify(self, message: object, key: ScaleSetKey | None = None) -> None:
        """Tell the scale set with that key, or without one all of them."""
        for one, attached in self.scale_sets.items():
            if key is None or key == one:
                self.send(attached.ref, message)

    def _backend_down(self, down: m.BackendUnavailable) -> None:
        self._down = down
        self._show_up(False)
        logger.debug("{} does not answer: {}; it keeps trying", self.backend.name, down.reason)
        self.notify(m.BackendDown(down.reason, down.fixes))

    def _backend_up(self) -> None:
        if self._down is not None:
            logger.debug("{} answers again", self.backend.name)
        if self._was_available:
            self._metrics.count(own.STREAM_RESTARTS, *self._engine)
        self._was_available = True
        self._down = None
        self._show_up(True)
        self.notify(m.BackendUp())
        for key, attached in self.scale_sets.items():
            if attached.failures:
                self._prepare(key)

    def _show_up(self, up: bool) -> None:
        self._metrics.publish_one(own.BACKEND_UP, int(up), *self._engine)

    def _attach(self, key: ScaleSetKey, attached: AttachedSet) -> None:
        self.scale_sets[key] = attached
        self.scale_set_joined(key)
        if self._down is not None:
            self.send(attached.ref, m.BackendDown(self._down.reason, self._down.fixes))
        if attached.starts_runners:
            self._prepare(key)
        self._plan_sweeps()

    def _settings_changed(self, changed: m.ScaleSetChanged) -> None:
        attached = self.scale_sets.get(changed.key)
        if attached is None:
            return
        reshaped = changed.revision != attached.revision
        attached.settings, attached.revision = changed.settings, changed.revision
        self.scale_set_changed(changed.key)
        self._plan_sweeps()
        if reshaped:
            attached.ready, attached.failures = False, 0
            attached.again = attached.preparing
            self._prepare(changed.key)

    def _plan_sweeps(self) -> None:
        settings = [one.settings for one in self.scale_sets.values() if one.starts_runners]
        self._sweeping.plan(settings)
        self._tidying.serves(settings)

    # -- listing ------------------------------------------------------------------------------------

    def _receive_listing(
        self, message: m.ListResources | m.Listed | m.ListingFailed | m.RetryListing
    ) -> None:
        match message:
            case m.ListResources(key):
                self._to_list.add(key)
                self._list()
            case m.Listed(as_of, resources):
                self._listed(as_of, resources)
            case m.ListingFailed(reason, fixes):
                self._listing_failed(reason, fixes)
            case m.RetryListing(turn):
                if turn == self._list_turn:
                    self._list()

    def _list(self) -> None:
        """Start a listing, for all who asked so far. Only one runs at a time."""
        if self._listing or not self._to_list:
            return
        self._listing, self._to_list = self._to_list, set()
        as_of = self.clock.monotonic()
        self._list_worker.submit(
            self._inventory,
            done=lambda resources: m.Listed(as_of, tuple(resources)),
            failed=lambda error: m.ListingFailed(str(error), error.fixes),
        )

    def _inventory(self) -> list[Resource]:
        """On a worker."""
        with measured(self._metrics, self.clock, self.backend.name, Operation.LIST):
            return self.backend.inventory()

    def _listed(self, as_of: float, resources: tuple[Resource, ...]) -> None:
        by_key: dict[ScaleSetKey, list[Resource]] = defaultdict(list)
        for resource in resources:
            by_key[resource.key].append(resource)
        for key in self._listing:
            if attached := self.scale_sets.get(key):
                self.send(attached.ref, m.Inventory(as_of, tuple(by_key[key])))
        self._report_unconfigured(resources)
        self._listing = set()
        self._show_up(self._down is None)
        if self._list_failures:
            self._list_failures = 0
            self.notify(m.BackendUp())  # the failure was told to all, not only to those who asked
        self._list()

    def _report_unconfigured(self, resources: tuple[Resource, ...]) -> None:
        """Tell of runners whose scale set has not joined; once also that there are none."""
        keys = tuple(one.key for one in resources if one.key not in self.scale_sets)
        if keys or not self._has_listed:
            self._has_listed = True
            self.report(m.UnconfiguredListed(self.name, keys))

    def _listing_failed(self, reason: str, fixes: tuple[str, ...]) -> None:
        """Those who asked get no answer until a later listing succeeds: never an empty inventory."""
        self._to_list |= self._listing
        self._listing = set()
        self._list_failures += 1
        self._show_up(False)
        wait = _BACKOFF.delay(self._list_failures)
        if self._list_failures == 1:
            self._list_reason = reason, fixes
            logger.debug("the runners on {} cannot be listed: {}", self.backend.name, reason)
        if self._down is None:
            self.notify(m.BackendDown(*self._list_reason, self.clock.monotonic() + wait))
        self._list_turn += 1
        self.after(wait, m.RetryListing(self._list_turn))

    # -- images -------------------------------------------------------------------------------------

    def _receive_prepare(
        self, message: m.Prepared | m.PrepareFailed | m.PrepareProgressed | m.RetryPrepare
    ) -> None:
        attached = self.scale_sets.get(message.key)
        if attached is None:
            return
        if attached.again and isinstance(message, m.Prepared | m.PrepareFailed):
            attached.preparing = attached.again = False
            self._prepare(message.key)
            return
        match message:
            case m.Prepared(key, built_at):
                attached.preparing, attached.failures, attached.ready = False, 0, True
                attached.prepared = attached.revision
                self.send(attached.ref, m.ImagePrepared(attached.revision, built_at))
                self.image_prepared(key)
                self._prepare_after(refresh_seconds(self._pull_interval(attached)), key, attached)
            case m.PrepareFailed(key, reason, fixes):
                attached.preparing = attached.ready = False
                attached.failures += 1
                wait = _BACKOFF.delay(attached.failures)
                absent = m.ImageAbsent(reason, fixes, retry_at=self.clock.monotonic() + wait)
                self._tell_absent(attached, absent)
                self._prepare_after(wait, key, attached)
            case m.PrepareProgressed(what=what, percent=percent):
                share = "" if percent is None else f" ({percent} %)"
                if not attached.ready and not attached.failures:  # else the last failure stays shown
                    self._tell_absent(attached, m.ImageAbsent(f"{what}{share}", failed=False))
            case m.RetryPrepare(key, turn):
                if turn in (None, attached.turn):
                    self._prepare(key)

    def _prepare(self, key: ScaleSetKey) -> None:
        attached = self.scale_sets[key]
        if attached.preparing:
            return
        attached.preparing = True
        if not attached.failures and not attached.ready:
            absent = m.ImageAbsent(f"preparing {attached.settings.runner_image}", failed=False)
            self._tell_absent(attached, absent)
        progress = self._progress(key)
        self._image_workers.submit(
            lambda: self._pull(attached.settings, progress),
            done=lambda built_at: m.Prepared(key, built_at),
            failed=lambda error: _prepare_failed(key, error),
        )

    def _pull(self, settings: ScaleSetSettings, progress: Progress) -> float | None:
        """On a worker. Returns when the image was built, at once where all is there."""
        with measured(self._metrics, self.clock, self.backend.name, Operation.PULL):
            self.backend.prepare(settings, progress, self._interrupt)
        return self.backend.image_built_at(settings) if isinstance(self.backend, DatedBackend) else None

    def _pull_interval(self, attached: AttachedSet) -> float:
        backend = self.backend
        return backend.pull_interval(attached.settings) if isinstance(backend, ImageBackend) else inf

    def _version_refused(self, key: ScaleSetKey) -> None:
        """The next runner may be of a newer image, which this pulls; the backend says how often that makes
        sense."""
        attached, backend = self.scale_sets.get(key), self.backend
        if attached is None or not attached.starts_runners or not isinstance(backend, ImageBackend):
            return
        if backend.look_for_newer_image(attached.settings):
            image = attached.settings.runner_image
            logger.warning("GitHub refuses the runner in {}: looking for a newer image", image)
            self._prepare(key)

    def _tell_absent(self, attached: AttachedSet, absent: m.ImageAbsent) -> None:
        serves = attached.prepared not in (None, attached.revision)
        self.send(attached.ref, replace(absent, earlier_serves=serves))

    def _progress(self, key: ScaleSetKey) -> Progress:
        """What the backend calls on a worker to tell its progress; passed on in steps of 5 %."""
        told: set[tuple[str, int | None]] = set()

        def progress(what: str, done: int, total: int, /) -> None:
            percent = None if total <= 0 else min(100, 5 * (20 * done // total))
            if (what, percent) not in told:
                told.add((what, percent))
                self.tell_self(m.PrepareProgressed(key, what, percent))

        return progress

    def _prepare_after(self, seconds: float, key: ScaleSetKey, attached: AttachedSet) -> None:
        attached.turn += 1
        self.after(seconds, m.RetryPrepare(key, attached.turn))


def _prepare_failed(key: ScaleSetKey, error: RunscalerError) -> m.PrepareFailed:
    return m.PrepareFailed(key, str(error), error.fixes)
