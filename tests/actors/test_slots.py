"""The book of slots against a model that counts everything anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from strategies import SLOT_EVENTS

from runscaler.actors.scale_set.slots import Slot, SlotBook
from runscaler.backends.base import Resource
from runscaler.names import Generation, OwnerId, RunnerName, ScaleSetKey, SlotNumber
from runscaler.policy.lifecycle import SlotEvent, SlotState, step
from runscaler.policy.scaling import Counts, IdleRunner
from runscaler.testing.clock import FakeClock

MAX_RUNNERS = 4
"""At first."""
NUMBERS = st.integers(0, MAX_RUNNERS + 2).map(SlotNumber)
PICK = st.integers(0, 50)
EMPTY, WAITING, ADOPTED = SlotState.EMPTY, SlotState.WAITING, SlotState.ADOPTED
RETIRABLE = {SlotState.IDLE, SlotState.ADOPTED}
WITHOUT_RESOURCE = {SlotState.WAITING, SlotState.STARTING}


@dataclass
class Known:
    """A slot that is held, as a naive observer would note it; `turn` orders the moves."""

    state: SlotState
    runner: RunnerName
    at: float
    turn: int
    resource: str = ""


class SlotsLife(RuleBasedStateMachine):
    """Runners come and go at random, as the lifecycle allows; actors crash and come back."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.max_runners = MAX_RUNNERS
        self.book = SlotBook(MAX_RUNNERS, self.clock, lambda _seconds, _slot: None)
        self.held: dict[SlotNumber, Known] = {}
        self.down: set[SlotNumber] = set()
        self.generations = Counter[SlotNumber]()
        self.made = 0
        self.turn = 0

    # -- what happens -----------------------------------------------------------------------------

    @rule()
    def take(self) -> None:
        runner = self._new_runner()
        free = sorted({SlotNumber(n) for n in range(self.max_runners)} - self.held.keys() - self.down)
        slot = self.book.take(runner)

        assert (None if slot is None else slot.number) == (free[0] if free else None)
        if slot is not None:
            self._arrive(slot, WAITING, runner)

    @rule(number=NUMBERS)
    def adopt(self, number: SlotNumber) -> None:
        if number in self.held:
            return
        slot, runner = self.book.slot(number), self._new_runner()
        self.book.assign(slot, runner)
        self._give(slot, runner)
        self._arrive(slot, ADOPTED, runner)
        self.held[number].resource = f"id-of-{runner}"

    @precondition(lambda self: self.held)
    @rule(pick=PICK, event=SLOT_EVENTS)
    def apply(self, pick: int, event: SlotEvent) -> None:
        number, known = self._pick(pick)
        then = step(known.state, event).state
        if then is known.state:
            return
        if then not in WITHOUT_RESOURCE | {EMPTY} and not known.resource:
            self._give(self.book.slot(number), known.runner)
            known.resource = f"id-of-{known.runner}"
        self._move(number, then)

    @rule(number=NUMBERS, down=st.booleans())
    def crash_or_come_back(self, number: SlotNumber, down: bool) -> None:
        self.book.set_down(self.book.slot(number), down)
        (self.down.add if down else self.down.discard)(number)

    @rule(max_runners=st.integers(1, MAX_RUNNERS + 2))
    def resize(self, max_runners: int) -> None:
        self.book.resize(max_runners)
        self.max_runners = max_runners

    @rule(seconds=st.sampled_from([1.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def _arrive(self, slot: Slot, state: SlotState, runner: RunnerName) -> None:
        self.generations[slot.number] += 1
        self.held[slot.number] = Known(state, runner, 0.0, 0)
        self._move(slot.number, state)

    def _move(self, number: SlotNumber, state: SlotState) -> None:
        self.book.move(self.book.slot(number), state)
        self.turn += 1
        if state is EMPTY:
            del self.held[number]
        else:
            known = self.held[number]
            known.state, known.at, known.turn = state, self.clock.monotonic(), self.turn

    def _give(self, slot: Slot, runner: RunnerName) -> None:
        self.book.attach(slot, resource(slot.number, runner))

    def _pick(self, pick: int) -> tuple[SlotNumber, Known]:
        return sorted(self.held.items())[pick % len(self.held)]

    def _new_runner(self) -> RunnerName:
        self.made += 1
        return RunnerName(f"runner-{self.made:08x}")

    def _in(self, *states: SlotState) -> list[tuple[SlotNumber, Known]]:
        """Those in `states`, the one that came there first at the front."""
        found = [(number, known) for number, known in self.held.items() if known.state in states]
        return sorted(found, key=lambda one: one[1].turn)

    # -- what always holds --------------------------------------------------------------------------

    @invariant()
    def counts_are_what_the_slots_say(self) -> None:
        states = Counter(str(known.state) for known in self.held.values())

        assert self.book.counts() == Counts(**states)

    @invariant()
    def held_slots_stand_by_number_with_what_is_in_them(self) -> None:
        held = [(slot.number, slot.state, slot.runner, slot.changed_at) for slot in self.book.held()]

        assert held == [
            (number, known.state, known.runner, known.at) for number, known in sorted(self.held.items())
        ]

    @invariant()
    def a_slot_that_was_ever_held_is_listed_as_used_once(self) -> None:
        used = [slot.number for slot in self.book.used()]

        assert len(used) == len(set(used))
        assert set(used) >= self.generations.keys()

    @invariant()
    def a_slot_is_found_in_each_of_its_states(self) -> None:
        for state in SlotState:
            numbers = [slot.number for slot in self.book.in_state(state)]
            assert numbers == sorted(number for number, _ in self._in(state))

    @invariant()
    def blocked_are_the_empty_slots_of_max_runners_whose_actor_is_down(self) -> None:
        assert self.book.blocked == sum(
            number < self.max_runners for number in self.down if number not in self.held
        )

    @invariant()
    def the_oldest_idle_come_first(self) -> None:
        oldest = tuple(IdleRunner(number, known.at) for number, known in self._in(*RETIRABLE))

        assert self.book.oldest_retirable(100) == oldest
        assert self.book.oldest_retirable(1) == oldest[:1]

    @invariant()
    def the_newest_waiting_come_first(self) -> None:
        newest = [number for number, _ in reversed(self._in(WAITING))]

        assert [slot.number for slot in self.book.newest_waiting(100)] == newest
        assert [slot.number for slot in self.book.newest_waiting(1)] == newest[:1]

    @invariant()
    def a_runner_and_its_resource_are_found_while_they_are_in_a_slot_and_not_after(self) -> None:
        known = {one.runner: (number, one.resource) for number, one in self.held.items()}
        for count in range(1, self.made + 1):
            runner = f"runner-{count:08x}"
            number, resource_id = known.get(RunnerName(runner), (None, ""))
            by_runner, by_resource = self.book.of_runner(runner), self.book.of_resource(f"id-of-{runner}")
            assert (by_runner and by_runner.number) == number
            assert (by_resource and by_resource.number) == (number if resource_id else None)

    @invariant()
    def only_the_latest_runner_of_a_slot_may_answer(self) -> None:
        for number, generation in self.generations.items():
            current = self.book.of_generation(number, Generation(generation))
            assert current is not None
            assert current.number == number
            assert self.book.of_generation(number, Generation(generation - 1)) is None


def resource(number: SlotNumber, runner: RunnerName, runner_id: int = 7) -> Resource:
    key = ScaleSetKey.of("https://github.com/my-org", "default", "linux")
    return Resource(f"id-of-{runner}", OwnerId("0" * 32), key, number, runner, runner_id, 0.0)


TestSlots = SlotsLife.TestCase
TestSlots.settings = settings(stateful_step_count=40)


def taken(book: SlotBook, runner: str = "runner-00000001") -> Slot:
    slot = book.take(RunnerName(runner))
    assert slot is not None
    book.move(slot, WAITING)
    return slot


def test_a_new_runner_inherits_nothing_from_the_last_one_in_its_slot() -> None:
    book = SlotBook(1, FakeClock(), lambda _seconds, _slot: None)
    slot = taken(book)
    book.attach(slot, resource(slot.number, RunnerName("runner-00000001")))
    slot.job_id, slot.job, slot.completed_job, slot.failure, slot.reason = "1", "build", "1", "no", "because"
    slot.deadline = 5.0
    book.move(slot, EMPTY)

    slot = taken(book, "runner-00000002")

    assert (slot.runner, slot.runner_id, slot.resource) == ("runner-00000002", 0, None)
    assert (slot.job_id, slot.job, slot.completed_job, slot.failure, slot.reason) == ("",) * 5
    assert (slot.ending, slot.deadline, slot.generation) == (None, None, 2)


def test_a_resource_without_the_runners_id_leaves_the_one_that_is_known() -> None:
    book = SlotBook(1, FakeClock(), lambda _seconds, _slot: None)
    slot = taken(book)
    slot.runner_id = 7

    book.attach(slot, resource(slot.number, RunnerName("runner-00000001"), runner_id=0))

    assert slot.runner_id == 7


def test_a_surplus_slot_is_not_used_again_once_it_is_empty() -> None:
    book = SlotBook(1, FakeClock(), lambda _seconds, _slot: None)
    surplus = book.slot(SlotNumber(1))
    book.assign(surplus, RunnerName("runner-00000001"))
    book.move(surplus, ADOPTED)
    book.move(surplus, EMPTY)

    assert taken(book).number == 0
    assert book.take(RunnerName("runner-00000002")) is None


def test_moving_a_slot_takes_its_deadline_away() -> None:
    book = SlotBook(1, FakeClock(), lambda _seconds, _slot: None)
    slot = taken(book)
    slot.deadline = 5.0

    book.move(slot, SlotState.STARTING)

    assert slot.deadline is None
