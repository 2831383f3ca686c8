"""The facade with real actors on real threads; GitHub and the engine are in memory."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import pykka
import pytest
from support.world import scale_set

from runscaler import events
from runscaler.autoscaler import Autoscaler
from runscaler.backends.memory import MemoryBackend, MemoryEngine
from runscaler.clock import SystemClock
from runscaler.config.model import Config, HostSettings
from runscaler.config.secrets import Secret
from runscaler.errors import ConfigError, HostError, RunscalerError, Unreachable
from runscaler.status import SetState
from runscaler.testing.clock import FakeClock
from runscaler.testing.memory_github import MemoryGitHub
from runscaler.testing.simulator import SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runscaler.backends.base import Backend, BackendContext, Resource
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings

E = TypeVar("E", bound=events.Event)
TIMEOUT = 30.0


class Watch:
    """Collects events in the order of their arrival."""

    def __init__(self, autoscaler: Autoscaler) -> None:
        self._received: queue.Queue[events.Event] = queue.Queue()
        self._kept: list[events.Event] = []
        self.end = autoscaler.subscribe(self._received.put)

    def wait_for(self, kind: type[E]) -> E:
        """The first event of that type that was not returned yet."""
        for event in self._kept:
            if isinstance(event, kind):
                self._kept.remove(event)
                return event
        while not isinstance(event := self._received.get(timeout=TIMEOUT), kind):
            self._kept.append(event)
        return event

    def is_empty(self) -> bool:
        return self._received.empty()


class Site:
    """GitHub and an engine that outlive the autoscalers using them. Every runner connects and starts the job
    it gets."""

    def __init__(self, directory: Path) -> None:
        self.clock = SystemClock()
        self.github = MemoryGitHub(self.clock)
        self.engine = MemoryEngine()
        self.made: list[Autoscaler] = []
        self._directory = directory

    def config(self, *names: str, state_dir: str = "state", port: int = 0, **more: Any) -> Config:
        settings = {key: more.pop(key) for key in ("min_runners", "max_runners") if key in more}
        sets = tuple(scale_set(name, **settings) for name in names or ("linux",))
        return Config(scale_sets=sets, state_dir=self._directory / state_dir, health_port=port, **more)

    def autoscaler(
        self,
        *names: str,
        clock: Clock | None = None,
        open_backend: Callable[..., Backend] | None = None,
        **config: Any,
    ) -> Autoscaler:
        made = Autoscaler(
            self.config(*names, **config),
            clock=clock,
            connect=self.github.connect,
            open_backend=open_backend or self._open,
        )
        self.made.append(made)
        return made

    def _open(self, settings: ScaleSetSettings, context: BackendContext) -> MemoryBackend:
        return MemoryBackend(
            context.clock, owner=context.owner, engine=self.engine, on_start=self._agent_starts
        )

    def _agent_starts(self, resource: Resource) -> None:
        job = self.github.runner_online(resource.runner_id, on_job=lambda _: self._begin(resource))
        if job is not None:
            self._begin(resource)

    def _begin(self, resource: Resource) -> None:
        self.engine.jobs_running.add(resource.id)
        self.github.start_job(resource.runner_id)

    def finish(self, runner: str) -> None:
        """Finish the runner's job and end its process."""
        self.github.finish_job(self.github.runner_names[runner].id)
        found = self.engine.find(f"memory-{runner}")
        assert found is not None
        MemoryBackend(self.clock, engine=self.engine).end(found.id)

    def runners(self) -> list[str]:
        return sorted(one.runner for one in list(self.engine._resources.values()))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    for autoscaler in site.made:
        autoscaler.stop(hurry=True)


@pytest.fixture(autouse=True)
def no_thread_of_ours_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread._started.wait(TIMEOUT)  # type: ignore[attr-defined]  # one that is being started is listed
        thread.join(TIMEOUT)
        assert not thread.is_alive(), thread.name


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def our_threads() -> list[str]:
    names = ("root", "health", "host", "keeper", "scale-set", "listener", "runner ")
    return [one.name for one in threading.enumerate() if one.name.startswith(names)]


# -- start and stop ------------------------------------------------------------------------------------


def test_a_started_system_serves_its_scale_sets_and_a_stopped_one_leaves_nothing(site: Site) -> None:
    with site.autoscaler("linux", "windows", min_runners=1) as autoscaler:
        watch = Watch(autoscaler)
        assert autoscaler.wait_ready(TIMEOUT)
        assert autoscaler.alive()
        assert [one.name for one in autoscaler.status().scale_sets] == ["linux", "windows"]
        watch.wait_for(events.RunnerStarted)
        watch.wait_for(events.RunnerStarted)

    assert site.runners() == []
    assert site.github.scale_set("linux") is None
    assert not site.github.runners
    assert [one.state for one in autoscaler.status().scale_sets] == [SetState.STOPPED] * 2
    assert not autoscaler.alive()
    assert autoscaler.wait() == ""


