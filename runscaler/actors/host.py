"""The host actor: the cap on runners over all scale sets, shared fairly, and whether this host has what
another runner needs (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, assert_never

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.actors.host_guard import HostGuard
from runscaler.actors.host_metrics import publish_cap
from runscaler.backends.base import Place
from runscaler.policy.fairness import share

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.config.model import HostSettings
    from runscaler.names import ScaleSetKey, SlotNumber

HOLD_REPORT_SECONDS = 30.0
"""How long nothing is granted while a scale set has not reported the capacity it already holds."""


class HostWorkerCrashed(Exception):
    """What measures this host raised an error of ours."""


class HostActor(SupervisedActor[m.HostMessage]):
    """With a cap of 0, which means no cap, every claim is granted at once, unless this host is short of
    something."""

    def __init__(self, parent: m.Ref, context: ActorContext) -> None:
        super().__init__("host", parent, context.clock)
        self._cap, self._metrics = context.config.host.max_runners, context.metrics
        self._shown_cap: tuple[int, bool] | None = None
        self._held: defaultdict[ScaleSetKey, set[SlotNumber]] = defaultdict(set)
        self._claims: dict[tuple[ScaleSetKey, SlotNumber], m.ClaimCapacity] = {}
        """Those that wait, oldest first."""
        self._expected: frozenset[ScaleSetKey] | None = None
        """Scale sets that will report what they hold; None while that is not known."""
        self._reported: set[ScaleSetKey] = set()
        self._waits = self._cap > 0
        """Nothing is granted yet, because not all have reported."""
        self.guard = HostGuard(context, self.after, lambda result: self.send(self.actor_ref, result))
        self._told: dict[ScaleSetKey, tuple[m.Ref, m.HostShort]] = {}
        """Who was told last that this host is short of something, and what."""

    def started(self) -> None:
        self.after(HOLD_REPORT_SECONDS, m.HoldReportsOverdue())
        self.guard.started()

    def clean_up(self) -> None:
        self.guard.close()

    def receive(self, message: m.HostMessage) -> None:
        match message:
            case m.ClaimCapacity(key, _, slot, _):
                self._claims[key, slot] = message
                self.guard.claimed()
            case m.ReleaseCapacity(key, slot):
                self._claims.pop((key, slot), None)
                self._held[key].discard(slot)
            case m.HoldCapacity():
                self._hold(message)
            case m.ExpectReports(keys):
                self._expected = keys
            case m.HoldReportsOverdue():
                self._waits = False
            case m.LookAtHost():
                self.guard.due()
            case m.HostMeasured():
                self.guard.measured(message)
            case m.HostLookOverdue(look):
                self.guard.overdue(look)
            case m.WorkerCrashed(error):
                raise HostWorkerCrashed(error)
            case m.ApplyHostSettings(settings):
                self._apply(settings)
            case m.StopHost():
                self.end(m.SharedStopped(self.name))
            case _:
                assert_never(message)
        self._tell_shortage()
        self._grant_claims()
        self._show_cap()

    def _show_cap(self) -> None:
        held = sum(map(len, self._held.values()))
        shown = self._cap, bool(self._cap and self._claims and held >= self._cap)
        if shown != self._shown_cap:
            self._shown_cap = shown
            publish_cap(self._metrics, shown[0], reached=shown[1])

    def _apply(self, settings: HostSettings) -> None:
        """What was held without a cap is not known here: nothing is granted before all have reported."""
        if settings.max_runners and not self._cap:
            self._reported.clear()
            self._waits = True
            self.after(HOLD_REPORT_SECONDS, m.HoldReportsOverdue())
        self._cap = settings.max_runners
        self.guard.apply(settings)

    def _hold(self, report: m.HoldCapacity) -> None:
        key = report.key
        if not report.all_of_them:
            self._held[key].update(report.slots)
            return
        self._held[key] = set(report.slots)
        self._claims = {of: claim for of, claim in self._claims.items() if of[0] != key}
        self._reported.add(key)

    def _tell_shortage(self) -> None:
        """Those who wait learn why, and that it is over before anything is granted."""
        if not self.guard.closed:
            for ref, _ in self._told.values():
                self.send(ref, m.HostShort(None))
            self._told.clear()
            return
        short = m.HostShort(self.guard.closed, self.guard.look_at)
        for claim in self._claims.values():
            if self._told.get(claim.key) != (claim.ref, short):
                self._told[claim.key] = claim.ref, short
                self.send(claim.ref, short)

    def _grant_claims(self) -> None:
        if self.guard.closed:
            return
        if self._expected is not None and self._expected <= self._reported:
            self._waits = False
        if self._waits:
            return
        claims = list(self._claims.values())
        held = {key: len(slots) for key, slots in self._held.items()}
        free = self._cap - sum(held.values()) if self._cap else len(claims)
        for index in share(free, held, [claim.key for claim in claims]):
            self._grant(claims[index])

    def _grant(self, claim: m.ClaimCapacity) -> None:
        del self._claims[claim.key, claim.slot]
        self._held[claim.key].add(claim.slot)
        self.send(claim.ref, m.ClaimGranted(claim.slot, claim.generation, Place()))
