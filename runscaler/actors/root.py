"""The top of the tree: starts everything in order, restarts what crashes, stops in reverse.

Order of start: health (so that the start can be watched), host, keepers, scale sets. What all share
and cannot be had back ends the program; one scale set never does.
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
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.scale_set import ScaleSetActor, ScaleSetWiring
from runscaler.actors.tart_slots import TartSlotActor
from runscaler.backends.base import PlacedBackend
from runscaler.status import SetState

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Backend
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey
    from runscaler.status import ScaleSetStatus

FAILED_SET_SECONDS = 60.0
BEAT_SECONDS, HANGS_SECONDS = 10.0, 30.0
POISON_AFTER = 3
"""Crashes by the same batch after which it is set aside (docs/behaviour.md § 8.4)."""
ORPHANS_LOOK_SECONDS = 0.1


class RootActor(SupervisedActor[m.RootMessage]):
    """`ended` is called once, on the actor's thread, with the reason (empty after an orderly stop)."""

    def __init__(self, context: ActorContext, ended: Callable[[str], None]) -> None:
        super().__init__("root", None, context.clock)
        self._context, self._ended = context, ended
        self._backends: dict[str, Backend] = {}
        self._unanswered: dict[str, float] = {}
        self._hanging: set[str] = set()
        self._restarts: dict[ScaleSetKey, int] = {}
        self._crashes_by: Counter[tuple[str, str]] = Counter()
        self._reason = "the root actor crashed"
        self._stopping = False

    def started(self) -> None:
        self._launch(m.HEALTH, lambda: self._context.launch(HealthActor, self.actor_ref, self._context))
        self._launch(m.HOST, lambda: self._context.launch(HostActor, self.actor_ref, self._context))
        for settings in self._context.config.scale_sets:
            self._start_keeper(settings)
        for settings in self._context.config.scale_sets:
            self._start_scale_set(settings)
        self._beat()

    def crashed(self, crash: m.ChildCrashed) -> None:
        self._reason = f"the root actor crashed: {first_line(crash.error)} while handling {crash.handling}"
        logger.debug("{}", crash.error)

    def abandoned(self) -> None:
        """The facade is in a hurry: everything stays as it is, for the next start to adopt."""
        self._reason = ""

    def released(self) -> None:
        for backend in self._backends.values():
            try:
                backend.close()
            except Exception as error:
                logger.warning("{} could not be closed: {}", backend.name, error)
        self._ended(self._reason)

    def receive(self, message: m.RootMessage) -> object:
        match message:
            case m.Ping():
                return self._all_answer()
            case m.HeartbeatDue():
                self._beat()
            case m.HeartbeatAnswered(name):
                self._unanswered.pop(name, None)
            case m.ChildCrashed():
                self._child_crashed(message)
            case m.RestartChild(name, orphans):
                self._restart(name, orphans)
            case m.Shutdown():
                self._shut_down()
            case m.ScaleSetStopped(key):
                self._gone(_set_name(key))
            case m.SharedStopped(name):
                self._gone(name)
            case _:
                assert_never(message)
        return None

    # -- starting -----------------------------------------------------------------------------------

    def _launch(self, name: str, make: Callable[[], m.Ref]) -> None:
        crash = self.children.start(name, make)
        if crash is not None:
            self._child_crashed(crash)

    def _start_keeper(self, settings: ScaleSetSettings) -> None:
        thing = self._context.backend_id_of(settings)
        if thing in self._backends:
            return
        backend = self._backends[thing] = self._context.open_backend(settings)
        self._launch(_keeper_name(thing), partial(self._make_keeper, thing, backend))

    def _make_keeper(self, thing: str, backend: Backend) -> m.Ref:
        """Who hands out VM slots, where the backend's host has such."""
        name = _keeper_name(thing)
        if not isinstance(backend, PlacedBackend):
            return self._context.launch(KeeperActor, name, self.actor_ref, self._context, backend)
        sets = tuple(
            one for one in self._context.config.scale_sets if self._context.backend_id_of(one) == thing
        )
        return self._context.launch(TartSlotActor, name, self.actor_ref, self._context, backend, sets)

    def _start_scale_set(self, settings: ScaleSetSettings) -> None:
        self._launch(_set_name(settings.key), partial(self._make_scale_set, settings))

    def _make_scale_set(self, settings: ScaleSetSettings) -> m.Ref:
        """Also for a restart: the counters go on from the last snapshot."""
        thing = self._context.backend_id_of(settings)
        last = self._last_snapshot(settings.key)
        wiring = ScaleSetWiring(
            parent=self.actor_ref,
            keeper=self.children.ref(_keeper_name(thing)),
            host=self.children.ref(m.HOST),
            health=self.children.ref(m.HEALTH),
            backend=self._backends[thing],
            restarts=self._counted(settings.key, last.restarts),
            poisonous=self._poisonous(_set_name(settings.key)),
            counters=last.counters,
        )
        return self._context.launch(ScaleSetActor, self._context, settings, wiring)

    def _counted(self, key: ScaleSetKey, shown: int) -> int:
        """Restarts of the set so far: a crash may come before its predecessor's count was ever shown."""
        before = self._restarts.get(key)
        self._restarts[key] = 0 if before is None else max(before, shown) + 1
        return self._restarts[key]

    def _poisonous(self, name: str) -> frozenset[str]:
        counted = self._crashes_by.items()
        return frozenset(digest for (who, digest), n in counted if who == name and n >= POISON_AFTER)

    def _last_snapshot(self, key: ScaleSetKey) -> ScaleSetStatus:
        position = [settings.key for settings in self._context.config.scale_sets].index(key)
        return self._context.board.read().scale_sets[position]

    # -- crashes ------------------------------------------------------------------------------------

    def _child_crashed(self, crash: m.ChildCrashed) -> None:
        verdict = self.children.crashed(crash)
        if verdict is None:
            return
        if crash.handling.startswith(m.BATCH):
            self._crashes_by[verdict.name, crash.handling.removeprefix(m.BATCH).strip()] += 1
        settings = self._settings_of(verdict.name)
        reason = report_crash(
            self._context,
            logger,
            crash,
            name=verdict.name,
            scale_set="" if settings is None else settings.name,
            then="given up" if verdict.delay is None else f"back in {verdict.delay:g} s",
            gave_up=verdict.delay is None,
        )
        if self._is_done_with(verdict.name):
            self._gone(verdict.name)
        elif verdict.delay is not None:
            self.after(verdict.delay, m.RestartChild(verdict.name, verdict.orphans))
        elif settings is not None:
            self._give_up_for_now(verdict.name, settings, reason, verdict.orphans)
        else:
            self._give_up(f"{verdict.name} crashed again and again: {reason}")

    def _give_up_for_now(
        self, name: str, settings: ScaleSetSettings, reason: str, orphans: tuple[m.Ref, ...]
    ) -> None:
        """A failed set is shown and tried again; the others never notice (docs/behaviour.md § 8.1)."""
        self.children.forgive(name)
        failed = replace(self._last_snapshot(settings.key), state=SetState.FAILED, reason=reason)
        self.send(self.children.ref(m.HEALTH), m.SnapshotTaken(settings.key, failed))
        self.after(FAILED_SET_SECONDS, m.RestartChild(name, orphans))

    def _restart(self, name: str, orphans: tuple[m.Ref, ...]) -> None:
        """Not before the old one's children have ended: two of them must not work on one slot."""
        living = tuple(ref for ref in orphans if ref.is_alive())
        if living:
            self.after(ORPHANS_LOOK_SECONDS, m.RestartChild(name, living))
            return
        if self._is_done_with(name):
            self._gone(name)
            return
        crash = self.children.restart(name)
        if crash is not None:
            self._child_crashed(crash)
        elif (ref := self.children.ref(name)) is not None:
            self._introduce(name, ref)

    def _introduce(self, name: str, ref: m.Ref) -> None:
        """A shared actor is new: those who knew the old one learn its ref."""
        self._count_restarts()
        for settings in self._context.config.scale_sets:
            keeper = _keeper_name(self._context.backend_id_of(settings))
            kind = m.KEEPER if name == keeper else name
            if kind in (m.HOST, m.HEALTH, m.KEEPER):
                self.children.tell(_set_name(settings.key), m.PeerReplaced(kind, ref))

    def _count_restarts(self, given_up: str = "") -> None:
        shared = [name for name in self.children.names() if self._settings_of(name) is None]
        counts = tuple((name, self.children.restarts(name)) for name in shared)
        self.send(self.children.ref(m.HEALTH), m.RestartsCounted(counts, given_up))

    def _settings_of(self, name: str) -> ScaleSetSettings | None:
        return next((one for one in self._context.config.scale_sets if _set_name(one.key) == name), None)

    # -- hangs --------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """None of its children may block. One that hangs cannot be ended (a thread), nor may another do
        its work beside it: `/livez` and the watchdog say so, and the next start adopts (docs/architecture.md § Supervision).
        A stop does not wait for it."""
        now = self.clock.monotonic()
        self._unanswered = {name: at for name, at in self._unanswered.items() if self.children.ref(name)}
        for name in self.children.names():
            if self.children.ref(name) is not None and name not in self._unanswered:
                self._unanswered[name] = now
                self.children.tell(name, m.Heartbeat(name))
        hanging = {name for name, at in self._unanswered.items() if now - at >= HANGS_SECONDS}
        for name in sorted(hanging - self._hanging):
            logger.error("{} has not answered for {:.0f} s: it hangs", name, now - self._unanswered[name])
        self._hanging = hanging
        self.after(BEAT_SECONDS, m.HeartbeatDue())
        if self._stopping:
            for name in hanging:
                self._gone(name)

    def _all_answer(self) -> bool:
        late = self.clock.monotonic() - HANGS_SECONDS
        return all(at > late for at in self._unanswered.values())

    # -- ending -------------------------------------------------------------------------------------

    def _give_up(self, reason: str) -> None:
        logger.error("giving up: {}", reason)
        self._reason, self._stopping = reason, True
        self._count_restarts(reason)
        self.children.abandon()
        self.stop()

    def _shut_down(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        order = m.StopScaleSet(self._context.config.drain_timeout, self._context.config.on_exit == "keep")
        for settings in self._context.config.scale_sets:
            name = _set_name(settings.key)
            if not self.children.tell(name, order):
                self.children.forget(name)
        self._next_phase()

    def _is_done_with(self, name: str) -> bool:
        """Would it only come back to be stopped? Draining scale sets still need what they stand on."""
        if not self._stopping:
            return False
        draining = [one for one in self.children.names() if self._settings_of(one) and one != name]
        return self._settings_of(name) is not None or not draining

    def _gone(self, name: str) -> None:
        self.children.forget(name)
        if self._stopping:
            self._next_phase()

    def _next_phase(self) -> None:
        """Scale sets first, then what they stand on, the health server last, so that the end can be seen."""
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
                self._gone(name)
                return

    def _stop_order(self, name: str) -> m.StopHealth | m.StopHost | m.StopKeeper:
        if name == m.HEALTH:
            return m.StopHealth()
        return m.StopHost() if name == m.HOST else m.StopKeeper(self._context.config.on_exit == "keep")


def _set_name(key: ScaleSetKey) -> str:
    return f"scale-set {key}"


def _keeper_name(thing: str) -> str:
    return f"keeper {thing}"