def test_stopping_a_system_that_was_not_started_does_nothing(site: Site) -> None:
    autoscaler = site.autoscaler()

    autoscaler.stop()
    autoscaler.request_stop()

    assert autoscaler.wait(0) == ""
    assert not autoscaler.alive()
    assert not autoscaler.wait_ready(0)
    assert [one.state for one in autoscaler.status().scale_sets] == [SetState.STARTING]
    assert our_threads() == []


def test_starting_and_stopping_twice_is_harmless(site: Site) -> None:
    autoscaler = site.autoscaler()
    autoscaler.start()
    autoscaler.start()
    assert autoscaler.wait_ready(TIMEOUT)
    assert site.github.calls["open_session"] == 1

    autoscaler.stop()
    autoscaler.stop()

    assert autoscaler.wait(0) == ""


def test_a_stopped_system_can_be_started_again(site: Site) -> None:
    autoscaler = site.autoscaler()
    for _ in range(3):
        with autoscaler:
            assert autoscaler.wait_ready(TIMEOUT)
        assert autoscaler.status().scale_sets[0].state is SetState.STOPPED

    assert site.github.calls["open_session"] == 3


def test_it_may_be_stopped_from_many_threads_at_once(site: Site) -> None:
    autoscaler = site.autoscaler()
    autoscaler.start()
    assert autoscaler.wait_ready(TIMEOUT)

    with ThreadPoolExecutor(8) as pool:
        for stopped in [pool.submit(autoscaler.stop) for _ in range(8)]:
            stopped.result(TIMEOUT)

    assert site.github.scale_set("linux") is None


def test_it_may_be_stopped_right_after_its_start(site: Site) -> None:
    for _ in range(5):
        with site.autoscaler(min_runners=2):
            pass

    assert site.runners() == []
    assert not site.github.runners


# -- events and readiness ------------------------------------------------------------------------------


def test_a_job_causes_typed_events_from_its_runner_to_its_end(site: Site) -> None:
    with site.autoscaler() as autoscaler:
        watch = Watch(autoscaler)
        (job,) = site.github.queue("linux")

        up = watch.wait_for(events.RunnerStarted)
        begun = watch.wait_for(events.JobStarted)
        assert (up.scale_set, up.slot) == ("linux", 0)
        assert (begun.runner, begun.job_id, begun.job) == (up.runner, job.id, "build")

        site.finish(up.runner)
        done = watch.wait_for(events.JobCompleted)
        removed = watch.wait_for(events.RunnerRemoved)
        assert (done.runner, done.job_id, done.result) == (up.runner, job.id, "succeeded")
        assert removed.runner == up.runner


def test_a_subscriber_that_raises_does_not_affect_others(site: Site) -> None:
    def fail(_: events.Event) -> None:
        raise ValueError("the host program's bug")

    with site.autoscaler(min_runners=1) as autoscaler:
        autoscaler.subscribe(fail)
        watch = Watch(autoscaler)
        watch.wait_for(events.RunnerStarted)
        assert autoscaler.wait_ready(TIMEOUT)


def test_no_events_are_delivered_after_unsubscribing(site: Site) -> None:
    autoscaler = site.autoscaler(min_runners=1)
    gone, stays = Watch(autoscaler), Watch(autoscaler)
    gone.end()
    with autoscaler:
        stays.wait_for(events.RunnerStarted)

    assert gone.is_empty()


def test_a_subscriber_may_stop_the_system(site: Site) -> None:
    autoscaler = site.autoscaler(min_runners=1)
    stopped = threading.Event()

    def stop(event: events.Event) -> None:
        if isinstance(event, events.RunnerStarted):
            autoscaler.stop()
            stopped.set()

    autoscaler.subscribe(stop)
    autoscaler.start()

    assert stopped.wait(TIMEOUT)
    assert autoscaler.wait() == ""


def test_a_set_that_says_why_it_does_not_serve_counts_as_ready(site: Site) -> None:
    site.github.fail_next("group_id", Unreachable("no network"), times=100)
    with site.autoscaler() as autoscaler:
        assert autoscaler.wait_ready(TIMEOUT)

        (one,) = autoscaler.status().scale_sets
        assert one.state is SetState.DEGRADED
        assert "no network" in one.reason


