"""The root of the actor tree: starts all actors in order, restarts those that crash, stops them in reverse.

The order of the start is health (so that the start can be watched), host, keepers, scale sets. If an actor
that all scale sets share keeps crashing, the program ends; a scale set that keeps crashing is only shown as
failed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.crash_reports import first_line, report_crash
from runscaler.actors.health import HealthActor
from runscaler.actors.host import HostActor
from runscaler.actors.keepers import Keepers
from runscaler.actors.measuring import kind_of_actor
from runscaler.actors.place import SHARED, place_of
from runscaler.actors.scale_set import ScaleSetActor, ScaleSetWiring
from runscaler.actors.unconfigured import UnconfiguredScaleSets
from runscaler.config.changes import compare
from runscaler.metrics import own
from runscaler.metrics.words import ActorKind, MessageFailure
from runscaler.status import ScaleSetStatus, SetState

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.context import ActorContext
    from runscaler.config.changes import SetChange
    from runscaler.config.model import Config, ScaleSetSettings
    from runscaler.names import ScaleSetKey

FAILED_SET_SECONDS = 60.0
"""How long a scale set that keeps crashing stays down before it gets a new series of restarts."""
HEARTBEAT_SECONDS = 10.0
HANGS_SECONDS = 30.0
"""An actor that leaves a heartbeat unanswered for so long is reported as hanging."""
POISON_AFTER = 3
"""Crashes by the same batch after which it is set aside (docs/behaviour.md § 8.4)."""
ORPHAN_CHECK_SECONDS = 0.1
"""How often a restart checks whether the dead actor's children have ended."""
_OF_SCALE_SETS = (ActorKind.LISTENER, ActorKind.RUNNER)
NOT_CONFIGURED = "not configured any more"
MOVING = "it moves to another backend once its runners here have ended"


