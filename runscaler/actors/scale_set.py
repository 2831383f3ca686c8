"""One scale set: messages in, the view updated, the plan carried out. It never blocks.

It decides nothing itself: `policy.scaling` says how many runners there should be, `policy.lifecycle`
what an event makes of a slot, `policy.inventory` what a list of resources means, `policy.condition`
what stands in the way. Its parts: `Crew` (its actors), `Runners` (its slots), `Jobs` (what job
messages mean), `Outlook` (what is in the way), `Planning`, `Stocktaking` (what the backend lists),
`Farewell` (the order of a stop). This class is their switchboard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.crew import Crew
from runscaler.actors.doubts import Doubts
from runscaler.actors.farewell import Farewell
from runscaler.actors.jobs import Jobs
from runscaler.actors.outlook import Outlook
from runscaler.actors.past import Tally
from runscaler.actors.places import Places
from runscaler.actors.planning import Planning
from runscaler.actors.runners import Runners
from runscaler.actors.snapshot import snapshot
from runscaler.actors.stocktaking import Stocktaking
from runscaler.backends.base import PlacedBackend
from runscaler.policy.lifecycle import SlotEvent
from runscaler.status import SetState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscaler.actors.house import House
    from runscaler.backends.base import Backend
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import Trouble
    from runscaler.github.messages import JobAvailable
    from runscaler.names import SlotNumber

RECONCILE_SECONDS = 30.0
PUBLISH_SECONDS, PUBLISH_SLOTS = 0.05, 200
"""Snapshots are taken at most this often with that many slots, and the more seldom the more there are:
at a thousand slots one costs a millisecond."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scale set actor stands: what it is made with beside its settings.

    A peer that is down is None: `PeerReplaced` brings the new one. `restarts` counts its own; `tally`
    goes on from where its predecessor was.
    """

    parent: m.Ref
    keeper: m.Ref | None
    host: m.Ref | None
    health: m.Ref | None
    backend: Backend
    restarts: int = 0
    tally: Tally | None = None
    poisonous: frozenset[str] = frozenset()
    """Digests of batches whose handling has crashed this scale set three times."""


class ScaleSetActor(SupervisedActor[m.ScaleSetMessage]):
    def __init__(self, house: House, settings: ScaleSetSettings, place: Place) -> None:
        super().__init__(f"scale-set {settings.name}", place.parent, house.clock)
        self._settings = settings
        self._keeper, self._health = place.keeper, place.health
        self._house, self._poisonous = house, place.poisonous
        self._restarts = place.restarts
        self._last_poll: float | None = None
        self._polled_at: float | None = None
        self._publish_due = False
        service = house.connect(settings, self._hear_trouble)
        self._outlook = Outlook(house, settings, self.changed)
        self._crew = Crew(self, house, settings, service, place.backend)
        has_vm_slots = isinstance(place.backend, PlacedBackend)
        self._places = Places(self, settings.key, place.host, place.keeper, has_vm_slots=has_vm_slots)
        tally = place.tally or Tally()
        self._runners = Runners(self, self._crew, self._outlook, self._places, house, settings, tally)
        self._planning = Planning(self, house, settings, self._runners, self._outlook)
        self._doubts = Doubts(house, settings, self._crew, self._runners, self._planning)
        self._jobs = Jobs(house, settings, self._runners, self._outlook, self._doubts)
        self._stocktaking = Stocktaking(self, house, settings, self._runners, self._crew, self._places)
        self._farewell = Farewell(self, settings, self._runners, self._crew, self._outlook)
        self._log = logger.bind(scale_set=settings.name)

    def started(self) -> None:
        self._join_keeper()
        self._crew.start_listener(self._capacity)
        self.after(RECONCILE_SECONDS, m.Reconcile())
        self._publish_soon()

    def receive(self, message: m.ScaleSetMessage) -> None:
        if isinstance(message, m.ListenerReport):
            self._hear_listener(message)
        elif isinstance(message, m.RunnerReport):
            self._hear_runner(message)
        elif isinstance(message, m.ThingReport):
            self._hear_thing(message)
        elif isinstance(message, m.OwnDeadline):
            self._reach(message)
        elif isinstance(message, m.ChildCrashed):
            self._crew.crashed(message)
            self._farewell.check()
        elif isinstance(message, m.PeerReplaced):
            self._meet(message)
        elif isinstance(message, m.StopScaleSet):
            self._outlook.draining()
            self._places.stop_warming(keep=message.keep)
            self._farewell.begin(message)
        else:
            assert_never(message)

    def describe(self, message: m.ScaleSetMessage) -> str:
        if isinstance(message, m.BatchReceived):
            return f"{m.BATCH} {message.digest}"
        return super().describe(message)

    def changed(self) -> None:
        """The view is not what it was: a plan and a snapshot are due."""
        self._planning.soon()
        self._publish_soon()

    # -- GitHub's side ------------------------------------------------------------------------------

    def _hear_trouble(self, trouble: Trouble | None) -> None:
        """From the service, on whatever thread its call runs."""
        self.send(self.actor_ref, m.CallsTroubled(trouble))

    def _hear_listener(self, message: m.ListenerReport) -> None:
        match message:
            case m.ScaleSetFound(scale_set_id):
                self._runners.scale_set_id = scale_set_id
            case m.SessionOpened():
                self._session_opened(message)
            case m.BatchReceived():
                self._batch(message)
            case m.PolledInVain():
                self._polled()
                self.changed()
            case m.SecondOpinion(statistics):
                self._doubts.second_opinion(statistics)
                self.changed()
            case m.StoodBy(reason, retry_at):
                self._outlook.stood_by(reason, retry_at)
            case m.ListenerTroubled(trouble):
                self._outlook.listener_troubled(trouble)
            case m.CallsTroubled(trouble):
                self._outlook.calls_troubled(trouble)
            case m.ListenerStopped():
                self._farewell.listener_stopped()
            case _:
                assert_never(message)

    def _session_opened(self, opened: m.SessionOpened) -> None:
        self._runners.scale_set_id = opened.scale_set_id
        self._warn_about_labels(opened.labels)
        self._polled()
        self._planning.count(opened.statistics)
        self._planning.forget_offers()
        self._outlook.session_opened()
        if self._outlook.condition.listed:
            self._stocktaking.look_back()
        self._answer(None, opened.offers)

    def _warn_about_labels(self, kept: tuple[str, ...]) -> None:
        dropped = {one.lower() for one in self._settings.labels} - {one.lower() for one in kept}
        if dropped and kept:
            self._log.warning("GitHub dropped the labels {} without a word", ", ".join(sorted(dropped)))

    def _batch(self, batch: m.BatchReceived) -> None:
        self._polled()
        self._doubts.hear(batch.problems)
        self._planning.count(batch.statistics)
        self._doubts.weigh(batch.statistics, batch.events)
        events = () if self._is_poisonous(batch) else batch.events
        self._answer(batch.batch_id, self._jobs.apply(events))
        self.changed()

    def _polled(self) -> None:
        """The session is alive."""
        self._last_poll, self._polled_at = self.clock.wall(), self.clock.monotonic()

    def _is_poisonous(self, batch: m.BatchReceived) -> bool:
        """Its handling has crashed three of us: it is set aside, the statistics have to do (docs/behaviour.md § 8.4)."""
        if not self._poisonous or batch.digest not in self._poisonous:
            return False
        kept = self._house.state_store.set_aside(self._settings.key, batch.batch_id, repr(batch.events))
        where = f"kept in {kept}" if kept else "dropped"
        self._log.error("batch {} crashed the scale set three times: {}", batch.batch_id, where)
        return True

    def _answer(self, batch_id: int | None, offers: Iterable[JobAvailable]) -> None:
        wanted = self._planning.acquire(self._capacity(), offers)
        self._crew.tell_listener(m.BatchHandled(batch_id, wanted))

    def _capacity(self) -> int:
        return 0 if self._farewell.begun else self._settings.max_runners

    # -- the runners' side --------------------------------------------------------------------------

    def _hear_runner(self, message: m.RunnerReport) -> None:
        match message:
            case m.RunnerEnded(number):
                self._crew.forget_runner(number)
                self._farewell.check()
            case m.RegistrationOwed(number, runner, runner_id):
                self._stocktaking.owe(number, runner, runner_id)
            case m.RegistrationSettled(number, runner):
                self._stocktaking.settled(number, runner)
            case _:
                self._hear_of_slot(message)

    def _hear_of_slot(self, message: m.SlotReport) -> None:
        slot = self._runners.book.of_generation(message.slot, message.generation)
        if slot is None:
            return
        match message:
            case m.RunnerUp():
                self._runners.up(slot, message)
            case m.RunnerStartFailed():
                self._runners.start_failed(slot, message)
                if message.image_missing:
                    self.send(self._keeper, m.PrepareAgain(self._settings.key))
            case m.RetireAgreed():
                self._runners.happen(slot, SlotEvent.AGREED)
            case m.RetireRefused():
                self._runners.retire_refused(slot)
            case m.RetireFailed(reason=reason):
                self._runners.retire_failed(slot, reason)
            case m.JobSeen():
                self._runners.seen_at_work(slot)
            case m.RegistrationSeen(known=known):
                self._doubts.registration(slot, known)
            case m.RunnerGone(output=output):
                self._runners.gone(slot, output)
            case m.RemovalFailed(reason=reason):
                known = self._outlook.condition.backend is not None
                level = "DEBUG" if known else "WARNING"
                self._log.log(level, "{} is not removed yet, trying again: {}", slot.runner, reason)
            case _:
                assert_never(message)

    # -- the thing the runners live on, and the host --------------------------------------------------

    def _hear_thing(self, message: m.ThingReport) -> None:
        match message:
            case m.ResourceEnded(resource_id, ending):
                self._runners.departures.ended(resource_id, ending)
            case m.PlaceGranted(number, generation, place):
                if slot := self._runners.book.of_generation(number, generation):
                    self._runners.placed(slot, place)
            case m.Inventory():
                self._take_stock(message)
            case m.BackendDown(reason, fixes):
                self._outlook.backend_down(reason, fixes)
            case m.BackendUp():
                # It is up for us when its list has come: nothing is started beside what it does not tell yet.
                self.ask_for_inventory()
            case m.PlacesFull(holders):
                self._outlook.places_full(holders)
            case m.ImagePrepared():
                self._outlook.image_prepared()
            case m.ImageAbsent(reason, fixes, failed):
                self._outlook.image_absent(reason, fixes, failed)
            case _:
                assert_never(message)

    def _take_stock(self, inventory: m.Inventory) -> None:
        self._stocktaking.take(inventory)
        if not self._outlook.condition.listed:
            self._places.hold_all(self._runners.book)
        self._outlook.listed()
        self._stocktaking.look_back()
        self._farewell.check()

    def _join_keeper(self) -> None:
        self.send(self._keeper, m.JoinKeeper(self._settings.key, self.actor_ref, self._settings))
        self.ask_for_inventory()

    def ask_for_inventory(self) -> None:
        self.send(self._keeper, m.ListResources(self._settings.key))

    def _meet(self, replaced: m.PeerReplaced) -> None:
        book, listed = self._runners.book, self._outlook.condition.listed
        if replaced.kind == m.HEALTH:
            self._health = replaced.ref
            self._publish_soon()
        elif replaced.kind == m.KEEPER:
            self._keeper = replaced.ref
            self._join_keeper()
            self._places.meet_keeper(replaced.ref, book, is_listed=listed)
        else:
            self._places.meet_host(replaced.ref, book, is_listed=listed)

    # -- own deadlines --------------------------------------------------------------------------------

    def _reach(self, message: m.OwnDeadline) -> None:
        match message:
            case m.MakePlan():
                self._planning.make(stopping=self._farewell.begun)
                self._farewell.check()
            case m.LookAgain():
                self._planning.look_again()
            case m.Reconcile():
                self._reconcile()
            case m.Publish():
                self._publish()
            case m.SlotDue(number):
                self._runners.due(number)
            case m.SettleDeparted(runner):
                self._runners.departures.settle(runner)
            case m.DrainOver():
                self._farewell.drain_over()
            case m.ClosingOver(what):
                self._farewell.over(what)
            case m.RestartChild(name):
                self._crew.restart(name)
            case _:
                assert_never(message)

    def _reconcile(self) -> None:
        """Every 30 s: the backend's list, and a look at what is doubtful."""
        self.ask_for_inventory()
        self.after(RECONCILE_SECONDS, m.Reconcile())
        doubtful = self._outlook.condition.is_serving and not self._farewell.begun
        if doubtful and self._doubts.look(self._polled_at):
            self._polled_at = self.clock.monotonic()

    # -- what becomes of its actors -------------------------------------------------------------------

    def runner_down(self, slot: SlotNumber, /) -> None:
        self._runners.book.set_down(self._runners.book.slot(slot), True)
        self.changed()

    def runner_back(self, slot: SlotNumber, /) -> None:
        self._runners.book.set_down(self._runners.book.slot(slot), False)
        self._stocktaking.runner_back(self._runners.book.slot(slot))
        self.changed()

    def listener_failed(self, reason: str, /) -> None:
        self._outlook.listener_failed(reason)

    # -- being seen, and leaving ----------------------------------------------------------------------

    def _publish_soon(self) -> None:
        if not self._publish_due:
            self._publish_due = True
            scale = max(1.0, self._runners.book.counts().held / PUBLISH_SLOTS)
            self.after(PUBLISH_SECONDS * scale, m.Publish())

    def _publish(self, state: SetState | None = None) -> None:
        self._publish_due = False
        taken = snapshot(
            self._settings,
            self._runners,
            self._outlook,
            self._planning,
            last_poll=self._last_poll,
            restarts=self._restarts + self.children.total_restarts(),
        )
        if state is not None:
            taken = replace(taken, state=state, reason="")
        self.send(self._health, m.SnapshotTaken(self._settings.key, taken))

    def leave(self) -> None:
        self._publish(SetState.STOPPED)
        self.send(self._keeper, m.LeaveKeeper(self._settings.key, self._farewell.keep))
        self.end(m.ScaleSetStopped(self._settings.key))