def test_waiting_for_readiness_has_a_timeout(site: Site) -> None:
    held = threading.Event()

    class Slow(MemoryGitHub):
        def connect(self, *args: Any) -> Any:
            held.wait(TIMEOUT)
            return super().connect(*args)

    site.github = Slow(site.clock)
    autoscaler = site.autoscaler()
    autoscaler.start()
    try:
        assert not autoscaler.wait_ready(0.05)
    finally:
        held.set()
        autoscaler.stop()


# -- the reason for the end ----------------------------------------------------------------------------


def test_wait_returns_none_while_it_runs_and_an_empty_text_after_a_stop(site: Site) -> None:
    autoscaler = site.autoscaler()
    autoscaler.start()
    assert autoscaler.wait_ready(TIMEOUT)
    assert autoscaler.wait(0) is None

    autoscaler.request_stop()

    assert autoscaler.wait(TIMEOUT) == ""
    assert autoscaler.wait(0) == ""


def test_a_system_that_cannot_start_gives_the_reason_and_releases_its_lock(site: Site) -> None:
    def refuse(*_: object) -> Backend:
        raise RunscalerError("no such backend")

    autoscaler = site.autoscaler(open_backend=refuse)
    autoscaler.start()

    assert not autoscaler.wait_ready(TIMEOUT)
    assert not autoscaler.alive()
    assert autoscaler.wait(TIMEOUT)

    with site.autoscaler() as another:
        assert another.wait_ready(TIMEOUT), "the lock is free"


def test_a_shared_actor_that_keeps_crashing_is_the_reason_for_the_end(site: Site) -> None:
    class Broken(MemoryBackend):
        def watch(self, *_: object) -> Any:
            raise OSError("too many open files")

    clock = FakeClock()
    autoscaler = site.autoscaler(clock=clock, open_backend=lambda *_: Broken(clock))
    watch = Watch(autoscaler)
    autoscaler.start()
    for delay in (1, 2, 4, 8, 16):
        watch.wait_for(events.ActorRestarted)
        assert autoscaler.alive(), "it has handled the message during which it reported the crash"
        clock.advance(delay)
        autoscaler.alive()

    assert watch.wait_for(events.ActorRestarted).gave_up
    reason = autoscaler.wait(TIMEOUT)
    assert reason is not None
    assert "crashed again and again: OSError: too many open files" in reason
    assert autoscaler.wait() == reason


# -- ways to stop --------------------------------------------------------------------------------------


def test_a_busy_runner_is_waited_for(site: Site) -> None:
    autoscaler = site.autoscaler(drain_timeout=TIMEOUT)
    watch = Watch(autoscaler)
    autoscaler.start()
    site.github.queue("linux")
    busy = watch.wait_for(events.JobStarted)

    autoscaler.request_stop()
    assert autoscaler.wait(0) is None
    site.finish(busy.runner)

    assert autoscaler.wait(TIMEOUT) == ""
    watch.wait_for(events.JobCompleted)
    assert site.runners() == []


def test_a_busy_runner_is_removed_after_the_drain_timeout(site: Site) -> None:
    autoscaler = site.autoscaler(drain_timeout=0.0)
    watch = Watch(autoscaler)
    autoscaler.start()
    site.github.queue("linux")
    watch.wait_for(events.JobStarted)

    autoscaler.stop()

    assert site.runners() == []


@pytest.mark.parametrize("how", ["hurry", "keep"])
def test_kept_runners_are_adopted_by_the_next_start(site: Site, how: str) -> None:
    autoscaler = site.autoscaler(min_runners=1, **({"on_exit": "keep"} if how == "keep" else {}))
    watch = Watch(autoscaler)
    autoscaler.start()
    site.github.queue("linux")
    busy = watch.wait_for(events.JobStarted)
    watch.wait_for(events.RunnerStarted)
    assert autoscaler.wait_ready(TIMEOUT)
    before = site.runners()
    assert len(before) == 2

    autoscaler.stop(hurry=how == "hurry")
    assert site.runners() == before
    assert site.github.scale_set("linux") is not None

    watch = Watch(autoscaler)
    with autoscaler:
        adopted = {watch.wait_for(events.RunnerAdopted).runner for _ in before}
        assert sorted(adopted) == before
        site.finish(busy.runner)
        assert watch.wait_for(events.JobCompleted).runner == busy.runner
        assert watch.wait_for(events.RunnerRemoved).runner == busy.runner


