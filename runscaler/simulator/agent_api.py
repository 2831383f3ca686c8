"""The protocol of the demo agent, which is our own (docs/protocol.md § 9.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.bodies import timestamp
from runscaler.simulator.checks import bearer
from runscaler.simulator.http_messages import ACCEPTED, NO_CONTENT, BadBody, json_reply
from runscaler.simulator.refusals import AgentRefusal
from runscaler.simulator.routes import Call, find_route, route
from runscaler.simulator.store import runner_key

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Reply, Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.records import AgentSession, Job, StepRecord

PREFIX = "/_sim/agent/v1/"
LARGEST_LOG = 64 * 1024
MOST_LOG_LINES = 10_000
STEP_STATES = ("started", "succeeded", "failed", "skipped", "canceled")


class AgentApi:
    def __init__(self, lock: MachineLock) -> None:
        self._lock = lock
        self._machine = lock.machine
        self._store = lock.machine.store
        self._routes = (
            route("POST", "register", self._register),
            route("GET", "sessions/([^/]+)/job", self._poll),
            route("DELETE", "sessions/([^/]+)", self._close),
            route("POST", "jobs/([^/]+)/start", self._start),
            route("POST", "jobs/([^/]+)/renew", self._renew),
            route("POST", r"jobs/([^/]+)/steps/(\d+)", self._step),
            route("POST", r"jobs/([^/]+)/steps/(\d+)/log", self._log),
            route("POST", "jobs/([^/]+)/complete", self._complete),
        )

    def handle(self, request: Request) -> Reply:
        found = find_route(self._routes, request.method, request.path[len(PREFIX) :])
        if found is None:
            raise AgentRefusal(404, "NotFound", f"There is no {request.method} {request.path}.")
        each, args = found
        try:
            return each.answer(Call(request, "", args))
        except BadBody as error:
            raise AgentRefusal(400, "BadRequest", str(error)) from None

    def _register(self, call: Call) -> Reply:
        body = call.request.json()
        secret = body.text("clientId"), body.text("secret")
        with self._lock:
            session = self._machine.agents.register(body.integer("agentId"), secret, body.text("version", ""))
        timers = self._store.timers
        return json_reply(
            {
                "sessionId": session.id,
                "token": session.token,
                "pollSeconds": timers.long_poll,
                "renewSeconds": timers.renew,
            }
        )

    def _poll(self, call: Call) -> Reply:
        connection = call.request.connection
        with self._lock:
            session = self._session(call)
            self._machine.agents.poll_begins(session)
        key = runner_key(session.runner.id)
        connection.when_gone(lambda: self._lock.wake(key))
        try:
            return self._await_job(call.request, session, key)
        finally:
            connection.when_gone(None)
            with self._lock:
                self._machine.agents.poll_ends(session, lost=connection.gone())

    def _await_job(self, request: Request, session: AgentSession, key: str) -> Reply:
        def ready() -> Reply | None:
            if request.connection.gone():
                return ACCEPTED
            job = self._machine.agents.next_job(session)
            return json_reply(self._job_body(job)) if job is not None else None

        return self._lock.wait(key, ready, self._seconds(request)) or ACCEPTED

    def _seconds(self, request: Request) -> float:
        asked = request.query.get("wait", "")
        longest = self._store.timers.long_poll
        return min(float(asked), longest) if asked.isdigit() else longest

    def _close(self, call: Call) -> Reply:
        with self._lock:
            self._machine.agents.close(self._session(call))
        return NO_CONTENT

    def _start(self, call: Call) -> Reply:
        with self._lock:
            session = self._by_token(call)
            return self._lease_reply(self._machine.leases.start(session.runner, call.args[0]))

    def _renew(self, call: Call) -> Reply:
        with self._lock:
            session = self._by_token(call)
            return self._lease_reply(self._machine.leases.renew(session.runner, call.args[0]))

    def _step(self, call: Call) -> Reply:
        body = call.request.json()
        state = body.text("state")
        if state not in STEP_STATES:
            raise BadBody(f"state {state} is none of {', '.join(STEP_STATES)}")
        with self._lock:
            job, step = self._step_record(call)
            step.state = state
            step.exit_code = body.integer("exitCode") if body.has("exitCode") else None
            step.seconds = body.number("seconds", 0.0)
            self._store.note("step", job=job.id, step=int(call.args[1]), state=state)
        return NO_CONTENT

    def _log(self, call: Call) -> Reply:
        if len(call.request.body) > LARGEST_LOG:
            raise AgentRefusal(413, "TooLarge", "At most 64 KiB of log per call.")
        body = call.request.json()
        offset, lines = body.integer("offset"), body.texts("lines")
        with self._lock:
            job, step = self._step_record(call)
            if 0 <= offset <= len(step.lines) and offset + len(lines) <= MOST_LOG_LINES:
                step.lines[offset:] = lines
                self._store.note("log", job=job.id, step=int(call.args[1]), lines=len(step.lines))
        return NO_CONTENT

    def _complete(self, call: Call) -> Reply:
        result = call.request.json().text("result")
        with self._lock:
            self._machine.leases.complete(self._by_token(call).runner, call.args[0], result)
        return NO_CONTENT

    def _step_record(self, call: Call) -> tuple[Job, StepRecord]:
        job = self._machine.leases.held(self._by_token(call).runner, call.args[0])
        index = int(call.args[1])
        if index >= len(job.steps):
            raise AgentRefusal(404, "NotFound", f"The job has no step {index}.")
        return job, job.steps[index]

    def _session(self, call: Call) -> AgentSession:
        session = self._machine.agents.session(call.args[0])
        if session.token != bearer(call.request):
            raise AgentRefusal(401, "BadSecret", "The session's token is wrong.")
        return session

    def _by_token(self, call: Call) -> AgentSession:
        return self._machine.agents.by_token(bearer(call.request))

    def _lease_reply(self, job: Job) -> Reply:
        now = self._store.clock
        until = now.wall() + job.leased_until - now.monotonic()
        return json_reply({"lockedUntil": timestamp(until), "cancel": job.cancel})

    def _job_body(self, job: Job) -> dict[str, object]:
        spec = job.spec
        return {
            "jobId": job.job_id,
            "displayName": spec.display_name,
            "repository": spec.repository,
            "runId": job.run_id,
            "env": dict(spec.env),
            "secrets": list(spec.secrets),
            "timeoutSeconds": spec.timeout_seconds,
            "steps": [
                {
                    "name": step.name,
                    "run": step.run,
                    "shell": step.shell,
                    "continueOnError": step.continue_on_error,
                    "always": step.always,
                    "timeoutSeconds": step.timeout_seconds,
                }
                for step in spec.steps
            ],
            "renewSeconds": self._store.timers.renew,
            "lingers": job.lingers,
        }
