"""A daemon's web side with a board that tests write: the real application and server, made-up facts.

Run it to look at the page yourself: `PYTHONPATH=tests python -m support.dashboard busy`.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runscaler.clock import SystemClock
from runscaler.config.model import HostSettings
from runscaler.events import (
    JobCompleted,
    JobStarted,
    RunnerFailed,
    RunnerRemoved,
    RunnerStarted,
    ScaleSetChanged,
)
from runscaler.status import (
    Counters,
    JobOrigin,
    Opening,
    ScaleSetStatus,
    SetState,
    SlotStatus,
    Status,
    Unmet,
    UnmetDemand,
)
from runscaler.web.app import WebApp
from runscaler.web.live import Live
from runscaler.web.server import HealthServer, bind

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.events import Event

URL = "https://github.com/my-org"
NAMES = ("linux", "linux-arm", "gpu", "macos", "release", "nightly", "docs", "e2e", "bench", "windows-cross")
JOBS = ("build", "unit tests", "lint", "integration (postgres 16)", "package / deb", "e2e (chromium)", "docs")
REASONS = (
    "the Docker engine does not answer: /var/run/docker.sock: connection refused",
    "GitHub refuses the token: 401 Bad credentials",
)


class Watched:
    """`status` is what the board holds; write to it and call `turn` to have the streams told at once."""

    def __init__(self, status: Status, port: int = 0, limits: HostSettings | None = None) -> None:
        self.clock = SystemClock()
        self.status = status
        self.limits = limits or HostSettings()
        self.live = Live(lambda: self.status, self.clock, limits=lambda: self.limits)
        self.listener = bind("127.0.0.1", port)
        self.port = int(self.listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        app = WebApp(lambda: self.status, lambda: True, self.clock, self.live)
        self._server = HealthServer(self.listener, app)
        self._server.start()
        self.live.start()

    def put(self, *sets: ScaleSetStatus) -> None:
        """Put these in the place of those of the same name."""
        new = {one.name: one for one in sets}
        self.status = replace(
            self.status, scale_sets=tuple(new.get(one.name, one) for one in self.status.scale_sets)
        )

    def happen(self, *events: Event) -> None:
        for event in events:
            self.live.hear(event)

    def close(self) -> None:
        self._server.stop()
        self.live.close()
        self.listener.close()


def scale_set(name: str = "linux", **more: object) -> ScaleSetStatus:
    facts: dict[str, object] = {
        "url": URL,
        "runner_group": "default",
        "backend": "docker",
        "state": SetState.OK,
        "max": 10,
        "last_poll": SystemClock().wall() - 3,
    }
    return ScaleSetStatus(name=name, **{**facts, **more})  # type: ignore[arg-type]


def place(name: str, url: str = URL) -> dict[str, Any]:
    """What an event of that scale set says about it."""
    return {"scale_set": name, "url": url, "runner_group": "default"}


def having(*sets: ScaleSetStatus) -> Status:
    return Status("0.1.0", SystemClock().wall() - 4 * 3600 - 130, sets)


def with_slots(one: ScaleSetStatus, *slots: SlotStatus) -> ScaleSetStatus:
    def of(*states: str) -> int:
        return sum(slot.state in states for slot in slots)

    return replace(
        one,
        slots=slots,
        busy=of("busy", "finishing"),
        idle=of("idle", "adopted", "retiring"),
        starting=of("starting", "waiting"),
        total=len(slots),
        assigned_jobs=one.assigned_jobs or of("busy"),
        running_jobs=of("busy"),
    )


def busy_slot(number: int, runner: str, since: float, job: str = "build", run: int = 4711) -> SlotStatus:
    origin = JobOrigin("my-org/app", "my-org/app/.github/workflows/ci.yml@refs/heads/main", run)
    return SlotStatus(number, "busy", runner, job, since, origin)


def opening(now: float, hours: float, **more: object) -> Opening:
    """A window of ten hours that opens in so many hours."""
    opens = now // 3600 * 3600 + hours * 3600
    facts: dict[str, object] = {"min": 4, "max": 20, "timezone": "Europe/Berlin", **more}
    return Opening(1, opens, opens + 36_000, **facts)  # type: ignore[arg-type]


def empty() -> Watched:
    return _kept(Watched(having(scale_set("linux"), scale_set("gpu", max=2))))


def busy(sets: int = 100, slots: int = 1000, port: int = 0) -> Watched:
    """Many scale sets, some of them in trouble, with that many slots in use and an hour behind them."""
    dice = random.Random(7)
    now = SystemClock().wall()
    shares = sorted((dice.random() ** 4 if n < sets * 0.6 else 0.0) for n in range(sets))[::-1]
    made = []
    for number, share in enumerate(shares):
        held = round(slots * share / sum(shares))
        made.append(_set_at_work(dice, number, held, now))
    limits = HostSettings(min_free_memory="1GiB", min_free_disk="10GiB", max_load=64)  # type: ignore[arg-type]
    watched = Watched(having(*made), port, limits)
    _hour(watched, dice, now)
    lives = [_life(dice, one.name, slot, now) for one in made[:20] for slot in one.slots[:12]]
    watched.happen(*sorted((event for life in lives for event in life), key=lambda event: event.at))
    return watched


def _set_at_work(dice: random.Random, number: int, held: int, now: float) -> ScaleSetStatus:
    name = NAMES[number % len(NAMES)] + ("" if number < len(NAMES) else f"-{number // len(NAMES) + 1}")
    slots = []
    for slot in range(held):
        since = now - dice.expovariate(1 / 200)
        runner = f"{name}-{dice.getrandbits(32):08x}"
        state = dice.choices(("busy", "idle", "starting", "removing"), (80, 8, 9, 3))[0]
        if state == "busy":
            slots.append(busy_slot(slot, runner, since, dice.choice(JOBS), dice.randrange(10**9, 10**10)))
        else:
            slots.append(SlotStatus(slot, state, runner, "", now - dice.random() * 8))
    done = dice.randrange(20, 900) * (held > 0)
    backend = "tart" if name.startswith("macos") else "docker"
    one = scale_set(
        name,
        backend=backend,
        max=max(10, held + dice.randrange(8)),
        counters=Counters(jobs_started=done + held, jobs_completed=done, runners_failed=done // 100),
        assigned_jobs=held + dice.randrange(0, 9) * (held > 0),
        waiting_since=now - 400 if held > 40 else now - 5,
        last_poll=now - dice.random() * 40,
    )
    one = with_slots(one, *slots)
    if number in (17, 42):
        reason = REASONS[number == 42]
        state = SetState.DEGRADED if number == 17 else SetState.FAILED
        since = now - 60 * (7 if number == 17 else 95)
        return replace(one, state=state, reason=reason, state_since=since, retry_at=now + 75, restarts=2)
    if number in (0, 3):
        window = opening(now, -2, max=one.max) if number == 0 else None
        return replace(one, window=window, next_window=opening(now, 22))
    if number == 4:
        short = "free disk 9.6 GiB is below min-free-disk 10 GiB (/var/lib/docker)"
        return replace(one, unmet=(UnmetDemand(Unmet.HOST_GUARD, 3, short, now + 12),))
    if number == 5:
        held_back = UnmetDemand(Unmet.BACKOFF, 4, "5 runners in a row ended before they had a job")
        return replace(one, unmet=(held_back,))
    return one


def _hour(watched: Watched, dice: random.Random, now: float) -> None:
    history = watched.live._history
    asked = 500.0
    for step in range(360):
        asked = max(50.0, asked + dice.uniform(-40, 42))
        had = int(min(1000, asked * 0.93))
        done = int(had / 30)
        history._rows.append(
            (now - (360 - step) * 10, int(asked), int(had * 0.85), had, 1300, done, done,
             dice.randrange(4) == 0, dice.randrange(9) == 0, done, 0, 0)
        )  # fmt: skip


def _life(dice: random.Random, name: str, slot: SlotStatus, now: float) -> list[Event]:
    """A few runners one after another in a slot, the last of them the one that is there."""
    found: list[Event] = []
    at = now - 1000 + dice.random() * 200
    while at < slot.since - 160:
        runner = f"{name}-{dice.getrandbits(32):08x}"
        up, ran = dice.uniform(0.6, 4), dice.uniform(20, 150)
        job = dice.choice(JOBS)
        at += up
        who = {**place(name), "slot": slot.slot, "runner": runner}
        found.append(RunnerStarted(at=at, **who, resource="c1", seconds=round(up, 2)))
        at += dice.random() * 2
        what = {**who, "job_id": "j", "job": job, "repository": "my-org/app", "workflow_run_id": 4711}
        found.append(JobStarted(at=at, **what, seconds_queued=round(up + 1, 2)))
        at += ran
        result = dice.choices(("succeeded", "failed", "canceled"), (12, 2, 1))[0]
        found.append(JobCompleted(at=at, **what, result=result, seconds_run=round(ran, 1)))
        at += 1
        found.append(RunnerRemoved(at=at, **who, reason="its job is over"))
        at += dice.random() * 3
    return found


def degraded() -> Watched:
    now = SystemClock().wall()
    linux = scale_set(
        state=SetState.DEGRADED,
        reason=REASONS[0],
        retry_at=now + 42,
        state_since=now - 61,
        waiting_since=now - 340,
        assigned_jobs=6,
        unmet=(UnmetDemand(Unmet.BACKEND_DOWN, 4, ""),),
        restarts=1,
        counters=Counters(jobs_started=40, jobs_completed=38, runners_failed=5),
    )
    linux = with_slots(
        linux, busy_slot(0, "linux-4f2a", now - 340), busy_slot(1, "linux-9c01", now - 75, "lint")
    )
    watched = Watched(having(linux, scale_set("gpu", max=2), scale_set("release", max=4)))
    who = {**place("linux"), "slot": 2, "runner": "linux-77aa"}
    watched.happen(
        RunnerFailed(
            at=now - 70, **who, reason="it ended with exit code 137 before it had a job", exit_code=137
        ),
        ScaleSetChanged(at=now - 61, **place("linux"), state="degraded", reason=REASONS[0]),
    )
    return _kept(watched)


def standby() -> Watched:
    now = SystemClock().wall()
    reason = "another listener holds the session (build-2, since 14:02); taking over when it ends"
    sets = [
        scale_set(name, state=SetState.STANDBY, reason=reason, state_since=now - 86_400)
        for name in ("linux", "gpu")
    ]
    return _kept(Watched(having(*sets)))


def draining() -> Watched:
    now = SystemClock().wall()
    made = []
    for name in ("linux", "gpu"):
        one = scale_set(
            name, state=SetState.DRAINING, reason="runner drain", state_since=now - 130, assigned_jobs=5
        )
        made.append(with_slots(one, *(busy_slot(n, f"{name}-{n}f3", now - 60 * n - 9) for n in range(3))))
    return _kept(Watched(having(*made)))


def _kept(watched: Watched) -> Watched:
    """With a quiet hour behind it."""
    now = watched.clock.wall()
    for step in range(360):
        limit = sum(one.max for one in watched.status.scale_sets)
        watched.live._history._rows.append((now - (360 - step) * 10, 0, 0, 0, limit, *[0] * 7))
    return watched


STATES: dict[str, Callable[[], Watched]] = {
    "empty": empty,
    "busy": busy,
    "degraded": degraded,
    "standby": standby,
    "draining": draining,
}

if __name__ == "__main__":
    import sys
    import threading

    sys.stdout.write(f"{STATES[sys.argv[1]]().url}\n")
    sys.stdout.flush()
    threading.Event().wait()
