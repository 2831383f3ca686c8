"""The parts of the day: what happens, and until when each is watched."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.ops.demo import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos_plan.private_engine import PrivateEngine

RUNNER = (sys.executable, "-m", "runscaler")
TOKEN = "ghp_" + "0123456789abcdef" * 2
PATIENCE = 60.0
GLANCE = 0.1
CONFIG = """\
url = "{url}/my-org"
name = "linux"
token = "env:RUNNER_TOKEN"
max-runners = 3
min-runners = 1
runner-image = "{image}"
health-port = {port}
state-dir = "{folder}/state"
log-format = "{form}"

[docker]
host = "{engine}"
network = "host"
dind = false
pull = "never"
"""


class Day:
    """A context: simulator and daemon, ended at its end. `parts` are to be called in their order."""

    def __init__(self, folder: str, engine: PrivateEngine, form: str) -> None:
        self._folder, self._engine, self._form = Path(folder), engine, form
        self._clock, self._port = SystemClock(), free_port()
        self._log = self._folder / "log"
        self._log.touch()
        self._read = 0
        self.status = ""
        """What `runner status` showed while GitHub was away."""
        self._daemon: subprocess.Popen[bytes] | None = None
        self.parts: tuple[Callable[[], None], ...] = (
            self.steady,
            self.busy,
            self.github_away,
            self.engine_away,
            self.stop,
            self.wrong_token,
        )

    def __enter__(self) -> Self:
        words = ["simulate", "--port", "0", "--fast", "--token", TOKEN]
        self._github = subprocess.Popen([*RUNNER, *words], stdout=subprocess.PIPE, text=True)
        assert self._github.stdout is not None
        config, control = (self._github.stdout.readline() for _ in range(2))
        self._control_token = control.split()[-1].rstrip(")")
        self._url = config.split()[-1].removesuffix("/my-org")
        env = {**os.environ, "DOCKER_HOST": self._engine.url}
        made = subprocess.run(
            [*RUNNER, "demo", "--only-image"], env=env, capture_output=True, text=True, check=True
        )
        (self._folder / "config.toml").write_text(
            CONFIG.format(
                url=self._url,
                image=made.stdout.split()[-1],
                port=self._port,
                folder=self._folder,
                form=self._form,
                engine=self._engine.url,
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._daemon, self._github):
            if process is not None:
                process.terminate()
                process.wait()

    # -- the parts --------------------------------------------------------------------------------

    def steady(self) -> None:
        """Steady: a start, and one job."""
        self._start(TOKEN)
        self._wait(lambda: self._health()["idle"] == 1, "an idle runner")
        self._serve(["echo hello", "sleep 2"])

    def busy(self) -> None:
        """Busy: more jobs than runners, one that fails, one whose runner is killed."""
        self._queue("lint", ["sleep 1"])
        self._queue("unit tests", ["sleep 1", "exit 1"])
        self._queue("integration tests", ["sleep 600"])
        self._queue("package", ["sleep 1"])
        self._queue("publish", ["sleep 1"])
        runner = self._wait(lambda: self._runner_of("integration tests"), "the runner of a job")
        self._docker("kill", f"--signal=KILL {self._container(runner)}")
        self._settle()

    def github_away(self) -> None:
        """GitHub away: half a minute of 5xx, with a job running and a job queued."""
        self._queue("deploy", ["sleep 8"])
        self._wait(lambda: self._health()["busy"] == 1, "a running job")
        number = self._control("POST", "faults", {"fault": "F13", "count": None})["id"]
        self._wait(lambda: self._health()["state"] == "degraded", "degraded")
        self._queue("docs", ["echo hello"])
        self._pause(20)
        self.status = self._status()
        self._control("DELETE", f"faults/{number}")
        self._settle()

    def engine_away(self) -> None:
        """Engine away: the engine is ended, and started again after 20 s; a job is queued meanwhile."""
        self._engine.end(by_force=False)
        self._wait(lambda: self._health()["state"] == "degraded", "degraded")
        self._queue("nightly", ["echo hello"])
        self._pause(20)
        self._engine.start()
        self._settle()

    def stop(self) -> None:
        """Stop: SIGTERM, with a job that may finish."""
        self._queue("last", ["sleep 3"])
        self._wait(lambda: self._health()["busy"] == 1, "a running job")
        self._stop()

    def wrong_token(self) -> None:
        """Wrong token: the same daemon is started with a token that GitHub refuses."""
        self._start("ghp_" + "f" * 32)
        self._wait(lambda: self._health()["state"] == "degraded", "degraded")
        self._pause(5)
        self._stop()

    # -- the daemon -------------------------------------------------------------------------------

    def new_lines(self) -> str:
        """What the daemon has logged since the last call, with the usual addresses and paths."""
        text = self._log.read_text()[self._read :]
        self._read += len(text)
        return self._with_usual_names(text)

    def _status(self) -> str:
        words = [*RUNNER, "status", "--health-port", str(self._port)]
        return self._with_usual_names(
            subprocess.run(words, capture_output=True, text=True, check=True).stdout
        )

    def _with_usual_names(self, text: str) -> str:
        shown = {
            self._url: "https://github.com",
            self._url.removeprefix("http://"): "api.github.com",
            f":{self._port}/": ":8080/",
            f"{self._folder}/state": "/var/lib/runscaler",
            str(self._engine.folder): "/var/run",
        }
        for actual, instead in shown.items():
            text = text.replace(actual, instead)
        return re.sub(r"request [0-9A-F]{8}:[0-9A-F]{4}", "request 0B5C:1D2E", text)

    def _start(self, token: str) -> None:
        with self._log.open("ab") as log:
            self._daemon = subprocess.Popen(
                [*RUNNER, "run", "--config", str(self._folder / "config.toml")],
                stdout=log,
                stderr=log,
                env={**os.environ, "RUNNER_TOKEN": token},
                start_new_session=True,
            )

    def _stop(self) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(PATIENCE)
        self._daemon = None

    def _health(self) -> dict[str, Any]:
        try:
            reply = requests.get(f"http://127.0.0.1:{self._port}/healthz", timeout=10)
        except requests.ConnectionError:
            return {"state": "not started", "idle": 0, "busy": 0}
        found: dict[str, Any] = reply.json()["scale_sets"][0]
        return found

    # -- GitHub and the engine --------------------------------------------------------------------

    def _control(self, method: str, path: str, body: object = None) -> Any:
        headers = {"X-Sim-Control": self._control_token}
        url = f"{self._url}/_sim/control/v1/{path}"
        reply = requests.request(method, url, json=body, headers=headers, timeout=10)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def _queue(self, name: str, steps: list[str]) -> str:
        order = {"scaleSet": "linux", "displayName": name, "repository": "my-org/app", "steps": steps}
        (number,) = self._control("POST", "jobs", order)
        return str(number)

    def _runner_of(self, job: str) -> str:
        """The runner that runs a job, as the daemon knows; empty if none does."""
        slots = self._health().get("slots", ())
        return next((str(slot["runner"]) for slot in slots if slot["job"] == job), "")

    def _serve(self, steps: list[str]) -> None:
        self._queue("build", steps)
        self._settle()

    def _settle(self) -> None:
        """Wait until all jobs have ended, and for the replacement of their runners."""
        self._wait(
            lambda: all(each["state"] == "completed" for each in self._control("GET", "state")["jobs"]),
            "the end of all jobs",
        )
        self._wait(lambda: (self._health()["idle"], self._health()["busy"]) == (1, 0), "an idle runner")

    def _container(self, runner: str) -> str:
        return self._docker("ps", f"--quiet --filter label=io.runscaler.runner={runner}")

    def _docker(self, command: str, words: str) -> str:
        done = subprocess.run(
            ["docker", "--host", self._engine.url, command, *words.split()],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def _pause(self, seconds: float) -> None:
        self._clock.pause(seconds, Interrupt())

    def _wait(self, holds: Callable[[], Any], what: str) -> Any:
        deadline = self._clock.monotonic() + PATIENCE
        while not (found := holds()):
            if self._clock.monotonic() > deadline:
                raise SystemExit(f"not within {PATIENCE:g} s: {what}\n{self.new_lines()}")
            self._pause(GLANCE)
        return found
