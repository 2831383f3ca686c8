"""A small client of GitHub's scale set API that uses plain requests, for tests of the simulator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from runscaler.testing.simulator import SimulatedGitHub

USER_AGENT = {"User-Agent": '{"system":"test"}'}
VERSION = {"api-version": "6.0-preview"}
SETS = "_apis/runtime/runnerscalesets"
AGENTS = "_apis/distributedtask/pools/0/agents"
NEW = {
    "name": "my-runners",
    "runnerGroupId": 1,
    "labels": [{"name": "my-runners", "type": "System"}],
    "RunnerSetting": {"disableUpdate": True},
}


@dataclass
class ScaleSetClient:
    """The client of one scale set; most methods return the raw response."""

    github: SimulatedGitHub
    scope: str = "my-org"
    http: requests.Session = field(default_factory=requests.Session)
    service: str = ""
    admin: str = ""
    scale_set: int = 0
    session: dict[str, Any] = field(default_factory=dict)
    cursor: int = 0

    def log_in(self, pat: str = "pat") -> None:
        token = self.registration_token(pat).json()["token"]
        body = self.register(token).json()
        self.service, self.admin = body["url"], body["token"]

    def registration_token(self, pat: str = "pat", **more: Any) -> requests.Response:
        kind = "repos" if "/" in self.scope else "orgs"
        url = f"{self.github.url}/api/v3/{kind}/{self.scope}/actions/runners/registration-token"
        headers = {**USER_AGENT, "Authorization": f"Bearer {pat}"}
        return self.http.post(url, **{"headers": headers, "timeout": 20, **more})

    def register(self, token: str, **body: Any) -> requests.Response:
        headers = {**USER_AGENT, "Authorization": f"RemoteAuth {token}"}
        sent = {"url": self.github.config_url(self.scope), "runner_event": "register", **body}
        url = f"{self.github.url}/api/v3/actions/runner-registration"
        return self.http.post(url, headers=headers, json=sent, timeout=20)

    def call(self, method: str, path: str, body: object = None, **more: Any) -> requests.Response:
        headers = {**USER_AGENT, "Authorization": f"Bearer {self.admin}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        sent = {"headers": headers, "params": VERSION, "data": data, "timeout": 20, **more}
        return self.http.request(method, self.service + path, **sent)

    def create(self, **changes: Any) -> requests.Response:
        made = self.call("POST", SETS, {**NEW, **changes})
        if made.status_code == 200:
            self.scale_set = made.json()["id"]
        return made

    def on_set(self, method: str, path: str = "", body: object = None, **more: Any) -> requests.Response:
        return self.call(method, f"{SETS}/{self.scale_set}{path}", body, **more)

    def open_session(self, owner: str = "host-a") -> requests.Response:
        made = self.on_set("POST", "/sessions", {"ownerName": owner})
        if made.status_code == 200:
            self.session, self.cursor = made.json(), 0
        return made

    def refresh(self) -> requests.Response:
        made = self.on_set("PATCH", f"/sessions/{self.session['sessionId']}")
        if made.status_code == 200:
            self.session = made.json()
        return made

    def close_session(self) -> requests.Response:
        return self.on_set("DELETE", f"/sessions/{self.session['sessionId']}")

    def queue_headers(self, capacity: int | None = None) -> dict[str, str]:
        headers = {**USER_AGENT, "Authorization": f"Bearer {self.session['messageQueueAccessToken']}"}
        if capacity is None:
            return {**headers, "Content-Type": "application/json"}
        accept = "application/json; api-version=6.0-preview"
        return {**headers, "Accept": accept, "X-ScaleSetMaxCapacity": str(capacity)}

    def poll(self, capacity: int = 10, **more: Any) -> requests.Response:
        params = {"lastMessageId": self.cursor} if self.cursor else {}
        sent = {"headers": self.queue_headers(capacity), "params": params, "timeout": 20, **more}
        return self.http.get(self.session["messageQueueUrl"], **sent)

    def acknowledge(self, number: int) -> requests.Response:
        before, _, query = self.session["messageQueueUrl"].partition("?")
        self.cursor = max(self.cursor, number)
        return self.http.delete(f"{before}/{number}?{query}", headers=self.queue_headers(), timeout=20)

    def take(self, capacity: int = 10) -> list[dict[str, Any]]:
        """Poll, acknowledge and return the job messages; empty if there was no message."""
        reply = self.poll(capacity)
        if reply.status_code != 200:
            return []
        message = reply.json()
        self.acknowledge(message["messageId"])
        return list(json.loads(message["body"]))

    def drain(self, capacity: int = 10) -> list[dict[str, Any]]:
        """Take all messages that exist now, without waiting for more."""
        events: list[dict[str, Any]] = []
        while self.has_news():
            events += self.take(capacity)
        return events

    def has_news(self) -> bool:
        sets = {one.id: one for one in self.github.state().scale_sets}
        return sets[self.scale_set].waiting_events > 0

    def acquire(self, numbers: list[int]) -> requests.Response:
        return self.on_set("POST", "/acquirejobs", numbers, headers=self.queue_headers())

    def jit(self, name: str = "runner-0a1b2c3d", folder: str = "_work") -> requests.Response:
        return self.on_set("POST", "/generatejitconfig", {"name": name, "workFolder": folder})

    def ready(self) -> ScaleSetClient:
        """Log in, create a scale set and open a session."""
        self.log_in()
        self.create()
        self.open_session()
        return self
