"""`run` as a real process, with the simulator and the process backend."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from support.planted import TOKEN
from support.releases import ReleaseServer
from support.terminal import OnTerminal

from runscaler.ops.demo import free_port
from runscaler.simulator.options import Options
from runscaler.simulator.records import JobSpec
from runscaler.simulator.server import SimulatorServer
from runscaler.simulator.timers import FAST

RUNNER = (sys.executable, "-m", "runscaler")
TIMEOUT = 30


@pytest.fixture
def github():
    server = SimulatorServer(Options(timers=FAST))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def config(tmp_path, github):
    """`config(port)` writes a configuration file; another `name` means another state directory."""

    def write(port: int, name: str = "a") -> str:
        path = tmp_path / f"{name}.toml"
        path.write_text(
            f'url = "{github.url}/my-org"\nname = "linux"\ntoken = "{TOKEN}"\nbackend = "process"\n'
            f'health-port = {port}\nstate-dir = "{tmp_path / name}"\n'
        )
        path.chmod(0o600)
        return str(path)

    return write


@pytest.fixture
def daemon(github):
    """`daemon("--config", path)` starts `run` and waits until it has a session at GitHub.

    `before` are words before the command: what runs it.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, before: tuple[str, ...] = (), **options: bool) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([*before, *RUNNER, "run", *words], **pipes, **options)
        started.append(process)
        assert github.lock.watch(lambda: _sessions(github) == 1, TIMEOUT)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        process.communicate()


def _sessions(github: SimulatorServer) -> int:
    return sum(session.live for session in github.machine.store.sessions.values())


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_is_a_success_and_leaves_nothing(github, config, daemon, number):
    process = daemon("--config", config(free_port()))

    process.send_signal(number)
    code, out, err = ended(process)

    assert (code, err) == (0, "")
    assert "runner stopped" in out
    with github.lock as machine:
        assert machine.final_violations() == ()
        assert not any(one.live for one in machine.store.scale_sets.values())


def test_the_first_line_of_the_log_names_the_file_in_use(config, daemon):
    path = config(free_port())
    process = daemon("--config", path)

    assert f"starts: linux (process); configuration {path}; dashboard on" in process.stdout.readline()


def test_status_shows_the_daemon_of_the_configuration(config, daemon):
    path = config(free_port())
    daemon("--config", path)

    shown = subprocess.run(
        [*RUNNER, "status", "--config", path], capture_output=True, text=True, timeout=TIMEOUT, check=True
    )

    lines = shown.stdout.splitlines()
    assert lines[0].startswith("runner ")
    assert "linux" in lines[2]


def test_a_newer_release_is_said_while_everything_goes_on(config, daemon, monkeypatch):
    with ReleaseServer() as releases:
        releases.publish("99.0.0")
        monkeypatch.setenv("RUNNER_RELEASES", releases.address)
        process = daemon("--config", config(free_port()))
        releases.wire.wait_for("GET", "/api/v3/")

        line = next(line for line in process.stdout if "99.0.0" in line)

        assert "WARN" in line
        assert "is newer than this" in line


def test_without_update_check_nobody_is_asked(config, daemon, monkeypatch):
    with ReleaseServer() as releases:
        monkeypatch.setenv("RUNNER_RELEASES", releases.address)
        path = config(free_port())
        text = Path(path).read_text()
        Path(path).write_text(f"update-check = false\n{text}")

        process = daemon("--config", path)
        process.send_signal(signal.SIGTERM)

        assert ended(process)[0] == 0
        assert releases.wire.seen == []


def test_the_health_port_answers_while_it_runs(config, daemon):
    port = free_port()
    daemon("--config", config(port))

    with urlopen(f"http://127.0.0.1:{port}/livez", timeout=TIMEOUT) as reply:
        assert json.load(reply) == {"status": "ok"}


