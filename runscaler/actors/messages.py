"""Every message, grouped by who receives it (design.md 4).

Frozen all the way down; facts in the past tense, orders as verbs. `generation` tells the runners of
one slot apart, so that a late answer about an earlier one is recognised and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pykka

from runscaler.backends.base import ResourceEnded as ResourceEnded
from runscaler.backends.base import ThingDown as ThingDown
from runscaler.backends.base import ThingUp as ThingUp

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Ending, Place, Resource
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetId, Trouble
    from runscaler.github.messages import (
        JobAssigned,
        JobAvailable,
        JobCompleted,
        JobStarted,
        Statistics,
    )
    from runscaler.names import Generation, RunnerName, ScaleSetKey, SlotNumber
    from runscaler.status import ScaleSetStatus

Ref = pykka.ActorRef[Any]
HOST, KEEPER, HEALTH = "host", "keeper", "health"
"""The kinds of `PeerReplaced`."""


# -- any actor ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Abandon:
    """Your parent died: end now, keep your resource, leave your session, tell nobody."""


# -- any parent -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChildCrashed:
    """`urn` names the dead actor, `handling` what it was at, `error` is rendered text; `orphans` are
    its children, which have been told to end."""

    urn: str
    name: str
    handling: str
    error: str
    orphans: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Own deadline: the backoff of a crashed child is over; `orphans` may still have to end."""

    name: str
    orphans: tuple[Ref, ...] = ()


# -- Root -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ping:
    """Asked by the edges: is the actor system alive?"""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything in order: scale sets, keepers, host, health."""


@dataclass(frozen=True, slots=True)
class ScaleSetStopped:
    """A scale set ended in good order."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class SharedStopped:
    """A shared actor (keeper, host, health) ended as ordered."""

    name: str


RootMessage = ChildCrashed | RestartChild | Ping | Shutdown | ScaleSetStopped | SharedStopped


