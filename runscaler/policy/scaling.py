"""How many runners, and why not more: the planner (docs/behaviour.md § 6.1–6.3, 6.6).

A scale set's view is a value; `plan(view)` says what to do. The actor only carries it out, and asks
again whenever the view has changed or `next_look` has come. One plan costs the same at ten slots
and at a thousand: the view holds counts, and names slots only where some may have to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.status import Unmet, UnmetDemand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.names import SlotNumber


@dataclass(frozen=True, slots=True)
class Counts:
    """Slots by state. `counted` are those that count towards the target, `held` all but empty ones.

    `forgotten` are those of the busy ones whose registration is gone: none of GitHub's jobs is theirs.
    """

    waiting: int = 0
    starting: int = 0
    idle: int = 0
    busy: int = 0
    retiring: int = 0
    adopted: int = 0
    finishing: int = 0
    removing: int = 0
    forgotten: int = 0

    @property
    def counted(self) -> int:
        serving = self.busy - self.forgotten
        return self.waiting + self.starting + self.idle + serving + self.retiring + self.adopted

    @property
    def held(self) -> int:
        return self.counted + self.forgotten + self.finishing + self.removing


@dataclass(frozen=True, slots=True)
class Demand:
    """What GitHub says is wanted, corrected by runners that have just ended.

    `assigned` and `running` are the statistics' numbers. `had_job` counts runners that ended with a job
    whose JobCompleted has not come yet: GitHub's numbers still include those jobs.
    """

    assigned: int = 0
    running: int = 0
    had_job: int = 0
    probably_had_job: int = 0
    """Runners that ended with 0 a moment ago, before any job was seen on them: most likely they had one,
    whose messages are on their way."""

    def jobs(self, busy: int) -> int:
        """Jobs that need a runner of ours now. `busy` counts our busy and our adopted runners.

        `had_job` is taken off only as far as GitHub counts running jobs beyond `busy`: a JobCompleted that
        is lost for ever must not hold demand down.
        """
        beyond = max(0, self.running - busy)
        return max(0, self.assigned - min(self.had_job, beyond) - self.probably_had_job)


@dataclass(frozen=True, slots=True)
class Gate:
    """Starts are held up by `reason` until `until` (monotonic; None: until told otherwise).

    `allowed` starts may be under way all the same (a probe after failures).
    """

    reason: Unmet
    detail: str = ""
    until: float | None = None
    allowed: int = 0


@dataclass(frozen=True, slots=True)
class IdleRunner:
    """A runner that may be retired; `since` on the monotonic clock."""

    slot: SlotNumber
    since: float


@dataclass(frozen=True, slots=True)
class View:
    """All that the planner looks at. `idle` oldest first, and only as many as the surplus could take;
    `blocked` slots are out of use after a runner actor that gave up."""

    now: float
    min_runners: int
    max_runners: int
    demand: Demand
    counts: Counts
    idle_timeout: float = 600.0
    idle: Sequence[IdleRunner] = ()
    gates: Sequence[Gate] = ()
    blocked: int = 0
    draining: bool = False
    waits_for: Unmet | None = None
    """What slots that wait, wait for: the host's cap or its VM slots; `waits_detail` tells more."""
    waits_detail: str = ""
    waits_look_at: float | None = None
    """When that is looked at next, in wall-clock seconds; it is only passed on."""

    @property
    def target(self) -> int:
        """docs/behaviour.md § 6.1: min(max-runners, min-runners + assigned jobs); nothing while draining."""
        return 0 if self.draining else min(self.max_runners, self.wanted)

    @property
    def wanted(self) -> int:
        """What there would be without a maximum."""
        serving = self.counts.busy - self.counts.forgotten
        return self.min_runners + self.demand.jobs(serving + self.counts.adopted)

    @property
    def surplus(self) -> int:
        """Runners beyond the target; negative: missing."""
        return self.counts.counted - self.target


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `start` so many, let `drop` waiting slots go, `retire` these.

    `unmet` is what is wanted and not being started, with the reason. `next_look` is when the plan
    may change by time alone (monotonic), None for never. `target` is docs/behaviour.md § 6.1's.
    """

    target: int
    start: int = 0
    drop: int = 0
    retire: tuple[SlotNumber, ...] = ()
    unmet: tuple[UnmetDemand, ...] = ()
    next_look: float | None = None


def plan(view: View) -> Plan:
    if view.surplus < 0:
        return _grow(view, -view.surplus)
    if view.surplus > 0:
        return _shrink(view, view.surplus)
    return Plan(view.target, unmet=_held_up(view))


def _grow(view: View, missing: int) -> Plan:
    room = max(0, view.max_runners - view.counts.held - view.blocked)
    startable = min(missing, room)
    gate = _narrowest(view)
    under_way = view.counts.waiting + view.counts.starting
    allowed = startable if gate is None else max(0, min(startable, gate.allowed - under_way))
    unmet = list(_held_up(view))
    if gate is not None and allowed < startable:
        unmet.append(UnmetDemand(gate.reason, startable - allowed, gate.detail))
    if startable < missing:
        unmet.append(UnmetDemand(Unmet.MAX_RUNNERS, missing - startable, "every slot is still held"))
    look = gate.until if gate is not None and allowed < startable else None
    return Plan(view.target, start=allowed, unmet=tuple(unmet), next_look=look)


def _narrowest(view: View) -> Gate | None:
    """The gate that lets the fewest through; of equals the first."""
    closed = [gate for gate in view.gates if gate.until is None or gate.until > view.now]
    return min(closed, key=lambda gate: gate.allowed, default=None)


def _held_up(view: View, drop: int = 0) -> tuple[UnmetDemand, ...]:
    """What is wanted and out of reach whatever the gates: beyond max-runners, or under the host's cap."""
    found = []
    beyond = view.wanted - view.max_runners
    if beyond > 0 and not view.draining:
        found.append(UnmetDemand(Unmet.MAX_RUNNERS, beyond, f"max-runners is {view.max_runners}"))
    waiting = view.counts.waiting - drop
    if view.waits_for is not None and waiting:
        found.append(UnmetDemand(view.waits_for, waiting, view.waits_detail, view.waits_look_at))
    return tuple(found)


def _shrink(view: View, surplus: int) -> Plan:
    drop = min(surplus, view.counts.waiting)
    surplus = max(0, surplus - drop - view.counts.retiring)
    if view.draining:
        return Plan(view.target, drop=drop, retire=tuple(one.slot for one in view.idle))
    if view.idle_timeout == 0:
        return Plan(view.target, drop=drop, unmet=_held_up(view, drop))
    candidates = view.idle[:surplus]
    due = tuple(one.slot for one in candidates if view.now - one.since >= view.idle_timeout)
    look = candidates[len(due)].since + view.idle_timeout if len(due) < len(candidates) else None
    return Plan(view.target, drop=drop, retire=due, unmet=_held_up(view, drop), next_look=look)


def to_acquire(capacity: int, acquired: int, assigned: int, offers: Sequence[int]) -> tuple[int, ...]:
    """Which offered request ids to acquire, oldest first as given (docs/protocol.md § 6): free capacity only;
    id 0 is the newer service's placeholder and cannot be acquired."""
    free = max(0, capacity - acquired - assigned)
    return tuple(one for one in offers if one != 0)[:free]
