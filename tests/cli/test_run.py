from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from runscaler.cli.run import run_to_end, start_warnings
from runscaler.config.model import Config, DockerSettings, ScaleSetSettings
from runscaler.errors import HostError
from runscaler.findings import Finding, Level


class FakeSystem:
    """Ends when it is asked to, or by itself with `gives_up`."""

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
    heard: list[signal.Signals] = []
    system = FakeSystem(on_start=lambda: os.kill(os.getpid(), number))

    reason = run_to_end(system, heard.append)

    assert reason == ""
    assert heard == [number]
    assert system.stop_requests == 1


def test_what_all_share_having_given_up_is_the_reason():
    assert (
        run_to_end(FakeSystem(gives_up="the host actor gave up"), lambda _: None) == "the host actor gave up"
    )


def test_a_hangup_is_heard_and_stops_nothing():
    heard: list[signal.Signals] = []

    def both() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)

    system = FakeSystem(on_start=both)
    run_to_end(system, heard.append)

    assert heard[0] is signal.SIGHUP
    assert system.stop_requests == 1


def test_handlers_are_put_back_at_the_end():
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]

    run_to_end(FakeSystem(gives_up="x"), lambda _: None)

    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_handlers_are_put_back_when_the_start_fails():
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


def test_the_start_names_once_the_sets_whose_jobs_own_the_engine():
    lines = list(start_warnings(config(docker_set("a", True), docker_set("b", False), docker_set("c", True))))

    (line,) = lines
    assert "a, c" in line
    assert "dind" in line


def test_the_start_says_which_keys_have_no_effect():
    pruning = DockerSettings(dind=False, prune_on_exit=False)
    settings = ScaleSetSettings(url="https://github.com/o", name="a", docker=pruning)

    (line,) = start_warnings(config(settings))

    assert line == "[a] [docker] prune-on-exit has no effect in this version"


def test_the_start_repeats_what_the_configuration_got_away_with():
    old = Finding(Level.WARNING, "labels is one text", ("write a list",), "a")

    assert list(start_warnings(config(docker_set("a", False), warnings=(old,)))) == [
        "[a] labels is one text (write a list)"
    ]


def test_a_signal_is_heard_though_the_waiting_main_thread_is_not_woken_by_it():
    """As when it comes in the moment before the wait: the system tells another thread of it."""
    heard: list[signal.Signals] = []

    class Signalled(FakeSystem):
        def wait(self, timeout: float | None = None) -> str | None:
            main = threading.main_thread().ident
            while sys._current_frames()[main].f_code.co_name not in ("get", "run_to_end"):
                pass
            threading.Event().wait(0.1)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            return super().wait(timeout)

    run_to_end(Signalled(), heard.append)

    assert heard == [signal.SIGTERM]


NEVER_ENDS = """
import threading
from runscaler.cli.run import run_to_end

class System:
    def start(self): print("started", flush=True)
    def request_stop(self): print("stopping", flush=True)
    def wait(self, timeout=None): threading.Event().wait()

run_to_end(System(), lambda heard: None)
"""


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_leaves_at_once_whatever_still_runs(second, code):
    with subprocess.Popen([sys.executable, "-c", NEVER_ENDS], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout.readline() == "started\n"
        daemon.send_signal(signal.SIGTERM)
        assert daemon.stdout.readline() == "stopping\n"

        daemon.send_signal(second)

        assert daemon.wait(30) == code