def test_a_hurried_stop_does_not_wait_for_a_call_that_hangs(site: Site) -> None:
    backend = MemoryBackend(site.clock, engine=site.engine)
    gate = backend.block("start")
    autoscaler = site.autoscaler(min_runners=1, open_backend=lambda *_: backend)
    autoscaler.start()
    assert gate.entered.wait(TIMEOUT)

    autoscaler.stop(hurry=True)

    assert site.runners() == []


def test_a_stop_cuts_a_start_that_hangs(site: Site) -> None:
    backend = MemoryBackend(site.clock, engine=site.engine)
    gate = backend.block("start")
    autoscaler = site.autoscaler(min_runners=1, open_backend=lambda *_: backend)
    autoscaler.start()
    assert gate.entered.wait(TIMEOUT)

    autoscaler.stop()

    assert not gate._open
    assert not site.github.runners


# -- lock and port -------------------------------------------------------------------------------------


def test_a_second_system_on_one_state_directory_is_refused_and_the_first_continues(site: Site) -> None:
    first, second = site.autoscaler("linux"), site.autoscaler("windows")
    with first:
        assert first.wait_ready(TIMEOUT)
        calls, threads = site.github.calls["group_id"], sorted(our_threads())

        with pytest.raises(HostError, match="in use by pid"):
            second.start()

        assert site.github.calls["group_id"] == calls
        assert sorted(our_threads()) == threads
        assert second.wait(0) == ""
        assert first.alive()

    with second:
        assert second.wait_ready(TIMEOUT)


def test_a_taken_port_is_refused_and_the_lock_is_free_again(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = site.autoscaler(port=port)
        with pytest.raises(HostError, match=f"health port {port}"):
            refused.start()

    assert our_threads() == []
    assert refused.health_port is None
    with site.autoscaler() as free:
        assert free.wait_ready(TIMEOUT)


def test_health_is_served_from_start_to_stop(site: Site) -> None:
    port = free_port()
    with site.autoscaler(port=port) as autoscaler:
        assert autoscaler.wait_ready(TIMEOUT)
        assert autoscaler.health_port == port
        for page in ("livez", "healthz"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=TIMEOUT) as reply:
                assert reply.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=TIMEOUT) as reply:
            assert json.load(reply)["scale_sets"]

    assert autoscaler.health_port is None
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_backends_are_told_which_daemons_are_proved_to_be_dead(site: Site) -> None:
    given: list[BackendContext] = []

    def open_backend(settings: ScaleSetSettings, context: BackendContext) -> Backend:
        given.append(context)
        return site._open(settings, context)

    with site.autoscaler(open_backend=open_backend) as autoscaler:
        autoscaler.wait_ready(TIMEOUT)
        (context,) = given
        mark = context.owner, str(context.state_dir)
        assert not context.is_dead(*mark)
    assert context.is_dead(*mark)
    assert not context.is_dead(context.owner, "/nowhere")


def test_it_runs_without_a_state_directory(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file" / "state"))
    config = site.config().model_copy(update={"state_dir": None})
    with Autoscaler(config, connect=site.github.connect, open_backend=site._open) as autoscaler:
        assert autoscaler.wait_ready(TIMEOUT)


# -- embedded ------------------------------------------------------------------------------------------


def test_two_systems_run_beside_an_actor_of_the_host_program(site: Site) -> None:
    class ForeignActor(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message: object) -> object:
            return message

    foreign = ForeignActor.start()
    first = site.autoscaler("linux", state_dir="first", min_runners=1)
    second = site.autoscaler("windows", state_dir="second", min_runners=1)
    watch = Watch(second)
    with second:
        with first:
            assert first.wait_ready(TIMEOUT)
        assert second.alive()
        watch.wait_for(events.RunnerStarted)
        site.github.queue("windows")
        watch.wait_for(events.JobStarted)
        second.stop(hurry=True)

    assert foreign.ask("still there?", timeout=TIMEOUT) == "still there?"
    foreign.stop(timeout=TIMEOUT)


def test_signal_handlers_are_left_alone(site: Site) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(one) for one in numbers]
    with site.autoscaler() as autoscaler:
        assert autoscaler.wait_ready(TIMEOUT)
        assert [signal.getsignal(one) for one in numbers] == before


