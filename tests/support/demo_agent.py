"""The demo agent as a real process, and an agent whose every step the test decides."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests

from runscaler.testing.simulator import SimulatedGitHub

if TYPE_CHECKING:
    from pathlib import Path

JIT = "ACTIONS_RUNNER_INPUT_JITCONFIG"


@dataclass(frozen=True)
class AgentProcess:
    """The agent with its output in a file, so that it never waits for a reader."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns exit code and output."""
        return self.process.wait(60), self.output.read_text()


def start_agent(encoded: str, folder: Path, **environment: str) -> AgentProcess:
    """Start the agent with this JIT configuration in its environment and `folder` as its directory."""
    output = folder / "agent.log"
    with output.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(SimulatedGitHub.agent_path)],
            cwd=folder,
            env={**os.environ, JIT: encoded, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return AgentProcess(process, output)


def unpack(text: str) -> Any:
    return json.loads(base64.b64decode(text))


@dataclass
class HandMadeAgent:
    """Speaks the agent's half of the protocol, one call for each method."""

    encoded: str
    http: requests.Session = field(default_factory=requests.Session)
    session: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        files = unpack(self.encoded)
        self.runner = unpack(files[".runner"])
        self.credentials = unpack(files[".credentials"])["Data"]

    def call(self, method: str, path: str, body: object = None, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.session.get('token', '')}"}
        url = f"{self.runner['ServerUrl']}/{path}"
        return self.http.request(method, url, **{"headers": headers, "json": body, "timeout": 20, **more})

    def register(self, **changes: Any) -> requests.Response:
        body = {**self.credentials, "agentId": self.runner["AgentId"], "version": "1.0.0", "os": "linux"}
        made = self.call("POST", "register", {**body, **changes})
        if made.status_code == 200:
            self.session = made.json()
        return made

    def poll(self, wait: int = 5, **more: Any) -> requests.Response:
        return self.call("GET", f"sessions/{self.session['sessionId']}/job?wait={wait}", **more)

    def start(self, job: str) -> requests.Response:
        return self.call("POST", f"jobs/{job}/start", {})

    def complete(self, job: str, result: str = "succeeded") -> requests.Response:
        return self.call("POST", f"jobs/{job}/complete", {"result": result})

    def take_job(self) -> str:
        """Poll until a job is offered; returns its id."""
        while (offer := self.poll()).status_code == HTTPStatus.ACCEPTED:
            pass
        job: str = offer.json()["jobId"]
        return job

    def run_job(self, result: str = "succeeded") -> str:
        """Register, take the waiting job and complete it at once; returns its id."""
        self.register()
        job = self.take_job()
        self.start(job)
        self.complete(job, result)
        return job
