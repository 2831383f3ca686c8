"""Faults of JIT configurations and runners (docs/protocol.md § 10.7).

F75, F77 and F86 need none: break the backend, kill the agent, give a job such steps.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from runscaler.simulator.deeds import change_runner
from runscaler.simulator.exchange import NO_CONTENT, Reply, refused
from runscaler.simulator.faults import answers
from runscaler.simulator.faults.row import Match, Row, always
from runscaler.simulator.faults.wire_rows import damage
from runscaler.simulator.refusals import AgentRefusal
from runscaler.simulator.things import RunnerState

if TYPE_CHECKING:
    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import Outcome, Scene

JIT = Match("POST", "/generatejitconfig")
RUNNERS = "/pools/0/agents"
REGISTER = Match("POST", "/_sim/agent/v1/register")


def exists(_: Scene) -> Outcome:
    return answers.service(409, "TaskAgentExistsException", "The agent already exists in pool 0.")


def jit_fails(scene: Scene) -> Outcome | None:
    """After `seconds` (0), `status` (500); 0 lets it pass then."""
    assert scene.request is not None
    scene.gate.pause(scene.params.number("seconds", 0.0), scene.request.connection)
    status = scene.params.integer("status", 500)
    return answers.page(status) if status else None


def jit_useless(scene: Scene, reply: Reply) -> Outcome:
    """`kind`: id (without the runner's id) or garbage (no base64)."""
    if scene.params.text("kind", "id") == "garbage":
        return answers.altered(reply, lambda body: {**body, "encodedJITConfig": "%%% no base64 %%%"})
    return answers.altered(reply, without_id)


def without_id(body: Json) -> Json:
    runner = body["runner"]
    named = {"name": runner["name"]} if isinstance(runner, dict) else {}
    return {**body, "runner": named}


def used_already(_: Scene) -> Outcome:
    return refused(AgentRefusal(409, "AlreadyUsed", "The JIT configuration was used already."))


def version_refused(_: Scene) -> Outcome:
    text = "Runner version v1.0.0 is deprecated and cannot receive messages."
    return refused(AgentRefusal(403, "RunnerVersionTooOld", text))


def to_idle_runner(scene: Scene, action: str) -> None:
    """Done to the oldest idle runner whose name fits."""
    pattern = scene.fault.match.runner or "*"
    with scene.gate as machine:
        for runner in machine.world.runners.values():
            if runner.state is RunnerState.IDLE and fnmatch.fnmatch(runner.name, pattern):
                change_runner(machine, runner, action)
                return


def runner_gone(_: Scene) -> Outcome:
    return answers.service(404, "TaskAgentNotFoundException", "The agent was not found.")


def still_running(_: Scene) -> Outcome:
    return answers.service(400, "TaskAgentJobStillRunningException", "The agent is running a job.")


def ignore_jobs(scene: Scene, ignored: bool) -> None:
    """No runner of the set is offered a job."""
    scale_set = answers.scale_set_of_scene(scene)
    with scene.gate as machine:
        scale_set.ignored = ignored
        machine.dispatch.offer(scale_set)


ROWS: tuple[Row, ...] = (
    Row("F71", "the runner's name exists", JIT, before=exists),
    Row("F72", "JIT calls fail with `status`, or take `seconds`", JIT, before=jit_fails),
    Row("F73", "JIT without `kind` id, or garbage", JIT, after=jit_useless),
    Row("F74", "the JIT configuration is refused at register", REGISTER, before=used_already),
    Row("F76", "agents never connect", REGISTER, None, lambda scene: damage(scene, "silent")),
    Row("F78", "an idle runner's registration goes", begin=lambda s: to_idle_runner(s, "deregister")),
    Row("F79", "an idle runner becomes a ghost", begin=lambda s: to_idle_runner(s, "vanish")),
    Row("F80", "get runner says 404", Match("GET", f"{RUNNERS}/"), before=runner_gone),
    Row("F81", "remove runner: JobStillRunning", Match("DELETE", RUNNERS), None, still_running),
    Row("F82", "remove runner: 204, yet it is there", Match("DELETE", RUNNERS), before=lambda _: NO_CONTENT),
    Row(
        "F83",
        "assigned jobs are offered to no runner",
        count=None,
        begin=lambda scene: ignore_jobs(scene, True),
        end=lambda scene: ignore_jobs(scene, False),
    ),
    Row("F84", "the runner's version is refused", REGISTER, None, version_refused),
    Row(
        "F85",
        "the agent never hears that its job's end was taken",
        Match("POST", "/complete"),
        after=lambda scene, reply: damage(scene, "silent", reply),
        fits=always,
    ),
)
