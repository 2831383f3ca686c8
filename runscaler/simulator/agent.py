#!/usr/bin/env python3
"""A runner for the simulated GitHub: takes one job, runs its steps, reports, exits (docs/protocol.md § 9.5).

    ACTIONS_RUNNER_INPUT_JITCONFIG=… python3 agent.py        or the JIT configuration on standard input

It is stand-alone: one file for any python3 from 3.8 on that uses only the standard library and that no module
imports. Like the real runner it listens in one process and runs the job in a child process, whose command
line contains `Runner.Worker`, so that the process list shows whether a job is running.

Exit codes: 0 after a job, or when the registration is gone; 1 for a bad JIT configuration; 5 when the runner
has another session; 7 when its version is refused (with ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1,
else 1); 130 and 143 after SIGINT and SIGTERM.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import IO, Any
    from urllib.parse import SplitResult

    Json = dict[str, Any]  # what came over the wire, or goes over it

VERSION = "1.0.0"
WORKER = "Runner.Worker"
JIT_VARIABLE = "ACTIONS_RUNNER_INPUT_JITCONFIG"
INPUT_PREFIX = "ACTIONS_RUNNER_INPUT_"
DEPRECATED_VARIABLE = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE"
CONFLICT_SECONDS, CONFLICT_PAUSE = 240.0, 30.0
INTERRUPT_SECONDS, TERMINATE_SECONDS = 7.5, 2.5
STOP_SECONDS = 25.0
"""How long a job may take to end after a signal; with the final report that stays below 30 s."""
REPORT_SECONDS = 300.0
PIPE_SECONDS = 5.0
LOG_BYTES, LOG_LINES, LOG_SECONDS, LOG_KEPT = 48 * 1024, 500, 0.5, 10000
PYTHON = [sys.executable, "_python"] if getattr(sys, "frozen", False) else [sys.executable]
"""In the single-file executable of `runner` there is no other Python (`runscaler.cli.frozen`)."""
SHELLS = {
    "sh": "sh -e {0}",
    "bash": "bash --noprofile --norc -eo pipefail {0}",
    "python": f"{shlex.join(PYTHON)} {{0}}",
}


def say(text: str) -> None:
    print(text, flush=True)


def say_at(text: str) -> None:
    say(time.strftime("%Y-%m-%d %H:%M:%SZ: ", time.gmtime()) + text)


class BadConfig(Exception):
    """The JIT configuration cannot be read or is refused."""


class ApiError(Exception):
    """The server refused a call, with this status and error kind."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message or kind)
        self.status = status
        self.kind = kind


class Stopped(Exception):
    """The agent got a signal to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Api:
    """Calls to the server over one persistent connection; each thread needs its own."""

    def __init__(self, url: str, token: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadConfig("the server's URL is not usable")
        self._parts = parts
        self._token = token
        self._proxy = proxy_of(parts.scheme, parts.hostname)
        self._connection: http.client.HTTPConnection | None = None

    def call(
        self, method: str, path: str, body: Json | None = None, timeout: float = 30.0
    ) -> tuple[int, Json]:
        """Returns (status, value); raises ApiError for refusals, OSError or HTTPException for the network."""
        try:
            return self._send(method, path, body, timeout)
        except BaseException as error:
            if not isinstance(error, ApiError):
                self.close()
            raise

    def call_with_retries(self, method: str, path: str, body: Json, seconds: float = REPORT_SECONDS) -> None:
        """Repeat a call until the server answers; server errors are retried too."""
        deadline, pause = time.monotonic() + seconds, 0.2
        while True:
            try:
                self.call(method, path, body)
                return
            except ApiError as error:
                if error.status < 500 or time.monotonic() > deadline:
                    raise
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 10.0)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, path: str, body: Json | None, timeout: float) -> tuple[int, Json]:
        connection = self._connect(timeout)
        headers = {"User-Agent": "runscaler-demo-agent/" + VERSION}
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        target = self._parts.path.rstrip("/") + "/" + path
        if self._proxy is not None and self._parts.scheme == "http":
            headers.update(proxy_headers(self._proxy))
            target = f"http://{self._parts.netloc}{target}"
        connection.request(method, target, data, headers)
        reply = connection.getresponse()
        content = reply.read()
        if reply.status >= 300:
            raise refusal(reply.status, content)
        return reply.status, json.loads(content) if content else {}

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is None:
            https, proxy = self._parts.scheme == "https", self._proxy
            kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
            nearest = proxy or self._parts
            connection = self._connection = kind(str(nearest.hostname), nearest.port, timeout=timeout)
            if proxy is not None and https:
                connection.set_tunnel(str(self._parts.hostname), self._parts.port, proxy_headers(proxy))
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection


def proxy_of(scheme: str, host: str) -> SplitResult | None:
    """The proxy that http_proxy, https_proxy and no_proxy name for a host."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies_environment, proxy_bypass

    found = getproxies_environment()
    url = found.get(scheme) or found.get("all")
    return None if not url or proxy_bypass(host) else urlsplit(url)


def proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = unquote(proxy.username) + ":" + unquote(proxy.password or "")
    return {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def refusal(status: int, content: bytes) -> ApiError:
    try:
        body = json.loads(content)
        return ApiError(status, str(body.get("errorKind", "")), str(body.get("errorMessage", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", content[:200].decode("utf-8", "replace"))


class Config:
    """The content of the JIT configuration."""

    def __init__(self, encoded: str) -> None:
        try:
            files = json.loads(base64.b64decode(encoded.strip(), validate=True))
            runner, credentials = (unpack(files[name]) for name in (".runner", ".credentials"))
            self.agent_id = int(runner["AgentId"])
            self.name = str(runner["AgentName"])
            self.server = str(runner["ServerUrl"])
            self.work_folder = str(Path(runner.get("WorkFolder") or "_work").absolute())
            self.client_id = str(credentials["Data"]["clientId"])
            self.secret = str(credentials["Data"]["secret"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadConfig(f"the JIT configuration cannot be read ({type(error).__name__})") from None


def unpack(text: str) -> Json:
    content: Json = json.loads(base64.b64decode(text).decode("utf-8-sig"))
    return content


def read_config() -> Config:
    encoded = os.environ.get(JIT_VARIABLE) or ""
    for name in [name for name in os.environ if name.startswith(INPUT_PREFIX)]:
        del os.environ[name]
    if not encoded and not sys.stdin.isatty():
        encoded = sys.stdin.read()
    if not encoded.strip():
        raise BadConfig(f"no JIT configuration: neither {JIT_VARIABLE} nor standard input has one")
    return Config(encoded)


class Listener:
    """The agent's main process: registers, waits for a job and lets a worker process run it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._api = Api(config.server)
        self._session: Json = {}
        self._worker: subprocess.Popen[bytes] | None = None
        self._stop: int | None = None
        self._waiting = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            self._waiting = True
            self._register()
            job = self._wait_for_job()
            self._waiting = False
            code = self._run_job(job) if job is not None else 0
        except Stopped as stopped:
            self._waiting = False
            self._stop = stopped.number
            code = 0
        self._close_session()
        return 128 + self._stop if self._stop is not None else code

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop = number
        if self._waiting:
            self._waiting = False
            raise Stopped(number)
        if self._worker is not None and self._worker.poll() is None:
            self._worker.send_signal(signal.SIGTERM)

    def _register(self) -> None:
        body = {
            "agentId": self._config.agent_id,
            "clientId": self._config.client_id,
            "secret": self._config.secret,
            "version": VERSION,
            "os": sys.platform,
        }
        self._session = self._retry(lambda: self._api.call("POST", "register", body))[1]
        self._api.close()
        self._api = Api(self._config.server, self._session["token"])
        say(f"√ Connected to GitHub\n\nCurrent runner version: '{VERSION}'")

    def _retry(self, call: Callable[[], tuple[int, Json]]) -> tuple[int, Json]:
        """Retry network and server errors; also a session conflict, as the other session may end."""
        deadline, pause = time.monotonic() + CONFLICT_SECONDS, 0.2
        while True:
            try:
                return call()
            except ApiError as error:
                conflict = error.kind == "SessionConflict" and time.monotonic() < deadline
                if error.status < 500 and not conflict:
                    raise
                trouble, wait = str(error), CONFLICT_PAUSE if conflict else pause
            except (OSError, http.client.HTTPException) as error:
                trouble, wait = str(error), pause
            say_at(f"Runner connect error: {trouble}. Retrying until reconnected.")
            time.sleep(wait)
            pause = min(pause * 2, 10.0)

    def _wait_for_job(self) -> Json | None:
        say_at("Listening for Jobs")
        seconds = self._session["pollSeconds"]
        path = f"sessions/{self._session['sessionId']}/job?wait={max(1, int(seconds))}"
        while True:
            began = time.monotonic()
            try:
                status, job = self._retry(lambda: self._api.call("GET", path, None, seconds + 15))
            except ApiError as error:
                say_at(f"The runner registration was removed: {error}")
                return None
            if status == 200:
                return job
            time.sleep(max(0.0, 0.2 - (time.monotonic() - began)))

    def _run_job(self, job: Json) -> int:
        task = {
            "job": job,
            "server": self._config.server,
            "token": self._session["token"],
            "workFolder": self._config.work_folder,
            "runner": self._config.name,
            "secrets": [self._config.secret, self._session["token"]],
        }
        command = [*PYTHON, "-u", str(Path(__file__).absolute()), WORKER]
        worker = self._worker = subprocess.Popen(command, stdin=subprocess.PIPE)
        send_task(worker, task)
        if self._stop is not None:
            worker.send_signal(signal.SIGTERM)
        if worker.wait() != 0:
            self._report_crash(job)
        if job.get("lingers"):
            self._linger()
        return 0

    def _linger(self) -> None:
        """Wait for a signal, as an agent does that hangs after its job (fault F88)."""
        self._waiting = True
        while self._stop is None:
            signal.pause()

    def _report_crash(self, job: Json) -> None:
        say_at("The worker process ended unexpectedly")
        try:
            self._api.call_with_retries("POST", f"jobs/{job['jobId']}/complete", {"result": "failed"})
        except (ApiError, OSError, http.client.HTTPException) as error:
            say_at(f"The job could not be reported: {error}")

    def _close_session(self) -> None:
        if self._session:
            try:
                self._api.call("DELETE", "sessions/" + self._session["sessionId"], timeout=5.0)
            except (ApiError, OSError, http.client.HTTPException):
                say_at("The session could not be closed")


def send_task(worker: subprocess.Popen[bytes], task: Json) -> None:
    """Send the job to the worker. The pipe stays open: when it closes, the worker knows that its listener
    is gone."""
    assert worker.stdin is not None
    try:
        worker.stdin.write(json.dumps(task).encode() + b"\n")
        worker.stdin.flush()
    except OSError:
        say_at("The worker ended before it got its job")


class Worker:
    """The job's process: starts the job at the server, runs its steps and completes it."""

    def __init__(self, task: Json) -> None:
        self._job = task["job"]
        self._task = task
        self._path = "jobs/" + self._job["jobId"]
        self._temp = Path(task["workFolder"], "_temp")
        self._api = Api(task["server"], task["token"])
        self._masks = masks(self._job.get("secrets", []) + task["secrets"])
        self._over = threading.Event()
        self._cancel = threading.Event()
        self._lost = False
        self._step: subprocess.Popen[bytes] | None = None
        self._spawning = threading.Lock()
        """Held while a step starts, so that its process cannot be missed when the listener dies."""
        self._deadline = time.monotonic() + float(self._job.get("timeoutSeconds") or 21600)

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        threading.Thread(target=self._watch_listener, daemon=True).start()
        try:
            self._api.call_with_retries("POST", self._path + "/start", {})
        except ApiError as error:
            say_at(f"Job {self._name()} was not started: {error}")
            return 0
        threading.Thread(target=self._renew, daemon=True).start()
        say_at(f"Running job: {self._name()}")
        result = self._run_steps()
        self._over.set()
        return self._complete(result)

    def _name(self) -> str:
        return self._mask(str(self._job.get("displayName", "")))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._deadline = min(self._deadline, time.monotonic() + STOP_SECONDS)
        self._cancel.set()

    def _watch_listener(self) -> None:
        while os.read(0, 1):
            continue
        with self._spawning:
            if not self._over.is_set() and self._step is not None:
                kill_group(self._step, signal.SIGKILL)
            os._exit(1)

    def _renew(self) -> None:
        api = Api(self._task["server"], self._task["token"])
        while not self._over.wait(float(self._job.get("renewSeconds") or 60)):
            try:
                if api.call("POST", self._path + "/renew", {})[1].get("cancel"):
                    self._cancel.set()
            except ApiError as error:
                if error.status == 404:
                    self._lost = True
                    self._cancel.set()
                    return
            except (OSError, http.client.HTTPException) as error:
                say_at(f"The job's lease could not be renewed: {error}")

    def _run_steps(self) -> str:
        self._temp.mkdir(parents=True, exist_ok=True)
        failed = False
        for index, step in enumerate(self._job["steps"]):
            if self._lost:
                break
            if (failed or self._cancel.is_set()) and not step.get("always"):
                self._tell(index, {"state": "skipped"})
                continue
            state = self._run_step(index, step)
            failed = failed or (state == "failed" and not step.get("continueOnError"))
        if self._cancel.is_set():
            return "canceled"
        return "failed" if failed else "succeeded"

    def _run_step(self, index: int, step: Json) -> str:
        began = time.monotonic()
        self._tell(index, {"state": "started"})
        log = Log(self._api, f"{self._path}/steps/{index}/log", self._mask)
        code, cancelled = self._execute(index, step, log)
        state = "canceled" if cancelled else "succeeded" if code == 0 else "failed"
        self._tell(index, {"state": state, "exitCode": code, "seconds": round(time.monotonic() - began, 3)})
        return state

    def _execute(self, index: int, step: Json, log: Log) -> tuple[int, bool]:
        """Returns the exit code and whether the step was cancelled."""
        script = self._temp / f"step-{index}"
        script.write_text(step["run"] + "\n", encoding="utf-8")
        shell = str(step.get("shell") or "sh")
        words = shlex.split(SHELLS.get(shell, shell))
        command = [str(script) if word == "{0}" else word for word in words]
        try:
            with self._spawning:
                process = self._step = self._spawn(command)
        except OSError as error:
            log.add(f"{command[0]}: {error.strerror}")
            log.flush()
            return 127, False
        reader = threading.Thread(target=log.read, args=(process.stdout,), daemon=True)
        reader.start()
        cancelled = self._await(process, step, log)
        kill_group(process, signal.SIGKILL)
        log.finish(reader)
        return process.wait(), cancelled

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self._task["workFolder"],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _await(self, process: subprocess.Popen[bytes], step: Json, log: Log) -> bool:
        """Wait for the step; end it at its deadline or when the job is cancelled. True if cancelled."""
        deadline = time.monotonic() + float(step.get("timeoutSeconds") or 3600)
        always, was_cancelled = bool(step.get("always")), self._cancel.is_set()
        while process.poll() is None:
            if time.monotonic() > min(deadline, self._deadline):
                end_group(process)
                return self._cancel.is_set()
            if self._cancel.is_set() and not (always and was_cancelled):
                end_group(process)
                return True
            self._pause(process)
            log.flush_when_late()
        return self._cancel.is_set() and not was_cancelled and process.returncode != 0

    @staticmethod
    def _pause(process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            return

    def _environment(self) -> dict[str, str]:
        job, folder = self._job, self._task["workFolder"]
        return {
            **os.environ,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": str(job.get("repository", "")),
            "GITHUB_RUN_ID": str(job.get("runId", "")),
            "GITHUB_JOB": str(job.get("displayName", "")),
            "GITHUB_WORKSPACE": folder,
            "RUNNER_NAME": self._task["runner"],
            "RUNNER_WORKSPACE": folder,
            "RUNNER_TEMP": str(self._temp),
            "RUNNER_TRACKING_ID": "github_" + str(uuid.uuid4()),
            **{str(key): str(value) for key, value in job.get("env", {}).items()},
        }

    def _tell(self, index: int, body: Json) -> None:
        try:
            self._api.call_with_retries("POST", f"{self._path}/steps/{index}", body, seconds=10.0)
        except (ApiError, OSError, http.client.HTTPException) as error:
            say_at(f"Step {index} could not be reported: {error}")

    def _complete(self, result: str) -> int:
        if self._lost:
            say_at(f"Job {self._name()} no longer belongs to this runner")
            return 0
        try:
            self._api.call_with_retries("POST", self._path + "/complete", {"result": result})
        except (ApiError, OSError, http.client.HTTPException) as error:
            say_at(f"The job could not be reported: {error}")
        say_at(f"Job {self._name()} completed with result: {result.capitalize()}")
        return 0

    def _mask(self, text: str) -> str:
        for secret in self._masks:
            text = text.replace(secret, "***")
        return text


class Log:
    """A step's output: printed, and sent in parts. Lines beyond the limit are only printed."""

    def __init__(self, api: Api, path: str, mask: Callable[[str], str]) -> None:
        self._api = api
        self._path = path
        self._mask = mask
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._bytes = 0
        self._read = 0
        self._sent = 0
        self._since = time.monotonic()

    def read(self, stream: IO[bytes]) -> None:
        for line in iter(lambda: stream.readline(LOG_BYTES // 4), b""):
            self.add(line.decode("utf-8", "replace").rstrip("\r\n"))

    def finish(self, reader: threading.Thread) -> None:
        """Wait for output that is still in the pipe, but not for a process that has left the group and keeps
        the pipe open."""
        seen = -1
        while reader.is_alive() and seen != self._read:
            seen = self._read
            reader.join(PIPE_SECONDS)
        self.flush()

    def add(self, line: str) -> None:
        self._read += 1
        line = self._mask(line)
        say(line)
        with self._lock:
            if self._sent + len(self._lines) < LOG_KEPT:
                self._lines.append(line)
                self._bytes += 4 * len(line)
        if self._bytes > LOG_BYTES or len(self._lines) >= LOG_LINES:
            self.flush()
        self.flush_when_late()

    def flush_when_late(self) -> None:
        if time.monotonic() - self._since > LOG_SECONDS:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            lines, self._lines, self._bytes = self._lines, [], 0
            offset, self._sent = self._sent, self._sent + len(lines)
            self._since = time.monotonic()
            if not lines:
                return
            try:
                self._api.call_with_retries(
                    "POST", self._path, {"offset": offset, "lines": lines}, seconds=10.0
                )
            except (ApiError, OSError, http.client.HTTPException) as error:
                say_at(f"The log could not be sent: {error}")


def masks(secrets: list[str]) -> list[str]:
    """The texts to mask: each secret and each of its lines, the longest first."""
    lines = {line for secret in secrets for line in [secret, *str(secret).splitlines()] if line.strip()}
    return sorted(lines, key=len, reverse=True)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a step as the real runner does: SIGINT, SIGTERM, SIGKILL (docs/protocol.md § 8.3)."""
    for number, seconds in ((signal.SIGINT, INTERRUPT_SECONDS), (signal.SIGTERM, TERMINATE_SECONDS)):
        kill_group(process, number)
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue
    kill_group(process, signal.SIGKILL)
    process.wait()


def kill_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def listen() -> int:
    try:
        return Listener(read_config()).run()
    except BadConfig as error:
        say(f"An error occurred: {error}")
        return 1
    except ApiError as error:
        say_at(f"An error occurred: {error}")
        if error.kind == "RunnerVersionTooOld":
            return 7 if os.environ.get(DEPRECATED_VARIABLE) == "1" else 1
        return 5 if error.kind == "SessionConflict" else 1


def work() -> int:
    with open(0, "rb", buffering=0, closefd=False) as pipe:
        line = pipe.readline()
    try:
        task = json.loads(line)
    except ValueError:
        say("An error occurred: the worker got no job")
        return 1
    return Worker(task).run()


if __name__ == "__main__":
    sys.exit(work() if sys.argv[1:2] == [WORKER] else listen())