class RootActor(SupervisedActor[m.RootMessage]):
    """`ended` is called once, on this actor's thread, with the reason; it is empty after an orderly stop."""

    def __init__(self, context: ActorContext, ended: Callable[[str], None]) -> None:
        super().__init__("root", None, context.clock)
        self._context, self._ended = context, ended
        self._keepers: Keepers
        self._scale_sets = {one.key: one for one in context.config.scale_sets}
        """Those configured, then those that are retired because they are not configured any more."""
        self._unconfigured: UnconfiguredScaleSets
        self._drained: set[ScaleSetKey] = set()
        self._unanswered: dict[str, float] = {}
        """When each heartbeat that has no answer yet was sent (monotonic), by child."""
        self._hanging: set[str] = set()
        self._moving: set[ScaleSetKey] = set()
        """Scale sets that begin anew on another backend once their runners on the old one have ended."""
        self._leaving: set[ScaleSetKey] = set()
        """Scale sets that were told to end once their runners have."""
        self._restarts: dict[ScaleSetKey, int] = {}
        self._batch_crashes: Counter[tuple[str, str]] = Counter()
        """Crashes by child and the digest of the batch that it was handling."""
        self._reason = "the root actor crashed"
        self._stopping = False
        self._depths: dict[ActorKind, int] = {}
        """The deepest mailbox of each kind since the last heartbeat."""

    def started(self) -> None:
        self._keepers = Keepers(self._context, self.children, self._launch, self.actor_ref)
        self._context.metrics.config_read(self.clock.wall())
        self._launch(m.HEALTH, lambda: self._context.launch(HealthActor, self.actor_ref, self._context))
        self._launch(m.HOST, lambda: self._context.launch(HostActor, self.actor_ref, self._context))
        for settings in self._context.config.scale_sets:
            self._keepers.open_for(settings)
        backend_ids = self._keepers.backend_ids()
        self._unconfigured = UnconfiguredScaleSets(self._context, self._scale_sets.keys(), backend_ids)
        for settings in self._context.config.scale_sets:
            self._start_scale_set(settings)
        self._check_heartbeats()

    def crashed(self, crash: m.ChildCrashed) -> None:
        self._reason = f"the root actor crashed: {first_line(crash.error)} while handling {crash.handling}"
        logger.debug("{}", crash.error)

    def abandoned(self) -> None:
        """The facade was told to stop at once: everything stays as it is, for the next start to adopt."""
        self._reason = ""

    def clean_up(self) -> None:
        self._keepers.close_all()
        self._ended(self._reason)

    def receive(self, message: m.RootMessage) -> object:
        match message:
            case m.Ping():
                return self._all_responsive()
            case m.SetDrain(keys, drain):
                return self._set_drain(keys, drain=drain)
            case m.Reload(config):
                return self._reload(config)
            case m.HeartbeatDue():
                self._check_heartbeats()
            case m.HeartbeatAnswered(name, depth):
                self._heartbeat_answered(name, depth)
            case m.ChildCrashed():
                self._child_crashed(message)
            case m.RestartChild(name, orphans):
                self._restart(name, orphans)
            case m.Shutdown():
                self._shut_down()
            case m.UnconfiguredListed(keeper, keys):
                self._retire(keeper, keys)
            case m.ScaleSetStopped(key):
                self._scale_set_ended(key)
            case m.SharedStopped(name):
                self._child_ended(name)
            case _:
                assert_never(message)
        return None

    # -- starting -----------------------------------------------------------------------------------

    def _launch(self, name: str, make: Callable[[], m.Ref]) -> None:
        crash = self.children.start(name, make)
        if crash is not None:
            self._child_crashed(crash)

    def _start_scale_set(self, settings: ScaleSetSettings) -> None:
        """Or leave it for later, while the keeper of its backend ends."""
        if not self._keepers.open_for(settings):
            return
        self._scale_sets[settings.key] = settings
        self._launch(_set_name(settings.key), partial(self._make_scale_set, settings.key))

    def _make_scale_set(self, key: ScaleSetKey) -> m.Ref:
        """For a restart too, which continues the counters of the last snapshot."""
        settings = self._scale_sets[key]
        last = self._last_snapshot(settings.key)
        wiring = ScaleSetWiring(
            parent=self.actor_ref,
            keeper=self._keepers.ref_for(settings),
            host=self.children.ref(m.HOST),
            health=self.children.ref(m.HEALTH),
            backend=self._keepers.backend_for(settings),
            restarts=self._count_restart(settings.key, last.restarts),
            poisonous=self._poisonous_batches(_set_name(settings.key)),
            counters=last.counters,
            drained=settings.key in self._drained,
            stop=self._order_to_leave(key),
        )
        return self._context.launch(ScaleSetActor, self._context, settings, wiring)

    def _count_restart(self, key: ScaleSetKey, shown: int) -> int:
        """How often the scale set has been restarted, this start included; 0 for its first start.

        `shown` is the count in the last snapshot, which may include restarts of its children. It may also be
        outdated, if the scale set crashed before it published a snapshot.
        """
        before = self._restarts.get(key)
        self._restarts[key] = 0 if before is None else max(before, shown) + 1
        return self._restarts[key]

    def _poisonous_batches(self, name: str) -> frozenset[str]:
        """The digests of the batches that have crashed that scale set too often."""
        counted = self._batch_crashes.items()
        return frozenset(digest for (who, digest), n in counted if who == name and n >= POISON_AFTER)

    def _last_snapshot(self, key: ScaleSetKey) -> ScaleSetStatus:
        shown = self._context.board.read().scale_sets
        settings = self._scale_sets[key]
        blank = ScaleSetStatus(
            settings.name, settings.url, settings.runner_group, settings.backend, SetState.STARTING
        )
        return next((one for one in shown if one.key == key), blank)

    # -- scale sets that are not configured any more (docs/behaviour.md § 6.5) -----------------------

    def _configured(self) -> dict[ScaleSetKey, ScaleSetSettings]:
        return {one.key: one for one in self._context.config.scale_sets}

    def _order_to_leave(self, key: ScaleSetKey) -> m.StopScaleSet | None:
        """What a scale set that is to end is told, however long its jobs take; None for any other."""
        if key in self._moving:
            self._leaving.add(key)
            return m.StopScaleSet(None, keep=False, reason=MOVING, delete=False)
        if key not in self._configured():
            self._leaving.add(key)
            return m.StopScaleSet(None, keep=False, reason=NOT_CONFIGURED)
        return None

    def _retire(self, keeper: str, keys: tuple[ScaleSetKey, ...]) -> None:
        backend_id = self._keepers.backend_id(keeper)
        if self._stopping or backend_id is None:
            return
        for settings in self._unconfigured.listed(backend_id, keys):
            self._start_scale_set(settings)
        self._expect_reports()

    def _expect_reports(self) -> None:
        """Once all runners are listed: nothing is granted before all scale sets have said what they hold."""
        if self._unconfigured.all_listed:
            self.children.tell(m.HOST, m.ExpectReports(frozenset(self._scale_sets)))

    def _scale_set_ended(self, key: ScaleSetKey) -> None:
        """One that had to leave and is configured all the same begins anew, unless the program stops."""
        self._child_ended(_set_name(key))
        if key not in self._leaving:
            return
        self._leaving.discard(key)
        self._moving.discard(key)
        self._restarts.pop(key, None)
        del self._scale_sets[key]
        self._context.metrics.forget(key)
        if self._stopping:
            return
        configured = self._configured().get(key)
        if configured is not None:
            self._start_scale_set(configured)
        self._show_no_ended()
        self._close_unused_keepers()

    def _show_no_ended(self) -> None:
        """Leave out the scale sets whose last snapshot was lost, as the health actor had crashed."""
        for shown in self._context.board.read().scale_sets:
            if shown.key not in self._scale_sets and shown.key not in self._configured():
                ended = replace(shown, state=SetState.STOPPED)
                self.send(self.children.ref(m.HEALTH), m.SnapshotTaken(shown.key, ended))

    def _close_unused_keepers(self) -> None:
        needed_by = (*self._scale_sets.values(), *self._context.config.scale_sets)
        for name in self._keepers.close_unused(needed_by):
            self._child_ended(name)

    def _keeper_closed(self, name: str) -> None:
        """A scale set that was configured for its backend meanwhile opens that anew."""
        self._keepers.closed(name)
        for settings in () if self._stopping else self._context.config.scale_sets:
            if settings.key not in self._scale_sets:
                self._start_scale_set(settings)

    # -- a changed configuration (docs/behaviour.md § 4.5) --------------------------------------------

    def _reload(self, config: Config) -> m.Reloaded | None:
        """Put it in force. A scale set that is down just now is made with it at its restart."""
        if self._stopping:
            return None
        before = self._context.config
        changes = compare(before, config)
        returning = frozenset(one.key for one in changes.added if one.key in self._scale_sets)
        self._keepers.note_served()
        self._context.configuration.config = config
        for change in changes.changed:
            self._change(change)
        removed = [one.key for one in changes.removed]
        self._moving.difference_update(removed)
        self._drained.difference_update(removed)
        for key in (*removed, *self._moving):
            self.children.tell(_set_name(key), self._order_to_leave(key))
        for settings in changes.added:
            if settings.key not in returning:
                self._start_scale_set(settings)
        if before.host != config.host:
            self._change_host(config)
        return m.Reloaded(changes, frozenset(self._moving), returning)

    def _change(self, change: SetChange) -> None:
        key = change.settings.key
        of = self._context.backend_id_of
        if key in self._moving or of(self._scale_sets[key]) != of(change.settings):
            self._moving.add(key)
            return
        self._scale_sets[key] = change.settings
        self.children.tell(_set_name(key), m.ChangeSettings(change))

    def _change_host(self, config: Config) -> None:
        self.children.tell(m.HOST, m.ApplyHostSettings(config.host))
        self._expect_reports()
        for key in self._scale_sets:
            self.children.tell(_set_name(key), m.HostLimitsChanged())

    # -- crashes ------------------------------------------------------------------------------------

    def _child_crashed(self, crash: m.ChildCrashed) -> None:
        decision = self.children.record_crash(crash)
        if decision is None:
            return
        name, delay = decision.name, decision.delay
        self._unanswered.pop(name, None)
        if crash.handling.startswith(m.BATCH):
            self._batch_crashes[name, crash.handling.removeprefix(m.BATCH).strip()] += 1
        settings = self._settings_of(name)
        if settings is not None and crash.handling.startswith(m.BATCH):
            counted = self._context.metrics.of(settings.key, settings.url)
            counted.count(own.MESSAGE_FAILURES, MessageFailure.RETRIED)
        after_giving_up = None if settings is None else FAILED_SET_SECONDS
        reason = report_crash(
            self._context,
            logger,
            crash,
            name=name,
            place=SHARED if settings is None else place_of(settings),
            restart_in=after_giving_up if delay is None else delay,
            gave_up=delay is None,
            kind=self._kind(name),
        )
        if not self._is_needed(name):
            self._child_ended(name)
        elif delay is not None:
            self.after(delay, m.RestartChild(name, decision.orphans))
        elif settings is not None:
            self._show_as_failed(name, settings, reason, decision.orphans)
        else:
            self._give_up(f"{name} crashed again and again: {reason}")

    def _show_as_failed(
        self, name: str, settings: ScaleSetSettings, reason: str, orphans: tuple[m.Ref, ...]
    ) -> None:
        """And start it again later; the other scale sets are not affected (docs/behaviour.md § 8.1)."""
        self.children.forget_crashes(name)
        failed = replace(self._last_snapshot(settings.key), state=SetState.FAILED, reason=reason)
        self.send(self.children.ref(m.HEALTH), m.SnapshotTaken(settings.key, failed))
        self.after(FAILED_SET_SECONDS, m.RestartChild(name, orphans))

    def _restart(self, name: str, orphans: tuple[m.Ref, ...]) -> None:
        """But only once the dead actor's children have ended: two actors must never work on one slot."""
        living = tuple(ref for ref in orphans if ref.is_alive())
        if living:
            self.after(ORPHAN_CHECK_SECONDS, m.RestartChild(name, living))
            return
        if not self._is_needed(name):
            self._child_ended(name)
            return
        crash = self.children.restart(name)
        if crash is not None:
            self._child_crashed(crash)
        elif (ref := self.children.ref(name)) is not None:
            self._announce_replacement(name, ref)

    def _announce_replacement(self, name: str, ref: m.Ref) -> None:
        """Give the ref of a restarted shared actor to the scale sets that had the old one."""
        self._publish_restarts()
        if name == m.HOST:
            self._expect_reports()
        elif name == m.HEALTH:
            self._show_no_ended()
        for settings in self._scale_sets.values():
            kind = m.KEEPER if name == self._keepers.name_for(settings) else name
            if kind in (m.HOST, m.HEALTH, m.KEEPER):
                self.children.tell(_set_name(settings.key), m.PeerReplaced(kind, ref))

    def _publish_restarts(self, given_up: str = "") -> None:
        shared = [name for name in self.children.names() if self._settings_of(name) is None]
        counts = tuple((name, self.children.restarts(name)) for name in shared)
        self.send(self.children.ref(m.HEALTH), m.RestartsCounted(counts, given_up))

    def _settings_of(self, name: str) -> ScaleSetSettings | None:
        return next((one for one in self._scale_sets.values() if _set_name(one.key) == name), None)

    # -- heartbeats --------------------------------------------------------------------------------------

    def _check_heartbeats(self) -> None:
        """Ask every child for a heartbeat and report those that hang; a stop goes on without them.

        No child of root may block. One that hangs can neither be ended, as a thread cannot be, nor replaced,
        as two actors must not do the same work. So `/livez` fails and systemd's watchdog is no longer
        notified; after a restart of the program the runners are adopted.
        See docs/architecture.md § Supervision.
        """
        self._depths.clear()
        self._publish_actors()
        now = self.clock.monotonic()
        for name in self.children.names():
            if self.children.ref(name) is not None and name not in self._unanswered:
                self._unanswered[name] = now
                self.children.tell(name, m.Heartbeat(name))
        hanging = {name for name, at in self._unanswered.items() if now - at >= HANGS_SECONDS}
        for name in sorted(hanging - self._hanging):
            logger.error("{} has not answered for {:.0f} s: it hangs", name, now - self._unanswered[name])
        self._hanging = hanging
        self.after(HEARTBEAT_SECONDS, m.HeartbeatDue())
        if self._stopping:
            for name in hanging:
                self._child_ended(name)

    def _heartbeat_answered(self, name: str, depth: int) -> None:
        asked, kind = self._unanswered.pop(name, None), self._kind(name)
        self._depths[kind] = max(self._depths.get(kind, 0), depth)
        self._context.metrics.publish_one(own.MAILBOX_DEPTH, self._depths[kind], kind)
        if asked is not None:
            self._context.metrics.observe(own.MAILBOX_WAIT, self.clock.monotonic() - asked, kind)

    def _kind(self, name: str) -> ActorKind:
        return kind_of_actor(name, has_vm_slots=self._keepers.has_vm_slots(name))

    def _publish_actors(self) -> None:
        """Of its own children and itself; the scale sets tell of theirs."""
        alive = Counter(self._kind(one) for one in self.children.names() if self.children.ref(one))
        alive[ActorKind.ROOT] = 1
        shown: dict[tuple[str, ...], float] = {
            (str(kind),): alive[kind] for kind in ActorKind if kind not in _OF_SCALE_SETS
        }
        self._context.metrics.publish(own.ACTORS, shown)

    def _all_responsive(self) -> bool:
        late = self.clock.monotonic() - HANGS_SECONDS
        return all(at > late for at in self._unanswered.values())

    # -- draining by hand -------------------------------------------------------------------------------

    def _set_drain(self, keys: tuple[ScaleSetKey, ...], *, drain: bool) -> bool:
        """Remembered for a scale set that crashes; a new process begins undrained."""
        if self._stopping:
            return False
        if drain:
            self._drained.update(keys)
        else:
            self._drained.difference_update(keys)
        for key in keys:
            self.children.tell(_set_name(key), m.DrainScaleSet() if drain else m.ResumeScaleSet())
        return True

    # -- stopping -------------------------------------------------------------------------------------

    def _give_up(self, reason: str) -> None:
        logger.error("giving up: {}", reason)
        self._reason, self._stopping = reason, True
        self._publish_restarts(reason)
        self.children.abandon()
        self.stop()

    def _shut_down(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        order = m.StopScaleSet(self._context.config.drain_timeout, self._context.config.on_exit == "keep")
        for key in self._scale_sets:
            name = _set_name(key)
            if not self.children.tell(name, order):
                self.children.forget(name)
        self._continue_stop()

    def _is_needed(self, name: str) -> bool:
        """Whether a crashed child must be restarted: in a stop only what a draining scale set depends on."""
        if self._keepers.is_closing(name):
            return False
        if not self._stopping:
            return True
        draining = any(self._settings_of(one) for one in self.children.names() if one != name)
        return draining and self._settings_of(name) is None

    def _child_ended(self, name: str) -> None:
        self._unanswered.pop(name, None)
        self.children.forget(name)
        if self._keepers.is_closing(name):
            self._keeper_closed(name)
        if self._stopping:
            self._continue_stop()

    def _continue_stop(self) -> None:
        """Stop the scale sets, then what they share, and health last, so that the stop can be watched."""
        names = self.children.names()
        if any(self._settings_of(name) for name in names):
            return
        if others := [name for name in names if name != m.HEALTH]:
            self._stop_shared(others)
        elif m.HEALTH in names:
            self._stop_shared([m.HEALTH])
        else:
            self._reason = ""
            self.stop()

    def _stop_shared(self, names: list[str]) -> None:
        for name in names:
            if not self.children.tell(name, self._stop_order(name)):
                self._child_ended(name)
                return

    def _stop_order(self, name: str) -> m.StopHealth | m.StopHost | m.StopKeeper:
        if name == m.HEALTH:
            return m.StopHealth()
        if name == m.HOST:
            return m.StopHost()
        return self._keepers.stop_order(name)


def _set_name(key: ScaleSetKey) -> str:
    return f"scale-set {key}"