def test_a_second_daemon_on_the_same_state_dir_names_the_first_and_starts_nothing(config, daemon):
    path = config(free_port())
    first = daemon("--config", path)

    again = subprocess.run(
        [*RUNNER, "run", "--config", path], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )

    assert again.returncode == 1
    assert f"pid {first.pid}" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_taken_port_is_reported_with_the_process_that_uses_it(config, daemon):
    port = free_port()
    first = daemon("--config", config(port))

    again = subprocess.run(
        [*RUNNER, "run", "--config", config(port, "b")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert again.returncode == 1
    assert again.stderr.startswith(f"error: health port {port} on 127.0.0.1 is in use by ")
    assert f"(pid {first.pid})" in again.stderr


def test_a_json_log_at_debug_contains_no_token(config, daemon):
    process = daemon("--config", config(free_port()), "--log-format", "json", "--log-level", "debug")

    process.send_signal(signal.SIGTERM)
    _, out, err = ended(process)

    lines = [json.loads(line) for line in out.splitlines()]
    assert {"time", "level", "msg"} <= set(lines[0])
    assert TOKEN not in out + err


def test_a_dry_run_beside_a_live_daemon_takes_neither_lock_nor_port(config, daemon):
    path = config(free_port())
    daemon("--config", path)

    dry = subprocess.run(
        [*RUNNER, "run", "--dry-run", "--config", path],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (dry.returncode, dry.stderr) == (0, "")
    assert "✗" not in dry.stdout


def test_timeout_s_two_signals_are_one_and_stop_it_gracefully(github, config, daemon):
    """`timeout` signals the process and then its whole group."""
    process = daemon("--config", config(free_port()), before=("timeout", "1000"))

    process.terminate()
    code, out, err = ended(process)

    assert (code, err) == (0, "")
    assert "runner stopped" in out
    assert out.count("SIGTERM") == 1
    with github.lock as machine:
        assert not any(one.live for one in machine.store.scale_sets.values())


def test_a_daemon_whose_terminal_closes_stops_gracefully(github, config):
    with OnTerminal(*RUNNER, "run", "--config", config(free_port())) as daemon:
        daemon.wait_for("dashboard on")
        assert github.lock.watch(lambda: _sessions(github) == 1, TIMEOUT)
        daemon.close()
        code = daemon.ended()

    assert code == 0
    with github.lock as machine:
        assert machine.final_violations() == ()
        assert not any(one.live for one in machine.store.scale_sets.values())


def test_the_log_says_that_the_terminal_is_gone(github, config, tmp_path):
    words = f"exec {shlex.join([*RUNNER, 'run', '--config', config(free_port())])} > {tmp_path}/log"
    with OnTerminal("sh", "-c", words) as daemon:
        assert github.lock.watch(lambda: _sessions(github) == 1, TIMEOUT)
        daemon.close()
        code = daemon.ended()

    log = (tmp_path / "log").read_text()
    assert code == 0
    assert "SIGHUP: the terminal is gone; stopping; busy runners have 30s to finish" in log
    assert "runner stopped" in log


def test_without_a_terminal_a_hangup_is_a_reload(config, daemon):
    process = daemon("--config", config(free_port()), start_new_session=True)

    process.send_signal(signal.SIGHUP)
    process.terminate()
    code, out, err = ended(process)

    words = ("SIGHUP:", "reloaded:", "SIGTERM:")
    reload, told, stop = (line for line in out.splitlines() if any(word in line for word in words))
    assert (code, err) == (0, "")
    assert "SIGHUP: reading the configuration again" in reload
    assert "reloaded: nothing in the configuration has changed" in told
    assert "SIGTERM: stopping" in stop


def test_a_reload_without_its_file_changes_nothing_though_flags_would_do(github, config, daemon):
    path, words = config(free_port()), ("--url", f"{github.url}/my-org", "--name", "linux")
    process = daemon("--config", path, *words, start_new_session=True)

    Path(path).unlink()
    process.send_signal(signal.SIGHUP)
    process.terminate()
    code, out, err = ended(process)

    assert (code, err) == (0, "")
    assert "the configuration stays as it was" in out
    assert f"{path}: there is no such file" in out


def test_a_log_on_a_terminal_that_is_gone_disturbs_nothing(github, config):
    """A shell that disowned it sends no signal."""
    with OnTerminal("nohup", *RUNNER, "run", "--config", config(free_port())) as daemon:
        assert github.lock.watch(lambda: _sessions(github) == 1, TIMEOUT)
        daemon.close()
        with github.lock as machine:
            machine.jobs.queue(JobSpec(scope="my-org", labels=("linux",)))
        served = github.lock.watch(lambda: _is_done(github), TIMEOUT)
        daemon.process.terminate()
        code = daemon.ended()

    assert served
    assert code == 0


def _is_done(github: SimulatorServer) -> bool:
    return all(job.result == "succeeded" for job in github.machine.store.jobs.values())
