"""Calls that register, look up and remove runners (docs/protocol.md § 4.2, 4.6)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.errors import NotFound
from runscaler.github import decode
from runscaler.github.actions_client import ServiceCall, not_found_means_scale_set_gone
from runscaler.github.endpoints import RUNNERS, WORK_FOLDER, scale_set_path
from runscaler.github.identity import Subsystem
from runscaler.github.retry_policy import RetryMode
from runscaler.github.wire import Lane, json_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.github.actions_client import ActionsClient
    from runscaler.github.base import JitConfig, ScaleSetId
    from runscaler.github.fields import JsonValue
    from runscaler.github.messages import RegisteredRunner
    from runscaler.interrupt import Interrupt
    from runscaler.names import RunnerName
    from runscaler.net.semaphore import InterruptibleSemaphore


class RunnerCalls:
    """The part of `ScaleSetService` that registers, looks up and removes runners."""

    _actions: ActionsClient
    _jit_calls: InterruptibleSemaphore

    def jit_config(
        self,
        scale_set_id: ScaleSetId,
        runner: RunnerName,
        interrupt: Interrupt,
        retry_for: float | None = 30.0,
    ) -> JitConfig:
        call = ServiceCall(
            f"register {runner}",
            "POST",
            scale_set_path(scale_set_id, "generatejitconfig"),
            body=json_body({"name": runner, "workFolder": WORK_FOLDER}),
            subsystem=Subsystem.RUNNER,
            retry=RetryMode.ONLY_IF_UNSENT,
            semaphore=self._jit_calls,
            registers=str(scale_set_id),
        )

        def read(value: JsonValue) -> JitConfig:
            return decode.jit_config(value, runner)

        with not_found_means_scale_set_gone():
            return self._actions.call(call, read, interrupt, retry_for)

    def runner(
        self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        path = f"{RUNNERS}/{runner_id}"
        call = _housekeeping(f"look up runner {runner_id}", "GET", path)
        try:
            return self._actions.call(call, decode.runner, interrupt, retry_for)
        except NotFound:
            return None

    def find_runner(
        self, name: RunnerName, interrupt: Interrupt, retry_for: float | None = 30.0
    ) -> RegisteredRunner | None:
        call = _housekeeping(f"find {name}", "GET", RUNNERS, {"agentName": name})
        found = self._actions.call(call, decode.runners, interrupt, retry_for)
        return next((each for each in found if each.name.lower() == name.lower()), None)

    def remove_runner(self, runner_id: int, interrupt: Interrupt, retry_for: float | None = 30.0) -> None:
        path = f"{RUNNERS}/{runner_id}"
        call = _housekeeping(f"remove runner {runner_id}", "DELETE", path)
        with suppress(NotFound):
            self._actions.call(call, decode.nothing, interrupt, retry_for)


def _housekeeping(what: str, method: str, path: str, query: Mapping[str, str] | None = None) -> ServiceCall:
    return ServiceCall(what, method, path, query or {}, subsystem=Subsystem.RUNNER, lane=Lane.HOUSEKEEPING)