# -- ScaleSet -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The listener holds a session. Answered with `BatchHandled(batch_id=None, …)`, as `offers` (of
    flavour B, from before this session) may be worth acquiring. `labels` are those GitHub kept."""

    scale_set_id: ScaleSetId
    statistics: Statistics | None
    offers: tuple[JobAvailable, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScaleSetFound:
    """The scale set exists at GitHub under this id; its session is still to come."""

    scale_set_id: ScaleSetId


@dataclass(frozen=True, slots=True)
class StoodBy:
    """Another listener holds the scale set; tried again at `retry_at` (monotonic)."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class ListenerTroubled:
    """The listener cannot serve; it tries again by itself. None: all is well again."""

    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class BatchReceived:
    """A message of the queue. Answered with `BatchHandled`; acknowledged only after that."""

    batch_id: int
    statistics: Statistics | None
    events: tuple[JobAvailable | JobAssigned | JobStarted | JobCompleted, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolledInVain:
    """A long poll ended with nothing new: plan again on the latest statistics."""


@dataclass(frozen=True, slots=True)
class ListenerStopped:
    """The session is closed; `deleted` tells whether the scale set is gone at GitHub."""

    deleted: bool


@dataclass(frozen=True, slots=True)
class RunnerUp:
    slot: SlotNumber
    generation: Generation
    resource: Resource


@dataclass(frozen=True, slots=True)
class RunnerStartFailed:
    """Nothing of it is left at the backend; its registration is being removed."""

    slot: SlotNumber
    generation: Generation
    reason: str
    fixes: tuple[str, ...]
    rate_limited: bool = False


@dataclass(frozen=True, slots=True)
class RetireAgreed:
    """GitHub removed the registration and the backend sees no job inside."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RetireRefused:
    """A job runs: GitHub said so, or the backend saw it."""

    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class RetireFailed:
    """GitHub could not be asked; nothing has changed."""

    slot: SlotNumber
    generation: Generation
    reason: str


@dataclass(frozen=True, slots=True)
class RunnerGone:
    """The resource is gone; `output` is where its last output was kept, if that was asked for."""

    slot: SlotNumber
    generation: Generation
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class RunnerEnded:
    """The slot's actor has ended as ordered, what it owed at GitHub being settled or given up."""

    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class RemovalFailed:
    """The resource could not be removed yet; tried again until it is gone."""

    slot: SlotNumber
    generation: Generation
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """The scale set's resources; `as_of` is when the listing began (monotonic)."""

    as_of: float
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class BackendDown:
    reason: str
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendUp:
    """It answers (again): an inventory is due."""


@dataclass(frozen=True, slots=True)
class ImagePrepared:
    """The runner image and what belongs to it are present."""


@dataclass(frozen=True, slots=True)
class ImageAbsent:
    """They are not: still on their way, or `failed`; the keeper tries again by itself."""

    reason: str
    fixes: tuple[str, ...] = ()
    failed: bool = True


@dataclass(frozen=True, slots=True)
class PlaceGranted:
    slot: SlotNumber
    generation: Generation
    place: Place


@dataclass(frozen=True, slots=True)
class PeerReplaced:
    """Host or the keeper crashed and is back under this ref: claim places anew, ask for an inventory."""

    kind: str
    ref: Ref


@dataclass(frozen=True, slots=True)
class StopScaleSet:
    """End in good order. `keep`: leave runners and scale set as they are (`on-exit = "keep"`)."""

    drain_timeout: float
    keep: bool


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Own: the view has changed; at most one is in flight."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Own deadline: time alone may have changed the plan."""


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Own deadline: compare with the backend's list."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Own deadline: the snapshot on the board is stale."""


@dataclass(frozen=True, slots=True)
class SlotDue:
    """Own deadline: the slot's own deadline may have come (it may have moved meanwhile)."""

    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class SettleDeparted:
    """Own deadline: no JobCompleted came for a runner that ended with a job."""

    runner: RunnerName


@dataclass(frozen=True, slots=True)
class DrainOver:
    """Own deadline: busy runners are removed by force now."""


@dataclass(frozen=True, slots=True)
class ClosingOver:
    """Own deadline: a step of the stop (`what`) has taken too long; go on without its answer."""

    what: str


ListenerReport = (
    SessionOpened | ScaleSetFound | StoodBy | ListenerTroubled | BatchReceived | PolledInVain
    | ListenerStopped
)  # fmt: skip
RunnerReport = (
    RunnerUp | RunnerStartFailed | RetireAgreed | RetireRefused | RetireFailed | RunnerGone | RemovalFailed
    | RunnerEnded
)  # fmt: skip
ThingReport = Inventory | BackendDown | BackendUp | ImagePrepared | ImageAbsent | ResourceEnded | PlaceGranted
OwnDeadline = (
    MakePlan | LookAgain | Reconcile | Publish | SlotDue | SettleDeparted | DrainOver | ClosingOver
    | RestartChild
)  # fmt: skip
ScaleSetMessage = (
    ListenerReport | RunnerReport | ThingReport | OwnDeadline | ChildCrashed | PeerReplaced | StopScaleSet
)


# -- Listener -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GoOn:
    """Own: connect or poll, whatever is next. Only the latest `turn` counts, so that there is never
    more than one chain of polls."""

    turn: int


@dataclass(frozen=True, slots=True)
class BatchHandled:
    """The scale set has applied the batch (None: the opening statistics): acquire these request ids,
    acknowledge, poll on."""

    batch_id: int | None
    acquire: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnnounceCapacity:
    """The number of runners the set can have at all now. Goes with the listener's interrupt."""

    capacity: int


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End: close the session, delete the scale set if told. Goes with the listener's interrupt."""

    delete_scale_set: bool


ListenerMessage = GoOn | BatchHandled | AnnounceCapacity | CloseSession


# -- Runner ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartRunner:
    """`deadline` is on the monotonic clock."""

    generation: Generation
    runner: RunnerName
    scale_set_id: ScaleSetId
    place: Place
    deadline: float


@dataclass(frozen=True, slots=True)
class CancelStart:
    """Undo a start, finished or not; answered with `RunnerGone`. Goes with the runner's interrupt."""

    generation: Generation
    runner: RunnerName


@dataclass(frozen=True, slots=True)
class AdoptRunner:
    """This resource is yours now."""

    generation: Generation
    resource: Resource


@dataclass(frozen=True, slots=True)
class RetireRunner:
    """Ask GitHub to remove the registration, then the backend whether a job runs inside."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class RemoveRunner:
    """Remove the resource until it is gone. `deregister`: its registration is (or may be) still
    there. `keep_output`: keep the last of its output first."""

    generation: Generation
    force: bool
    deregister: bool
    keep_output: bool
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class DeregisterRunner:
    """Remove a registration at GitHub, by name where the id is not known (0)."""

    runner: RunnerName
    runner_id: int


@dataclass(frozen=True, slots=True)
class RetryRemoval:
    """Own deadline."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class RetryDeregistration:
    """Own deadline."""


@dataclass(frozen=True, slots=True)
class EndRunner:
    """The actor is not needed any more: settle what is owed at GitHub once, then end."""


RunnerMessage = (
    StartRunner | CancelStart | AdoptRunner | RetireRunner | RemoveRunner | DeregisterRunner
    | RetryRemoval | RetryDeregistration | EndRunner
)  # fmt: skip


# -- Keeper ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JoinKeeper:
    """A scale set lives on this thing: tell it of ends and availability, prepare its image."""

    key: ScaleSetKey
    ref: Ref
    settings: ScaleSetSettings


@dataclass(frozen=True, slots=True)
class LeaveKeeper:
    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class ListResources:
    """Answered with `Inventory`, or not at all while the thing is down (`BackendUp` comes then)."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class Listed:
    """From a worker; `as_of` is when the listing began (monotonic)."""

    as_of: float
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class ListingFailed:
    """From a worker."""

    reason: str
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """From a worker."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class PreparingFailed:
    """From a worker."""

    key: ScaleSetKey
    reason: str
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparingGoesOn:
    """From a worker: `what` is being fetched, `percent` of it is here (None: unknown)."""

    key: ScaleSetKey
    what: str
    percent: int | None


@dataclass(frozen=True, slots=True)
class PrepareAgain:
    """Own deadline."""

    key: ScaleSetKey


@dataclass(frozen=True, slots=True)
class ListAgain:
    """Own deadline: the last listing failed."""


@dataclass(frozen=True, slots=True)
class WorkerCrashed:
    """From a worker: something escaped that no backend may raise; the keeper crashes with it."""

    error: str


@dataclass(frozen=True, slots=True)
class StopKeeper:
    """All scale sets are down."""


KeeperMessage = (
    JoinKeeper | LeaveKeeper | ListResources | Listed | ListingFailed | ListAgain | Prepared
    | PreparingFailed | PreparingGoesOn | PrepareAgain | WorkerCrashed | StopKeeper | ResourceEnded
    | ThingDown | ThingUp
)  # fmt: skip


# -- Host -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClaimPlace:
    """A slot wants a place under the host's cap; answered with `PlaceGranted`, perhaps much later."""

    key: ScaleSetKey
    ref: Ref
    slot: SlotNumber
    generation: Generation


@dataclass(frozen=True, slots=True)
class ReturnPlace:
    """The slot is empty, or no longer wants one. Harmless when repeated."""

    key: ScaleSetKey
    slot: SlotNumber


@dataclass(frozen=True, slots=True)
class HoldPlaces:
    """The scale set holds these slots already (adopted, or telling a new Host), beside what Host knows."""

    key: ScaleSetKey
    slots: tuple[SlotNumber, ...]


@dataclass(frozen=True, slots=True)
class StopHost:
    """All scale sets are down."""


HostMessage = ClaimPlace | ReturnPlace | HoldPlaces | StopHost


# -- Health ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A scale set as it is now."""

    key: ScaleSetKey
    status: ScaleSetStatus


@dataclass(frozen=True, slots=True)
class RestartsCounted:
    """Root's counts: of the shared actors by name, of scale set actors by key; `given_up` is why the
    program is about to end, else empty."""

    shared: tuple[tuple[str, int], ...]
    given_up: str = ""


@dataclass(frozen=True, slots=True)
class StopHealth:
    """Everything else is down."""


HealthMessage = SnapshotTaken | RestartsCounted | StopHealth
