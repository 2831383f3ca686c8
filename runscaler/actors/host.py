"""The host's cap on runners over all scale sets, shared fairly (docs/behaviour.md § 6.4)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, assert_never

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.backends.base import Place
from runscaler.policy.fairness import share

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.names import ScaleSetKey, SlotNumber

UNHEARD_SECONDS = 30.0
"""How long a cap waits for all scale sets to say what they hold already."""


class HostActor(SupervisedActor[m.HostMessage]):
    """`cap` 0 means no cap: every claim is granted as it comes."""

    def __init__(self, parent: m.Ref, context: ActorContext) -> None:
        super().__init__("host", parent, context.clock)
        self._cap = context.config.host.max_runners
        self._held: defaultdict[ScaleSetKey, set[SlotNumber]] = defaultdict(set)
        self._waiting: dict[tuple[ScaleSetKey, SlotNumber], m.ClaimCapacity] = {}
        self._unheard = {one.key for one in context.config.scale_sets} if self._cap else set()

    def started(self) -> None:
        self.after(UNHEARD_SECONDS, m.HoldReportsOverdue())

    def receive(self, message: m.HostMessage) -> None:
        match message:
            case m.ClaimCapacity(key, _, slot, _):
                if not self._cap:
                    self._give(message)
                    return
                self._waiting[key, slot] = message
                self._grant()
            case m.ReleaseCapacity(key, slot):
                self._waiting.pop((key, slot), None)
                self._held[key].discard(slot)
                self._grant()
            case m.HoldCapacity(key, slots, all_of_them):
                self._hold(key, slots, all_of_them)
            case m.HoldReportsOverdue():
                self._unheard.clear()
                self._grant()
            case m.StopHost():
                self.end(m.SharedStopped(self.name))
            case _:
                assert_never(message)

    def _hold(self, key: ScaleSetKey, slots: tuple[SlotNumber, ...], all_of_them: bool) -> None:
        if all_of_them:
            self._held[key] = set(slots)
            self._waiting = {of: claim for of, claim in self._waiting.items() if of[0] != key}
            self._unheard.discard(key)
        else:
            self._held[key].update(slots)
        self._grant()

    def _grant(self) -> None:
        if not self._waiting or self._unheard:
            return
        free = self._cap - sum(map(len, self._held.values()))
        if free <= 0:
            return
        claims = list(self._waiting.values())
        held = {key: len(slots) for key, slots in self._held.items()}
        for index in share(free, held, [claim.key for claim in claims]):
            claim = claims[index]
            del self._waiting[claim.key, claim.slot]
            self._give(claim)

    def _give(self, claim: m.ClaimCapacity) -> None:
        self._held[claim.key].add(claim.slot)
        self.send(claim.ref, m.ClaimGranted(claim.slot, claim.generation, Place()))
