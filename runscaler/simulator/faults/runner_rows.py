"""Faults of JIT configurations and runners (docs/protocol.md § 10.7).

F75, F77, F86 and F97 need no rows: break the backend, kill the agent, queue a job with such steps.
"""

from __future__ import annotations

import fnmatch
from math import ceil
from typing import TYPE_CHECKING

from runscaler.simulator.admin_actions import change_runner
from runscaler.simulator.faults import replies
from runscaler.simulator.faults.row import Match, Row, always
from runscaler.simulator.faults.target import registering_runner
from runscaler.simulator.faults.wire_rows import broken
from runscaler.simulator.http_messages import NO_CONTENT, Reply, refused
from runscaler.simulator.records import RunnerState
from runscaler.simulator.refusals import AgentRefusal

if TYPE_CHECKING:
    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import FaultContext, Outcome

JIT = Match("POST", "/generatejitconfig")
RUNNERS = "/pools/0/agents"
REGISTER = Match("POST", "/_sim/agent/v1/register")


def exists(_: FaultContext) -> Outcome:
    return replies.service(409, "TaskAgentExistsException", "The agent already exists in pool 0.")


def jit_fails(context: FaultContext) -> Outcome | None:
    """Answer `status` (500) after `seconds` (0); with status 0 the call succeeds then."""
    assert context.request is not None
    context.lock.pause(context.params.number("seconds", 0.0), context.request.connection)
    status = context.params.integer("status", 500)
    return replies.page(status) if status else None


def jit_useless(context: FaultContext, reply: Reply) -> Outcome:
    """`kind` is id (the runner's id is missing) or garbage (no base64)."""
    if context.params.text("kind", "id") == "garbage":
        return replies.altered(reply, lambda body: {**body, "encodedJITConfig": "%%% no base64 %%%"})
    return replies.altered(reply, without_id)


def without_id(body: Json) -> Json:
    runner = body["runner"]
    named = {"name": runner["name"]} if isinstance(runner, dict) else {}
    return {**body, "runner": named}


def cannot_connect(context: FaultContext) -> Outcome:
    """Let the call hang, and fail its repetitions until the fault is removed."""
    assert context.request is not None
    runner = registering_runner(context.lock, context.request)
    if runner is not None:
        runner.unreachable = True
    return broken(context, "silent")


def can_connect(context: FaultContext) -> None:
    with context.lock as machine:
        for runner in machine.store.runners.values():
            runner.unreachable = False


def used_already(_: FaultContext) -> Outcome:
    return refused(AgentRefusal(409, "AlreadyUsed", "The JIT configuration was used already."))


def version_refused(_: FaultContext) -> Outcome:
    text = "Runner version v1.0.0 is deprecated and cannot receive messages."
    return refused(AgentRefusal(403, "RunnerVersionTooOld", text))


def to_idle_runner(context: FaultContext, action: str) -> None:
    """Apply the action to the oldest idle runner whose name matches."""
    pattern = context.fault.match.runner or "*"
    with context.lock as machine:
        for runner in machine.store.runners.values():
            if runner.state is RunnerState.IDLE and fnmatch.fnmatch(runner.name, pattern):
                change_runner(machine, runner, action)
                return


def registrations_vanish(context: FaultContext) -> None:
    """Remove a `share` (0.5) of the registrations, of busy runners too. Their agents are not told."""
    share, wanted = context.params.number("share", 0.5), context.fault.match.scale_set.lower()
    with context.lock as machine:
        there = [one for one in machine.store.names.values() if wanted in ("", one.scale_set.name.lower())]
        for runner in machine.store.random.sample(there, min(len(there), ceil(share * len(there)))):
            change_runner(machine, runner, "vanish")


def runner_gone(_: FaultContext) -> Outcome:
    return replies.service(404, "TaskAgentNotFoundException", "The agent was not found.")


def still_running(_: FaultContext) -> Outcome:
    return replies.service(400, "TaskAgentJobStillRunningException", "The agent is running a job.")


def ignore_jobs(context: FaultContext, ignored: bool) -> None:
    """Start or stop offering the jobs of the scale set to its runners."""
    scale_set = replies.target_scale_set(context)
    with context.lock as machine:
        scale_set.ignored = ignored
        machine.dispatch.offer(scale_set)


ROWS: tuple[Row, ...] = (
    Row("F71", "the runner's name is taken", JIT, before=exists),
    Row("F72", "JIT calls fail with `status`, or take `seconds`", JIT, before=jit_fails),
    Row("F73", "the JIT reply is useless: `kind` id, garbage", JIT, after=jit_useless),
    Row("F74", "the JIT configuration is refused by register", REGISTER, before=used_already),
    Row("F76", "agents never connect", REGISTER, None, cannot_connect, end=can_connect),
    Row("F78", "an idle runner's registration is removed", begin=lambda s: to_idle_runner(s, "deregister")),
    Row("F79", "an idle runner becomes a ghost", begin=lambda s: to_idle_runner(s, "vanish")),
    Row("F80", "get runner answers 404", Match("GET", f"{RUNNERS}/"), before=runner_gone),
    Row("F81", "remove runner answers JobStillRunning", Match("DELETE", RUNNERS), None, still_running),
    Row(
        "F82",
        "remove runner answers 204 without removing it",
        Match("DELETE", RUNNERS),
        before=lambda _: NO_CONTENT,
    ),
    Row(
        "F83",
        "assigned jobs are offered to no runner",
        count=None,
        begin=lambda context: ignore_jobs(context, True),
        end=lambda context: ignore_jobs(context, False),
    ),
    Row("F84", "the runner's version is refused", REGISTER, None, version_refused),
    Row(
        "F85",
        "the reply to the agent's completion is lost",
        Match("POST", "/complete"),
        after=lambda context, reply: broken(context, "silent", reply),
        fits=always,
    ),
    Row("F91", "a `share` of all registrations vanishes at once", begin=registrations_vanish),
)
