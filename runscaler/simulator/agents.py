"""Agents, the processes of registered runners: their sessions and polls (docs/protocol.md § 9.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.records import AgentSession, Job, JobState, RunnerState
from runscaler.simulator.refusals import AgentRefusal

if TYPE_CHECKING:
    from runscaler.simulator.dispatch import Dispatch
    from runscaler.simulator.records import Runner
    from runscaler.simulator.runners import Runners
    from runscaler.simulator.store import Store


class Agents:
    def __init__(self, store: Store, runners: Runners, dispatch: Dispatch) -> None:
        self._store = store
        self._runners = runners
        self._dispatch = dispatch
        self._sessions: dict[str, AgentSession] = {}
        self._tokens: dict[str, AgentSession] = {}

    def register(self, number: int, secret: tuple[str, str], version: str) -> AgentSession:
        """Open the agent's session. `secret` is the pair (client id, secret) of its JIT configuration."""
        runner = self._store.runners.get(number)
        if runner is None or runner.state is RunnerState.GONE:
            raise runner_not_found(number)
        if secret != (runner.client_id, runner.secret):
            raise AgentRefusal(401, "BadSecret", "The client id or secret is wrong.")
        if runner.unreachable:
            raise AgentRefusal(503, "Unreachable", f"Runner {runner.name} has no way to GitHub.")
        self._check_unused(runner)
        session = AgentSession(self._store.uuid(), self._store.random.randbytes(24).hex(), runner)
        self._sessions[session.id] = session
        self._tokens[session.token] = session
        runner.agent, runner.used, runner.version = session, True, version
        self._mark_seen(runner)
        self._store.move_runner(runner, RunnerState.IDLE)
        self._schedule_check(runner)
        return session

    def session(self, identity: str) -> AgentSession:
        session = self._sessions.get(identity)
        if session is None or session.runner.agent is not session:
            raise AgentRefusal(404, "SessionInvalid", f"Session {identity} was not found.")
        return session

    def by_token(self, token: str) -> AgentSession:
        session = self._tokens.get(token)
        if session is None:
            raise AgentRefusal(401, "BadSecret", "The session's token is wrong.")
        return session

    def poll_begins(self, session: AgentSession) -> None:
        runner = session.runner
        session.polls += 1
        self._store.note("agent-poll", runner=runner.id)
        self._mark_seen(runner)
        if runner.state is RunnerState.OFFLINE:
            self._store.move_runner(runner, RunnerState.IDLE)
            self._schedule_check(runner)
        if runner.state is RunnerState.IDLE and runner.job is None:
            runner.scale_set.ready[runner.id] = runner
            self._dispatch.offer(runner.scale_set)

    def next_job(self, session: AgentSession) -> Job | None:
        """The job that its runner is offered, on each call until the agent starts it."""
        runner = session.runner
        if runner.state is RunnerState.GONE and not runner.ghost:
            raise runner_not_found(runner.id)
        job = runner.job
        offered = job is not None and job.state is JobState.ASSIGNED and not job.never_begins
        return job if offered else None

    def poll_ends(self, session: AgentSession, *, lost: bool) -> None:
        """`lost`: the client has hung up, so a job offered meanwhile goes to another runner."""
        runner = session.runner
        session.polls -= 1
        self._mark_seen(runner)
        if not session.polls:
            runner.scale_set.ready.pop(runner.id, None)
        if lost:
            self._dispatch.take_back(runner)

    def close(self, session: AgentSession) -> None:
        """End the agent's session. A runner that has had no job stays registered, offline."""
        runner = session.runner
        self._sessions.pop(session.id, None)
        if runner.agent is not session:
            return
        runner.agent = None
        if runner.state is RunnerState.IDLE:
            self.go_offline(runner)

    def go_offline(self, runner: Runner) -> None:
        if runner.state is RunnerState.IDLE:
            self._store.move_runner(runner, RunnerState.OFFLINE)
            self._dispatch.take_back(runner)
            self._runners.schedule_expiry(runner)

    def vanish(self, runner: Runner) -> None:
        """Remove the registration without telling its agent: a ghost (docs/protocol.md § 8.4)."""
        runner.ghost = True
        self._runners.deregister(runner)

    def _check_unused(self, runner: Runner) -> None:
        if runner.agent is not None:
            raise AgentRefusal(409, "SessionConflict", f"Runner {runner.name} already has a session.")
        if not runner.used or self._store.options.jit_reuse:
            return
        text = f"The JIT configuration of {runner.name} was already used."
        self._store.violations.refuse(10, AgentRefusal(409, "AlreadyUsed", text))

    def _mark_seen(self, runner: Runner) -> None:
        runner.seen = self._store.clock.monotonic()

    def _schedule_check(self, runner: Runner) -> None:
        left = runner.seen + self._store.timers.agent_silence - self._store.clock.monotonic()
        self._store.deadlines.after(left, lambda: self._check(runner))

    def _check(self, runner: Runner) -> None:
        if runner.state is not RunnerState.IDLE:
            return
        if runner.agent is not None and runner.agent.polls:
            self._mark_seen(runner)
        if runner.seen + self._store.timers.agent_silence > self._store.clock.monotonic():
            self._schedule_check(runner)
        else:
            self.go_offline(runner)


def runner_not_found(number: int) -> AgentRefusal:
    return AgentRefusal(404, "RunnerNotFound", f"Runner {number} no longer exists on the server.")
