"""The faults that are set, and applying them to requests."""

from __future__ import annotations

import fnmatch
import itertools
import threading
from typing import TYPE_CHECKING

from runscaler.simulator.faults.broken_reply import BrokenReply
from runscaler.simulator.faults.row import Fault, FaultContext, Match
from runscaler.simulator.faults.table import TABLE
from runscaler.simulator.faults.target import runner_of, scale_set_of
from runscaler.simulator.http_messages import BadBody, Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.simulator.faults.row import Outcome
    from runscaler.simulator.http_messages import Reply, Request
    from runscaler.simulator.machine_lock import MachineLock

AGENT = "/_sim/agent/"


class UnknownFault(ValueError):
    """No row of the table has this name."""


class FaultRegistry:
    """The faults that are set. Thread-safe; the machine's lock must not be held."""

    def __init__(self, lock: MachineLock) -> None:
        self._machine_lock = lock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: dict[int, Fault] = {}

    def add(
        self,
        name: str,
        *,
        count: int | str | None = "default",
        after: int = 0,
        probability: float = 1.0,
        match: Match | None = None,
        params: Mapping[str, object] | None = None,
    ) -> Fault:
        """Set a fault and run its row's `begin`. With `count` None it lasts until it is removed.

        Raises `UnknownFault`, and `BadBody` for parameters that the row cannot use.
        """
        row = TABLE.get(name)
        if row is None:
            raise UnknownFault(f"there is no fault {name}; known faults: {', '.join(TABLE)}")
        fault = Fault(
            id=next(self._numbers),
            row=row,
            match=merged(match or Match(), row.match),
            params=Fields.of(dict(params or {})),
            count=row.count if isinstance(count, str) else count,
            after=after,
            probability=probability,
        )
        self._begin(fault)
        with self._lock:
            self._faults[fault.id] = fault
        return fault

    def remove(self, number: int) -> bool:
        """Remove a fault and run its row's `end`; False if there is no such fault."""
        with self._lock:
            fault = self._faults.pop(number, None)
        if fault is not None and fault.row.end is not None:
            fault.row.end(self._context(fault))
        return fault is not None

    def clear(self) -> None:
        for fault in self.all():
            self.remove(fault.id)

    def all(self) -> list[Fault]:
        """All faults that are set, including those that have applied as often as they can."""
        with self._lock:
            return list(self._faults.values())

    def matching(self, request: Request) -> RequestFaults:
        faults = self.all() if self._faults else []
        matching = [one for one in faults if not one.exhausted and self._matches(one, request)]
        return RequestFaults(self, self._machine_lock, request, matching)

    def should_apply(self, fault: Fault) -> bool:
        """Whether the fault applies to this request; if so, counts a hit."""
        with self._lock:
            if fault.exhausted:
                return False
            fault.seen += 1
            chance = self._machine_lock.machine.store.random.random()
            applies = fault.seen > fault.after and chance < fault.probability
            fault.hits += applies
        return applies

    def _begin(self, fault: Fault) -> None:
        if fault.row.begin is not None:
            fault.row.begin(self._context(fault))
            fault.hits += not fault.row.counts_own_hits

    def _context(self, fault: Fault) -> FaultContext:
        """For `begin` and `end`, where there is no request: the scale set comes from the match."""
        return FaultContext(
            self._machine_lock, fault, None, scale_set_of(self._machine_lock, fault.match.scale_set)
        )

    def _matches(self, fault: Fault, request: Request) -> bool:
        match = fault.match
        if match.method and match.method.upper() != request.method:
            return False
        if not match.fits_path(request.path) or (request.path.startswith(AGENT) and not match.path):
            return False
        if match.scale_set:
            scale_set = scale_set_of(self._machine_lock, request)
            if scale_set is None or scale_set.name.lower() != match.scale_set.lower():
                return False
        return not match.runner or fnmatch.fnmatch(runner_of(self._machine_lock, request), match.runner)


class RequestFaults:
    """The faults that match one request, in the order in which they were set."""

    def __init__(
        self, registry: FaultRegistry, lock: MachineLock, request: Request, faults: list[Fault]
    ) -> None:
        self._registry = registry
        self._lock = lock
        self._request = request
        self._faults = faults

    def before(self) -> Outcome | None:
        """The reply of the first fault that answers in place of the API, None if none does."""
        for fault in self._faults:
            if fault.row.before is not None and self._registry.should_apply(fault):
                self._allow_repetition(fault)
                outcome = self._run_before(fault)
                if outcome is not None:
                    return outcome
        return None

    def _run_before(self, fault: Fault) -> Outcome | None:
        """None also where the fault has nothing to act on, such as a session that is not there yet."""
        assert fault.row.before is not None
        try:
            return fault.row.before(self._context(fault))
        except BadBody:
            return None

    def after(self, reply: Reply) -> Outcome:
        outcome: Outcome = reply
        for fault in self._faults:
            row = fault.row
            if isinstance(outcome, BrokenReply) or row.after is None or not row.fits(outcome):
                continue
            if self._registry.should_apply(fault):
                self._allow_repetition(fault)
                outcome = row.after(self._context(fault), outcome)
        return outcome

    def _allow_repetition(self, fault: Fault) -> None:
        """Calls that the client repeats because of a fault violate neither V9 nor V11."""
        request = self._request
        with self._lock as machine:
            machine.store.note("fault", fault=fault.row.name, method=request.method, path=request.path)
            machine.store.lost_replies.add((request.method, request.path))
            machine.store.rate_rule.allow_refreshes()

    def _context(self, fault: Fault) -> FaultContext:
        return FaultContext(self._lock, fault, self._request, scale_set_of(self._lock, self._request))


def merged(given: Match, default: Match) -> Match:
    """The given match; its empty fields are taken from the default."""
    return Match(
        given.method or default.method,
        given.path or default.path,
        given.scale_set or default.scale_set,
        given.runner or default.runner,
    )