EMBEDDED = """
import logging, pathlib, sys
from loguru import logger
from runscaler import Autoscaler, Config
from runscaler.backends.memory import MemoryBackend
from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.testing.memory_github import MemoryGitHub

handlers, level = list(logging.root.handlers), logging.root.level
github = MemoryGitHub(SystemClock())
url, token = "https://github.com/my-org", Secret("ghp_s3" "cr3t")
settings = ScaleSetSettings(url=url, name="linux", token=token, min_runners=1)
config = Config(scale_sets=(settings,), state_dir=pathlib.Path(sys.argv[1]), health_port=0)
backend = MemoryBackend(SystemClock())
with Autoscaler(config, connect=github.connect, open_backend=lambda *_: backend) as autoscaler:
    assert autoscaler.wait_ready(30)
    github.queue("linux", 2)
assert (logging.root.handlers, logging.root.level) == (handlers, level)
"""


def test_an_embedded_system_prints_and_logs_nothing(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", EMBEDDED, str(tmp_path)], capture_output=True, text=True, timeout=60
    )

    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


# -- with nothing replaced -----------------------------------------------------------------------------


def test_github_and_backend_are_those_of_the_configuration(tmp_path: Path) -> None:
    with SimulatedGitHub(fast=True) as github:
        settings = scale_set("linux").model_copy(
            update={"url": github.config_url(), "backend": "memory", "token": Secret("ghp_s3cr3t")}
        )
        config = Config(scale_sets=(settings,), state_dir=tmp_path, health_port=0)
        with Autoscaler(config) as autoscaler:
            assert autoscaler.wait_ready(TIMEOUT)
            assert autoscaler.status().scale_sets[0].state is SetState.OK
            assert github.state().scale_set("linux") is not None
        assert not github.final_violations()


def test_a_reload_puts_another_configuration_in_force(site: Site) -> None:
    with site.autoscaler(max_runners=2) as autoscaler:
        assert autoscaler.wait_ready(TIMEOUT)
        lines = autoscaler.reload(site.config("linux", "other", max_runners=3))
        assert autoscaler.wait_ready(TIMEOUT)

        assert lines == ("scale set other: added, it starts now", "scale set linux: max-runners 2 → 3")
        assert autoscaler.reload(site.config("linux", "other", max_runners=3)) == ()
        assert autoscaler.drain("other") == ("other",)


def test_the_limits_of_the_host_on_the_dashboard_are_those_in_force(site: Site) -> None:
    port = free_port()

    def max_load() -> object:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/status", timeout=TIMEOUT) as reply:
            return json.load(reply)["host"]["limits"]["max_load"]

    with site.autoscaler(port=port, host=HostSettings(max_load=900)) as autoscaler:
        assert autoscaler.wait_ready(TIMEOUT)
        assert max_load() == 900.0
        autoscaler.reload(site.config(port=port, host=HostSettings(max_load=800)))
        assert max_load() == 800.0


def test_a_reload_with_certificates_that_cannot_be_read_changes_nothing(
    tmp_path: Path, log_lines: list[str]
) -> None:
    with SimulatedGitHub() as github:
        settings = scale_set("linux", max_runners=2).model_copy(update={"url": github.config_url()})
        config = Config(scale_sets=(settings,), state_dir=tmp_path / "state", health_port=0)
        with Autoscaler(config, open_backend=lambda _, context: MemoryBackend(context.clock)) as autoscaler:
            changed = settings.model_copy(update={"ca": str(tmp_path / "none.pem"), "max_runners": 3})
            with pytest.raises(HostError, match=r"none\.pem"):
                autoscaler.reload(config.model_copy(update={"scale_sets": (changed,)}))
            assert autoscaler.status().scale_sets[0].max == 2
    assert [line for line in log_lines if "stays as it was" in line]


def test_a_reload_without_a_file_or_a_daemon_is_refused(site: Site, log_lines: list[str]) -> None:
    autoscaler = site.autoscaler()
    with pytest.raises(HostError, match="comes from no file"):
        autoscaler.reload()
    with pytest.raises(HostError, match="does not answer"):
        autoscaler.reload(site.config())
    assert "the configuration stays as it was: the daemon is stopping" in log_lines[-1]


def test_a_reload_reads_the_file_that_the_configuration_came_from(
    site: Site, tmp_path: Path, log_lines: list[str]
) -> None:
    path = tmp_path / "config.toml"
    text = (
        'url = "https://github.com/my-org"\nname = "linux"\ntoken = "t"\nmax-runners = {}\nhealth-port = 0\n'
    )
    path.write_text(text.format(2))
    path.chmod(0o600)
    with site.autoscaler(path=path, max_runners=2) as autoscaler:
        path.write_text(text.format('"many"'))
        with pytest.raises(ConfigError, match="max-runners"):
            autoscaler.reload()
        assert f"[linux] {path}:4: max-runners" in log_lines[-1]
        path.write_text(text.format(3))
        assert "scale set linux: token changed, max-runners 2 → 3" in autoscaler.reload()
