from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from runscaler.cli.run import run_to_end, start_warnings
from runscaler.cli.signals import STOP_SIGNALS, all_stop_signals, signal_handler
from runscaler.config.model import Config, DockerSettings, ScaleSetSettings
from runscaler.errors import HostError
from runscaler.findings import Finding, Level


class FakeSystem:
    """Ends when stopped, or by itself if `gives_up` is a reason."""

    def __init__(self, gives_up: str = "", on_start=lambda: None) -> None:
        self.started = self.stop_requests = 0
        self._on_start = on_start
        self._reason = gives_up
        self._ended = threading.Event()
        if gives_up:
            self._ended.set()

    def start(self) -> None:
        self.started += 1
        self._on_start()

    def request_stop(self) -> None:
        self.stop_requests += 1
        self._ended.set()

    def wait(self, timeout: float | None = None) -> str | None:
        assert self._ended.wait(20)
        return self._reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_begins_the_graceful_stop(number):
    received: list[signal.Signals] = []
    system = FakeSystem(on_start=lambda: os.kill(os.getpid(), number))

    reason = run_to_end(system, received.append)

    assert reason == ""
    assert received == [number]
    assert system.stop_requests == 1


def test_the_reason_for_giving_up_is_returned():
    assert (
        run_to_end(FakeSystem(gives_up="the host actor gave up"), lambda _: None) == "the host actor gave up"
    )


def test_a_hangup_is_reported_and_stops_nothing():
    received: list[signal.Signals] = []

    def both() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)

    system = FakeSystem(on_start=both)
    run_to_end(system, received.append)

    assert received[0] is signal.SIGHUP
    assert system.stop_requests == 1


def test_signal_handlers_are_restored_at_the_end():
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]

    run_to_end(FakeSystem(gives_up="x"), lambda _: None)

    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_signal_handlers_are_restored_if_the_start_fails():
    before = signal.getsignal(signal.SIGTERM)

    def locked() -> None:
        raise HostError("locked by pid 7")

    with pytest.raises(HostError):
        run_to_end(FakeSystem(on_start=locked), lambda _: None)

    assert signal.getsignal(signal.SIGTERM) == before


def config(*sets: ScaleSetSettings, warnings: tuple[Finding, ...] = ()) -> Config:
    return Config(scale_sets=sets, warnings=warnings)


def docker_set(name: str, dind: bool) -> ScaleSetSettings:
    return ScaleSetSettings(url="https://github.com/o", name=name, docker=DockerSettings(dind=dind))


def test_one_warning_at_the_start_names_the_sets_whose_jobs_have_the_engine():
    lines = list(start_warnings(config(docker_set("a", True), docker_set("b", False), docker_set("c", True))))

    (line,) = lines
    assert "a, c" in line
    assert "dind" in line


@pytest.mark.parametrize(
    ("backend", "is_launch_daemon"), [("tart", True), ("tart", False), ("process", True)]
)
def test_a_daemon_of_root_under_launchd_is_told_what_tart_needs(backend, is_launch_daemon):
    settings = ScaleSetSettings(url="https://github.com/o", name="mac", backend=backend, runner_image="image")

    lines = list(start_warnings(config(settings), is_launch_daemon=is_launch_daemon))

    assert bool(lines) == (backend == "tart" and is_launch_daemon)
    assert all("VMs of mac need the unlocked keychain" in line and "runner migrate" in line for line in lines)


def test_warnings_of_the_configuration_are_repeated_at_the_start():
    old = Finding(Level.WARNING, "labels is one text", ("write a list",), "a")

    assert list(start_warnings(config(docker_set("a", False), warnings=(old,)))) == [
        "[a] labels is one text (write a list)"
    ]


def test_a_signal_that_arrives_on_another_thread_wakes_the_main_thread():
    """The first signal shows that the main thread waits for signals; then it waits for the second one."""
    received: list[signal.Signals] = []
    first_received = threading.Event()

    def on_signal(number: signal.Signals) -> None:
        received.append(number)
        first_received.set()

    class Signalled(FakeSystem):
        def wait(self, timeout: float | None = None) -> str | None:
            signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
            assert first_received.wait(20)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            return super().wait(timeout)

    run_to_end(Signalled(), on_signal)

    assert received == [signal.SIGHUP, signal.SIGTERM]


def test_a_hangup_stops_a_daemon_that_was_started_on_a_terminal():
    received: list[signal.Signals] = []
    system = FakeSystem(on_start=lambda: os.kill(os.getpid(), signal.SIGHUP))

    reason = run_to_end(system, received.append, stops=(*STOP_SIGNALS, signal.SIGHUP))

    assert (reason, received, system.stop_requests) == ("", [signal.SIGHUP], 1)


def test_a_hangup_that_nohup_made_it_ignore_stays_ignored():
    with signal_handler(signal.SIG_IGN, signal.SIGHUP):
        stops = all_stop_signals()
        run_to_end(FakeSystem(gives_up="x", on_start=lambda: os.kill(os.getpid(), signal.SIGHUP)), print)

    assert stops == STOP_SIGNALS


DAEMON = """
import sys
from runscaler.cli.run import run_to_end
from runscaler.cli.signals import STOP_SIGNALS
from runscaler.testing.clock import FakeClock
import signal

class System:
    def start(self): print("started", flush=True)
    def request_stop(self): print("stopping", flush=True)
    def wait(self, timeout=None):
        for line in sys.stdin:
            clock.advance(float(line))
            print("later", flush=True)

clock = FakeClock()
run_to_end(System(), lambda received: None, stops=(*STOP_SIGNALS, signal.SIGHUP), clock=clock)
"""


@pytest.fixture
def stopping():
    """A daemon that stops after its first signal; a number on its standard input lets seconds pass."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", DAEMON], **pipes) as daemon:
        assert daemon.stdout.readline() == "started\n"
        daemon.send_signal(signal.SIGTERM)
        assert daemon.stdout.readline() == "stopping\n"
        yield daemon
        daemon.kill()


def later(daemon: subprocess.Popen[str], seconds: float) -> None:
    daemon.stdin.write(f"{seconds}\n")
    daemon.stdin.flush()
    assert daemon.stdout.readline() == "later\n"


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_exits_at_once(stopping, second, code):
    later(stopping, 0.5)

    stopping.send_signal(second)

    assert stopping.wait(30) == code


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_within_half_a_second_of_the_first_counts_as_the_same(stopping, again):
    later(stopping, 0.49)

    stopping.send_signal(again)
    rest, _ = stopping.communicate(timeout=30)

    assert (stopping.returncode, rest) == (0, "")


def test_a_hangup_is_never_a_second_signal(stopping):
    later(stopping, 5)

    stopping.send_signal(signal.SIGHUP)
    rest, _ = stopping.communicate(timeout=30)

    assert (stopping.returncode, rest) == (0, "")
