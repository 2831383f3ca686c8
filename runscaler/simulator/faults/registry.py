"""The faults that are set, and which of them a request meets."""

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
    """May be used from any thread."""

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
        """Set a fault; `count` None is until removed. A row that acts at once acts now."""
        row = TABLE.get(name)
        if row is None:
            raise UnknownFault(f"there is no fault {name}; there are {', '.join(TABLE)}")
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
        """False if there is no such fault."""
        with self._lock:
            fault = self._faults.pop(number, None)
        if fault is not None and fault.row.end is not None:
            fault.row.end(self._unasked(fault))
        return fault is not None

    def clear(self) -> None:
        for fault in self.all():
            self.remove(fault.id)

    def all(self) -> list[Fault]:
        """All that were set and not removed, those that are spent included."""
        with self._lock:
            return list(self._faults.values())

    def matching(self, request: Request) -> RequestFaults:
        set_now = self.all() if self._faults else []
        meeting = [one for one in set_now if not one.exhausted and self._fits(one, request)]
        return RequestFaults(self, self._machine_lock, request, meeting)

    def should_apply(self, fault: Fault) -> bool:
        """Whether the fault strikes this time; counted as a hit if so."""
        with self._lock:
            if fault.exhausted:
                return False
            fault.seen += 1
            chance = self._machine_lock.machine.store.random.random()
            strikes = fault.seen > fault.after and chance < fault.probability
            fault.hits += strikes
        return strikes

    def _begin(self, fault: Fault) -> None:
        if fault.row.begin is not None:
            fault.row.begin(self._unasked(fault))
            fault.hits += not fault.row.counts_own_hits

    def _unasked(self, fault: Fault) -> FaultContext:
        """Where a fault begins and ends: no request is there to say which set is meant."""
        return FaultContext(
            self._machine_lock, fault, None, scale_set_of(self._machine_lock, fault.match.scale_set)
        )

    def _fits(self, fault: Fault, request: Request) -> bool:
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
    """The faults that one request meets, in the order in which they were set."""

    def __init__(
        self, registry: FaultRegistry, lock: MachineLock, request: Request, faults: list[Fault]
    ) -> None:
        self._registry = registry
        self._lock = lock
        self._request = request
        self._faults = faults

    def before(self) -> Outcome | None:
        """The first fault that answers in the call's place decides."""
        for fault in self._faults:
            if fault.row.before is not None and self._registry.should_apply(fault):
                self._excuse(fault)
                outcome = self._tried(fault)
                if outcome is not None:
                    return outcome
        return None

    def _tried(self, fault: Fault) -> Outcome | None:
        """A fault that finds nothing to break (no session yet) lets the call pass."""
        assert fault.row.before is not None
        try:
            return fault.row.before(self._scene(fault))
        except BadBody:
            return None

    def after(self, reply: Reply) -> Outcome:
        outcome: Outcome = reply
        for fault in self._faults:
            row = fault.row
            if isinstance(outcome, BrokenReply) or row.after is None or not row.fits(outcome):
                continue
            if self._registry.should_apply(fault):
                self._excuse(fault)
                outcome = row.after(self._scene(fault), outcome)
        return outcome

    def _excuse(self, fault: Fault) -> None:
        """What the client repeats because of a fault is no violation of V9 or V11."""
        request = self._request
        with self._lock as machine:
            machine.store.note("fault", fault=fault.row.name, method=request.method, path=request.path)
            machine.store.lost_replies.add((request.method, request.path))
            machine.store.rate_rule.allow_refreshes()

    def _scene(self, fault: Fault) -> FaultContext:
        return FaultContext(self._lock, fault, self._request, scale_set_of(self._lock, self._request))


def merged(given: Match, default: Match) -> Match:
    """What was given, and the row's own where nothing was."""
    return Match(
        given.method or default.method,
        given.path or default.path,
        given.scale_set or default.scale_set,
        given.runner or default.runner,
    )
