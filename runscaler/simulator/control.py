"""The control API: queue jobs, inspect the state, set faults (docs/protocol.md § 9.6).

Calls need the header X-Sim-Control with the token of the run: jobs run shell commands, and neither another
user of this host nor a web page may queue them.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict
from typing import TYPE_CHECKING

from runscaler.net.host_header import names_loopback
from runscaler.simulator.admin_actions import change_runner, change_scale_set, change_session
from runscaler.simulator.faults.registry import FaultRegistry, UnknownFault
from runscaler.simulator.faults.row import Fault, Match
from runscaler.simulator.http_messages import NO_CONTENT, BadBody, json_reply, refused
from runscaler.simulator.job_specs import pairs, read_job_spec
from runscaler.simulator.refusals import Refusal, RestRefusal
from runscaler.simulator.routes import Call, find_route, route
from runscaler.simulator.view import State

if TYPE_CHECKING:
    from runscaler.simulator.http_messages import Fields, Reply, Request
    from runscaler.simulator.machine_lock import MachineLock
    from runscaler.simulator.scenarios.player import Player
    from runscaler.simulator.violations import Violation

PREFIX = "/_sim/control/v1/"
HEADER = "X-Sim-Control"
NEEDS_TOKEN = (
    f"The control API needs the header {HEADER} with the token of this run, which runner simulate prints "
    "behind its control url, or takes as --control-token."
)
OTHER_HOST = "The Host header of a call to the control API must name this machine, such as 127.0.0.1."


def is_control(request: Request) -> bool:
    return request.path.startswith(PREFIX)


class ControlApi:
    """Refuses calls without `token`. With `loopback_only` their Host header must name the loopback
    interface, too."""

    def __init__(self, lock: MachineLock, faults: FaultRegistry, token: str, *, loopback_only: bool) -> None:
        self._token, self._loopback_only = token.encode(), loopback_only
        self._lock = lock
        self._machine = lock.machine
        self._store = lock.machine.store
        self._faults = faults
        self.player: Player | None = None
        """The player of the scenario, if one is loaded."""
        self._routes = (
            route("GET", "state", self._state),
            route("GET", "events", self._events),
            route("GET", "violations", self._violations),
            route("DELETE", "violations", self._clear_violations),
            route("POST", "jobs", self._queue),
            route("POST", "jobs/([^/]+)/cancel", self._cancel),
            route("POST", r"scale-sets/(\d+)", self._change_scale_set),
            route("POST", "renames", self._rename),
            route("POST", "sessions/([^/]+)", self._change_session),
            route("POST", r"runners/(\d+)", self._change_runner),
            route("POST", "faults", self._add_fault),
            route("GET", "faults", self._list_faults),
            route("DELETE", r"faults/(\d+)", self._remove_fault),
            route("GET", "scenario", self._scenario),
        )

    def handle(self, request: Request) -> Reply:
        try:
            return self._answer(request)
        except (BadBody, UnknownFault) as error:
            return refused(RestRefusal(400, str(error)))
        except LookupError:
            return refused(RestRefusal(404, f"There is no {request.path[len(PREFIX) :]}."))
        except Refusal as refusal:
            return refused(refusal)

    def _answer(self, request: Request) -> Reply:
        self._check_caller(request)
        found = find_route(self._routes, request.method, request.path[len(PREFIX) :])
        if found is None:
            raise RestRefusal(404, f"There is no {request.method} {request.path}.")
        return found[0].answer(Call(request, "", found[1]))

    def _check_caller(self, request: Request) -> None:
        if self._loopback_only and not names_loopback(request.header("host")):
            raise RestRefusal(403, OTHER_HOST)
        if not hmac.compare_digest(request.header(HEADER.lower()).encode(), self._token):
            raise RestRefusal(403, NEEDS_TOKEN)

    def _state(self, call: Call) -> Reply:
        with self._lock:
            state = State(self._store).freeze()
        return json_reply(
            {
                "scaleSets": [asdict(one) for one in state.scale_sets],
                "sessions": [asdict(one) for one in state.sessions],
                "runners": [asdict(one) for one in state.runners],
                "jobs": [asdict(one) for one in state.jobs],
                "jobCounts": state.job_counts,
                "changes": state.changes,
            }
        )

    def _events(self, call: Call) -> Reply:
        text = call.request.query.get("after", "0")
        if not text.isdecimal():
            raise BadBody(f"after is the number of an event, not {text!r}")
        after = int(text)
        with self._lock:
            events = [entry for entry in self._store.journal if int(str(entry["number"])) > after]
        return json_reply(events)

    def _violations(self, call: Call) -> Reply:
        with self._lock:
            final = call.request.query.get("final") == "1"
            found = self._machine.final_violations() if final else self._store.violations.all()
        return json_reply([violation_body(one) for one in found])

    def _clear_violations(self, call: Call) -> Reply:
        with self._lock:
            self._store.violations.clear()
        return NO_CONTENT

    def _queue(self, call: Call) -> Reply:
        with self._lock:
            jobs = self._machine.jobs.queue(read_job_spec(self._store, call.request.json()))
        return json_reply([job.id for job in jobs])

    def _cancel(self, call: Call) -> Reply:
        with self._lock:
            self._machine.jobs.cancel(self._store.jobs[call.args[0]])
        return NO_CONTENT

    def _change_scale_set(self, call: Call) -> Reply:
        body = call.request.json()
        with self._lock:
            scale_set = self._store.scale_sets[call.number()]
            change_scale_set(self._machine, scale_set, body.text("action"), body.text("value", ""))
        return NO_CONTENT

    def _rename(self, call: Call) -> Reply:
        body = call.request.json()
        redirects = body.truth("redirects") if body.has("redirects") else None
        with self._lock:
            try:
                self._store.places.rename(body.text("from"), body.text("to"), redirects=redirects)
            except ValueError as error:
                raise BadBody(str(error)) from None
        return NO_CONTENT

    def _change_session(self, call: Call) -> Reply:
        with self._lock:
            session = self._store.sessions[call.args[0]]
            change_session(self._machine, session, call.request.json().text("action"))
        return NO_CONTENT

    def _change_runner(self, call: Call) -> Reply:
        with self._lock:
            runner = self._store.runners[call.number()]
            change_runner(self._machine, runner, call.request.json().text("action"))
        return NO_CONTENT

    def _add_fault(self, call: Call) -> Reply:
        body = call.request.json()
        match = body.inner("match")
        fault = self._faults.add(
            body.text("fault"),
            count=read_count(body),
            after=body.integer("after", 0),
            probability=body.number("probability", 1.0),
            match=Match(*(match.text(key, "") for key in ("method", "path", "scaleSet", "runner"))),
            params=dict(pairs(body, "params")),
        )
        return json_reply({"id": fault.id})

    def _list_faults(self, call: Call) -> Reply:
        return json_reply([fault_body(fault) for fault in self._faults.all()])

    def _remove_fault(self, call: Call) -> Reply:
        if not self._faults.remove(call.number()):
            raise LookupError(call.number())
        return NO_CONTENT

    def _scenario(self, call: Call) -> Reply:
        if self.player is None:
            raise LookupError("scenario")
        return json_reply(scenario_body(self.player))


def read_count(body: Fields) -> int | str | None:
    """Null means until the fault is deleted, an absent count the default of its row."""
    if "count" not in body.spelled:
        return "default"
    return body.integer("count") if body.has("count") else None


def violation_body(violation: Violation) -> dict[str, object]:
    return {"rule": f"V{violation.rule}", "text": violation.text, "at": violation.at}


def fault_body(fault: Fault) -> dict[str, object]:
    return {
        "id": fault.id,
        "fault": fault.row.name,
        "about": fault.row.about,
        "count": fault.count,
        "after": fault.after,
        "probability": fault.probability,
        "match": asdict(fault.match),
        "params": dict(fault.params.values),
        "seen": fault.seen,
        "hits": fault.hits,
    }


def scenario_body(player: Player) -> dict[str, object]:
    progress, result = player.progress(), player.result()
    return {
        "name": progress.scenario.name,
        "about": progress.scenario.about,
        "lookFor": progress.scenario.look_for,
        "seed": player.seed,
        "struck": [asdict(one) for one in progress.events],
        "toCome": list(progress.pending),
        "over": progress.finished,
        "jobs": {"done": result.done, "failed": result.failed, "waiting": result.waiting},
        "violations": len(result.violations),
    }
