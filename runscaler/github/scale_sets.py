"""Calls about runner groups and scale sets (docs/protocol.md § 4.2)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.errors import GitHubError, JobStillRunning, NotFound, Refused, ScaleSetGone
from runscaler.github import decode
from runscaler.github.actions_client import ServiceCall, not_found_means_scale_set_gone
from runscaler.github.base import ScaleSetChange
from runscaler.github.endpoints import RUNNER_GROUPS, SCALE_SETS, scale_set_body, scale_set_path
from runscaler.github.retry_policy import RetryMode
from runscaler.github.wire import Lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.github.actions_client import ActionsClient
    from runscaler.github.base import ScaleSetId
    from runscaler.github.messages import RunnerScaleSet
    from runscaler.interrupt import Interrupt

DEFAULT_GROUP = "default"
DEFAULT_GROUP_ID = 1


class ScaleSetCalls:
    """The part of `ScaleSetService` that finds, makes and removes a scale set."""

    _actions: ActionsClient

    def group_id(self, name: str, interrupt: Interrupt, retry_for: float | None = 30.0) -> int:
        if name.lower() in ("", DEFAULT_GROUP):
            return DEFAULT_GROUP_ID
        what = f"find the runner group {name!r}"
        call = ServiceCall(what, "GET", RUNNER_GROUPS, {"groupName": name}, lane=Lane.SETUP)
        groups = self._actions.call(call, decode.runner_groups, interrupt, retry_for)
        for group in groups:
            if group.name.lower() == name.lower():
                return group.id
        raise self._no_such_group(name, interrupt)

    def _no_such_group(self, name: str, interrupt: Interrupt) -> NotFound:
        """The error; it lists the groups that exist, if GitHub says (docs/behaviour.md § 12)."""
        call = ServiceCall("list the runner groups", "GET", RUNNER_GROUPS, lane=Lane.SETUP)
        names: list[str] = []
        with suppress(GitHubError):
            names = [group.name for group in self._actions.call(call, decode.runner_groups, interrupt, 0.0)]
        there = f"; there are: {', '.join(names)}" if names else ""
        fixes = ("correct runner-group, or create the group in the organisation's settings",)
        return NotFound(f"the runner group {name!r} does not exist{there}", status=200, fixes=fixes)

    def find_scale_set(
        self, name: str, group_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        query = {"runnerGroupId": str(group_id), "name": name}
        call = ServiceCall(f"find the scale set {name!r}", "GET", SCALE_SETS, query, lane=Lane.SETUP)
        found = self._actions.call(call, decode.scale_sets, interrupt, retry_for)
        if len(found) > 1:
            raise Refused(f"GitHub knows {len(found)} scale sets {name!r} in one runner group", status=200)
        return self._remember(found[0]) if found else None

    def scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RunnerScaleSet | None:
        path = scale_set_path(scale_set_id)
        call = ServiceCall(f"look up scale set {scale_set_id}", "GET", path, lane=Lane.SETUP)
        try:
            found = self._actions.call(call, decode.scale_set_if_any, interrupt, retry_for)
        except (NotFound, ScaleSetGone):
            return None
        return self._remember(found) if found else None

    def create_scale_set(
        self,
        name: str,
        group_id: int,
        labels: Sequence[str],
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        # A runner that updated itself would start twice.
        wanted = ScaleSetChange(name, group_id, tuple(labels) or (name,), updates_disabled=True)
        body = scale_set_body(wanted)
        call = ServiceCall(
            f"create the scale set {name!r}",
            "POST",
            SCALE_SETS,
            body=body,
            retry=RetryMode.NOT_IDEMPOTENT,
            lane=Lane.SETUP,
        )
        return self._remember(self._actions.call(call, decode.scale_set, interrupt, retry_for))

    def update_scale_set(
        self,
        scale_set_id: ScaleSetId,
        change: ScaleSetChange,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> RunnerScaleSet:
        what, path = f"change scale set {scale_set_id}", scale_set_path(scale_set_id)
        call = ServiceCall(what, "PATCH", path, body=scale_set_body(change), lane=Lane.SETUP)
        with not_found_means_scale_set_gone():
            return self._remember(self._actions.call(call, decode.scale_set, interrupt, retry_for))

    def delete_scale_set(
        self, scale_set_id: ScaleSetId, interrupt: Interrupt, retry_for: float | None = 10.0
    ) -> None:
        what, path = f"delete the scale set {scale_set_id}", scale_set_path(scale_set_id)
        call = ServiceCall(what, "DELETE", path, lane=Lane.END)
        try:
            self._actions.call(call, decode.nothing, interrupt, retry_for)
        except (NotFound, ScaleSetGone):
            return
        except JobStillRunning as error:
            raise Refused(str(error), status=error.status, request_id=error.request_id) from error

    def _remember(self, scale_set: RunnerScaleSet) -> RunnerScaleSet:
        self._actions.scale_set_id = scale_set.id
        return scale_set
