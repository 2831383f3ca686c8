"""Scale sets: create, find, change, delete (docs/protocol.md § 4.2, 4.3, 9.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.simulator.records import RunnerState, ScaleSet, SessionState
from runscaler.simulator.refusals import ServiceRefusal, scale_set_gone

if TYPE_CHECKING:
    from runscaler.simulator.jobs import Jobs
    from runscaler.simulator.sessions import Sessions
    from runscaler.simulator.store import Store

FIRST_ID = 42


@dataclass(frozen=True, slots=True)
class ScaleSetSpec:
    """The fields that a client sets on a scale set; None leaves a field as it is."""

    name: str | None = None
    group_id: int | None = None
    labels: tuple[tuple[str, str], ...] | None = None
    disable_update: bool | None = None


class ScaleSets:
    def __init__(self, store: Store, sessions: Sessions, jobs: Jobs) -> None:
        self._store = store
        self._sessions = sessions
        self._jobs = jobs

    def create(self, scope: str, spec: ScaleSetSpec, *, repeated: bool = False) -> ScaleSet:
        """`repeated`: the reply to an earlier attempt was lost, so a name in use is no violation."""
        name, group = spec.name or "", spec.group_id or 1
        self._check_group(group)
        self._check_free(scope, group, name, repeated=repeated)
        number = FIRST_ID + len(self._store.scale_sets)
        made = ScaleSet(
            number,
            scope,
            name,
            group,
            spec.labels or ((name, "System"),),
            bool(spec.disable_update),
            self._store.clock.wall(),
            last_session_at=self._store.clock.monotonic(),
        )
        self._store.scale_sets[number] = made
        self._schedule_check(made, self._store.timers.dormant)
        self._store.note("scale-set", scaleSet=number, name=name, state="live")
        return made

    def find(self, scope: str, name: str | None, group: int | None) -> list[ScaleSet]:
        return [
            one
            for one in self._store.live_sets(scope)
            if (name is None or one.name.lower() == name.lower()) and (group is None or one.group_id == group)
        ]

    def get(self, scope: str, number: int) -> ScaleSet:
        scale_set = self._store.scale_sets.get(number)
        if scale_set is None or scale_set.scope != scope:
            raise scale_set_gone(number)
        if not scale_set.live:
            if self._store.is_misuse(scale_set):
                self._store.violations.record(9, f"scale set {number} was used after it was deleted")
            raise scale_set_gone(number)
        return scale_set

    def update(self, scale_set: ScaleSet, spec: ScaleSetSpec, *, by_client: bool = False) -> None:
        """Change the fields that are given. Labels that a client sends stay without effect unless the options
        let it change them."""
        name, group = spec.name or scale_set.name, spec.group_id or scale_set.group_id
        self._check_group(group)
        if (name.lower(), group) != (scale_set.name.lower(), scale_set.group_id):
            self._check_free(scale_set.scope, group, name, repeated=True)
        scale_set.name, scale_set.group_id = name, group
        if spec.labels is not None and (self._store.options.labels_mutable or not by_client):
            scale_set.labels = spec.labels
        if spec.disable_update is not None:
            scale_set.disable_update = spec.disable_update
        self._store.note("scale-set", scaleSet=scale_set.id, name=name, state="changed")

    def delete(self, scale_set: ScaleSet) -> None:
        """Delete it for its client; refused while one of its runners is busy."""
        if scale_set.runners[RunnerState.BUSY]:
            text = f"The runner scale set {scale_set.name} has runners with jobs."
            raise ServiceRefusal(400, "RunnerScaleSetInUseException", text)
        scale_set.by_client = True
        self.end(scale_set)

    def end(self, scale_set: ScaleSet) -> None:
        """Delete it: its session ends, its runners except busy ones are removed, and jobs that no runner
        has started are queued again."""
        scale_set.live = False
        if scale_set.session is not None:
            self._sessions.end(scale_set.session, SessionState.EXPIRED)
        for runner in [one for one in self._store.runners.values() if one.scale_set is scale_set]:
            if runner.state not in (RunnerState.BUSY, RunnerState.GONE):
                self._store.move_runner(runner, RunnerState.GONE)
                self._store.wake_runner(runner)
        self._jobs.release(scale_set)
        self._store.note("scale-set", scaleSet=scale_set.id, name=scale_set.name, state="deleted")

    def _check_group(self, group: int) -> None:
        if group not in self._store.groups:
            raise ServiceRefusal(404, "RunnerGroupNotFoundException", f"Runner group {group} was not found.")

    def _check_free(self, scope: str, group: int, name: str, *, repeated: bool) -> None:
        if not self.find(scope, name, group):
            return
        text = f"The runner scale set already exists in runner group {self._store.groups[group]}."
        if not repeated:
            self._store.violations.record(9, f"scale set {name} was created twice")
        raise ServiceRefusal(400, "RunnerScaleSetExistsException", text)

    def _schedule_check(self, scale_set: ScaleSet, seconds: float) -> None:
        self._store.deadlines.after(seconds, lambda: self._check_dormant(scale_set))

    def _check_dormant(self, scale_set: ScaleSet) -> None:
        if not scale_set.live:
            return
        now = self._store.clock.monotonic()
        if scale_set.session is not None:
            scale_set.last_session_at = now
        left = scale_set.last_session_at + self._store.timers.dormant - now
        if left > 0:
            self._schedule_check(scale_set, left)
        else:
            self.end(scale_set)
