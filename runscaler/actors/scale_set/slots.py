"""The slots of a scale set: what is in each, counted as it changes. `SlotBook` is their only writer.

Nothing here costs more at a thousand slots than at ten: counts are kept by increments, idle slots stand
in the order in which they became idle, empty ones in a heap.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from runscaler.backends.base import Place
from runscaler.names import Generation, RunnerName, SlotNumber
from runscaler.policy.lifecycle import SlotEvent, SlotState
from runscaler.policy.scaling import Counts, IdleRunner
from runscaler.status import NO_PHASES, JobOrigin, StartPhases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.backends.base import Ending, Resource
    from runscaler.clock import Clock
    from runscaler.events import RunnerLost

_FIRST = Generation(0)
NOT_KNOWN = JobOrigin()
_RETIRABLE = (SlotState.IDLE, SlotState.ADOPTED)


@dataclass(slots=True, eq=False)
class Slot:
    """One slot and the runner in it. Read by all parts of the scale set, written by `SlotBook` alone.

    `changed_at`, `ordered_at`, `started_at`, `deadline` and `timer_at` are on the monotonic clock,
    `since` is wall-clock seconds.
    """

    number: SlotNumber
    state: SlotState = SlotState.EMPTY
    generation: Generation = _FIRST
    """Goes up with each runner in the slot, so that a late answer about an earlier one is recognised."""
    changed_at: float = 0.0
    since: float = 0.0
    runner: RunnerName | None = None
    runner_id: int = 0
    revision: int = 0
    """Of the settings that its runner was made with."""
    resource: Resource | None = None
    ordered_at: float = 0.0
    started_at: float = 0.0
    online: bool = False
    """GitHub has been seen to know it as connected."""
    forgotten: bool = False
    """GitHub has been proved to know it no more, though it lives."""
    phases: StartPhases = NO_PHASES
    """How long the phases of its start took."""
    job_id: str = ""
    job: str = ""
    origin: JobOrigin = NOT_KNOWN
    """Where its job comes from."""
    completed_job: str = ""
    has_ended: bool = False
    """By itself; `ending` says how, if the backend can tell."""
    ending: Ending | None = None
    failure: str = ""
    """Why the runner counts as failed; empty while it does not."""
    reason: str = ""
    """Why it is being retired or removed."""
    loss: RunnerLost | None = None
    """How the runner died in its job; None while it has not."""
    wants_output: bool = False
    """Its output is kept although it does not count as failed yet."""
    wants_proof: bool = False
    """Whether it had a job is asked of GitHub."""
    termination_seconds: float = 0.0
    """From SIGTERM to the kill, when it is removed while it may run a job."""
    end_said: bool = False
    """Its failure or loss is logged."""
    place: Place = field(default_factory=Place)
    """What it was granted on the host: a VM slot, perhaps with a warm VM."""
    vm_limit_reached: bool = False
    """Its start failed because the host would not run another VM."""
    deadline: float | None = None
    deadline_event: SlotEvent = SlotEvent.OVERDUE
    timer_at: float | None = None
    down: bool = False
    """Its runner actor crashed and is not back yet."""

    @property
    def job_is_over(self) -> bool:
        """GitHub has called its job completed, and no other one has started."""
        return bool(self.completed_job) and self.completed_job == (self.job_id or self.completed_job)


class SlotBook:
    """All slots, found by number, by runner and by resource.

    `set_timer` is called with a number of seconds and a slot: `due` must be called for it by then.
    """

    def __init__(
        self, max_runners: int, clock: Clock, set_timer: Callable[[float, SlotNumber], None]
    ) -> None:
        self.max_runners = max_runners
        self._clock, self._set_timer = clock, set_timer
        self._slots: dict[SlotNumber, Slot] = {}
        self._free = list(map(SlotNumber, range(max_runners)))
        self._counts = dict.fromkeys(SlotState, 0)
        self._retirable: OrderedDict[SlotNumber, float] = OrderedDict()
        self._waiting: OrderedDict[SlotNumber, None] = OrderedDict()
        self._forgotten: set[SlotNumber] = set()
        """Busy slots whose runner GitHub has forgotten."""
        self._by_runner: dict[RunnerName, Slot] = {}
        self._by_resource: dict[str, Slot] = {}
        self._down_empty = 0
        self.revision = 0
        """Goes up when runners are made in another way than before."""

    # -- finding ------------------------------------------------------------------------------

    def slot(self, number: SlotNumber) -> Slot:
        """The slot of that number, made when first used."""
        return self._slots.setdefault(number, Slot(number))

    def of_generation(self, number: SlotNumber, generation: Generation) -> Slot | None:
        """None for an answer about an earlier runner."""
        slot = self._slots.get(number)
        return slot if slot is not None and slot.generation == generation else None

    def of_runner(self, runner: str) -> Slot | None:
        return self._by_runner.get(RunnerName(runner))

    def of_resource(self, resource_id: str) -> Slot | None:
        return self._by_resource.get(resource_id)

    def held(self) -> Iterator[Slot]:
        """Every slot that is not empty, by number."""
        return (slot for _, slot in sorted(self._slots.items()) if slot.state is not SlotState.EMPTY)

    def used(self) -> Iterator[Slot]:
        """Every slot that was ever used, empty or not."""
        return iter(self._slots.values())

    def in_state(self, *states: SlotState) -> list[Slot]:
        return [slot for slot in self.held() if slot.state in states]

    def resize(self, max_runners: int) -> None:
        """`max-runners` has changed. Slots beyond it that are held stay until they are empty."""
        self.max_runners = max_runners
        self._free = [number for number in map(SlotNumber, range(max_runners)) if self._is_empty(number)]
        self._down_empty = sum(
            slot.down and slot.state is SlotState.EMPTY and slot.number < max_runners
            for slot in self._slots.values()
        )

    def _is_empty(self, number: SlotNumber) -> bool:
        slot = self._slots.get(number)
        return slot is None or slot.state is SlotState.EMPTY

    # -- counting -----------------------------------------------------------------------------

    def by_state(self) -> dict[str, int]:
        """How many are in each state, empty ones left out."""
        return {str(state): n for state, n in self._counts.items() if state is not SlotState.EMPTY}

    def counts(self) -> Counts:
        return Counts(**self.by_state(), forgotten=len(self._forgotten))

    @property
    def blocked(self) -> int:
        """Empty slots below max-runners whose actor is down."""
        return self._down_empty

    def oldest_retirable(self, count: int) -> tuple[IdleRunner, ...]:
        """Idle and adopted ones, longest in that state first."""
        return tuple(IdleRunner(number, at) for number, at in islice(self._retirable.items(), count))

    def newest_waiting(self, count: int) -> list[Slot]:
        return [self._slots[number] for number in list(islice(reversed(self._waiting), count))]

    # -- a runner in a slot -------------------------------------------------------------------

    def take(self, runner: RunnerName) -> Slot | None:
        """Assign `runner` to the lowest empty slot whose actor is up; None when there is none."""
        skipped: list[SlotNumber] = []
        found: Slot | None = None
        while self._free and found is None:
            slot = self.slot(heapq.heappop(self._free))
            if slot.down:
                skipped.append(slot.number)
            elif slot.state is SlotState.EMPTY:
                found = slot
        for number in skipped:
            heapq.heappush(self._free, number)
        if found is not None:
            self.assign(found, runner)
        return found

    def assign(self, slot: Slot, runner: RunnerName) -> None:
        """A new runner in an empty slot: everything about the earlier one is forgotten."""
        slot.generation = Generation(slot.generation + 1)
        slot.runner, slot.runner_id, slot.resource, slot.ending = runner, 0, None, None
        slot.revision = self.revision
        slot.job_id = slot.job = slot.completed_job = slot.failure = slot.reason = ""
        slot.origin, slot.loss, slot.phases = NOT_KNOWN, None, NO_PHASES
        slot.ordered_at, slot.started_at = self._clock.monotonic(), 0.0
        slot.place, slot.vm_limit_reached, slot.has_ended = Place(), False, False
        slot.wants_output = slot.wants_proof = slot.end_said = slot.online = slot.forgotten = False
        slot.termination_seconds = 0.0
        self._by_runner[runner] = slot

    def attach(self, slot: Slot, resource: Resource) -> None:
        """The slot's runner lives in `resource`."""
        slot.resource = resource
        slot.runner_id = resource.runner_id or slot.runner_id
        slot.place = resource.place
        slot.started_at = self._clock.monotonic()
        self._by_resource[resource.id] = slot

    def note_order(self, slot: Slot) -> None:
        """Its runner is being made now."""
        slot.revision = self.revision

    def grant(self, slot: Slot, place: Place) -> None:
        slot.place = place

    def start_job(self, slot: Slot, job_id: str, name: str, origin: JobOrigin) -> None:
        """The job it runs from now on. A deadline that it had as an idle runner is void."""
        slot.job_id, slot.job, slot.origin, slot.deadline, slot.online = job_id, name, origin, None, True
        self.note_forgotten(slot, False)

    def note_job(self, slot: Slot, job_id: str) -> None:
        """The job that it ran: its JobStarted came when it was over."""
        slot.job_id = job_id

    def complete_job(self, slot: Slot, job_id: str) -> None:
        slot.completed_job = job_id

    def note_ending(
        self, slot: Slot, ending: Ending | None, *, wants_output: bool, wants_proof: bool
    ) -> None:
        slot.has_ended, slot.ending = True, ending
        slot.wants_output, slot.wants_proof = wants_output, wants_proof

    def note_phases(self, slot: Slot, phases: StartPhases) -> None:
        slot.phases = phases

    def note_online(self, slot: Slot) -> None:
        """GitHub sees it connected."""
        slot.online = True

    def note_forgotten(self, slot: Slot, forgotten: bool) -> None:
        """Whether GitHub has forgotten its registration."""
        slot.forgotten = forgotten
        self._count_forgotten(slot)

    def _count_forgotten(self, slot: Slot) -> None:
        if slot.forgotten and slot.state is SlotState.BUSY:
            self._forgotten.add(slot.number)
        else:
            self._forgotten.discard(slot.number)

    def note_end_said(self, slot: Slot) -> None:
        slot.end_said = True

    def fail(self, slot: Slot, failure: str, *, vm_limit_reached: bool = False) -> None:
        """The runner counts as failed, for this reason."""
        slot.failure, slot.vm_limit_reached = failure, vm_limit_reached

    def allow_termination(self, slot: Slot, seconds: float) -> None:
        """It is removed while it may run a job, and has this long to cancel it."""
        slot.termination_seconds = seconds

    def lose(self, slot: Slot, loss: RunnerLost) -> None:
        """The runner died in its job."""
        slot.loss = loss

    def explain(self, slot: Slot, reason: str) -> None:
        """Why it is retired or removed."""
        slot.reason = reason

    # -- states and deadlines -----------------------------------------------------------------

    def move(self, slot: Slot, state: SlotState) -> None:
        """Put the slot into `state`, without a deadline; emptying it forgets its runner."""
        self._count_down(slot, -1)
        self._counts[slot.state] -= 1
        self._retirable.pop(slot.number, None)
        self._waiting.pop(slot.number, None)
        slot.state = state
        slot.changed_at, slot.since = self._clock.monotonic(), self._clock.wall()
        slot.deadline = None
        self._counts[state] += 1
        self._count_forgotten(slot)
        if state in _RETIRABLE:
            self._retirable[slot.number] = slot.changed_at
        elif state is SlotState.WAITING:
            self._waiting[slot.number] = None
        elif state is SlotState.EMPTY:
            self._vacate(slot)
        self._count_down(slot, +1)

    def set_deadline(self, slot: Slot, seconds: float, event: SlotEvent) -> None:
        """Let `event` become due unless the slot moves before. One timer a slot, set anew when it fires."""
        slot.deadline, slot.deadline_event = self._clock.monotonic() + seconds, event
        if slot.timer_at is None or slot.timer_at > slot.deadline:
            slot.timer_at = slot.deadline
            self._set_timer(seconds, slot.number)

    def due(self, slot: Slot) -> SlotEvent | None:
        """The slot's timer fired: the event that is due now, None where its deadline has moved."""
        now = self._clock.monotonic()
        if slot.timer_at is not None and slot.timer_at <= now:
            slot.timer_at = None
        if slot.deadline is None:
            return None
        if slot.deadline > now:
            self.set_deadline(slot, slot.deadline - now, slot.deadline_event)
            return None
        slot.deadline = None
        return slot.deadline_event

    def set_down(self, slot: Slot, down: bool) -> None:
        """Its actor crashed, or is back."""
        self._count_down(slot, -1)
        slot.down = down
        self._count_down(slot, +1)

    def _count_down(self, slot: Slot, change: int) -> None:
        if slot.down and slot.state is SlotState.EMPTY and slot.number < self.max_runners:
            self._down_empty += change

    def _vacate(self, slot: Slot) -> None:
        if slot.runner is not None:
            self._by_runner.pop(slot.runner, None)
        if slot.resource is not None:
            self._by_resource.pop(slot.resource.id, None)
        slot.runner, slot.resource = None, None
        if slot.number < self.max_runners:
            heapq.heappush(self._free, slot.number)
