"""URLs and request bodies of the actions service and the message queue.

Sources: docs/protocol.md § 4.1–4.3, 5.1, 5.5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from runscaler.github.wire import json_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.github.base import ScaleSetChange
    from runscaler.github.fields import JsonValue
    from runscaler.github.wire import Request

API_VERSION = "6.0-preview"
SCALE_SETS = "_apis/runtime/runnerscalesets"
RUNNER_GROUPS = "_apis/runtime/runnergroups/"
RUNNERS = "_apis/distributedtask/pools/0/agents"
WORK_FOLDER = "_work"

SERVICE_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
QUEUE_ACCEPT = f"application/json; api-version={API_VERSION}"


def service_url(base: str, path: str, query: Mapping[str, str]) -> str:
    """`path` below that of `base`, with the query of both and the API version, unless one is given."""
    parts = urlsplit(base)
    given = parse_qsl(parts.query, keep_blank_values=True)
    full = [*given, *query.items()]
    if all(name.lower() != "api-version" for name, _ in full):
        full.append(("api-version", API_VERSION))
    where = f"{parts.path.rstrip('/')}/{path}"
    return urlunsplit((parts.scheme, parts.netloc, where, urlencode(full, quote_via=quote), ""))


def poll_url(queue_url: str, last_message_id: int) -> str:
    """The queue's URL, asking for messages after `last_message_id`; 0: for any."""
    if last_message_id <= 0:
        return queue_url
    parts = urlsplit(queue_url)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=f"{query}lastMessageId={last_message_id}"))


def message_url(queue_url: str, message_id: int) -> str:
    """The URL of one message: its id is the last part of the path; the query stays."""
    parts = urlsplit(queue_url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{message_id}"))


def scale_set_path(scale_set_id: int, *more: str) -> str:
    return "/".join((SCALE_SETS, str(scale_set_id), *(quote(part, safe="") for part in more)))


def scale_set_body(change: ScaleSetChange) -> bytes:
    """The body that creates or changes a scale set; it holds only what is to change."""
    body: dict[str, JsonValue] = {}
    if change.name is not None:
        body["name"] = change.name
    if change.runner_group_id is not None:
        body["runnerGroupId"] = change.runner_group_id
    if change.labels is not None:
        body["labels"] = [{"name": label, "type": "System"} for label in change.labels]
    if change.updates_disabled is not None:
        body["RunnerSetting"] = {"disableUpdate": change.updates_disabled}
    return json_body(body)


def endpoint_name(request: Request) -> str:
    """What the call is for, as metrics name it: one of a fixed set, whatever the URL holds."""
    if request.poll:
        return "message_poll"
    path = urlsplit(request.url).path.rstrip("/")
    for method, pattern, name in _ENDPOINTS:
        if method == request.method and pattern.search(path):
            return name
    return "message_delete" if request.method == "DELETE" else "other"


_SET = r"/runnerscalesets/\d+"
_AGENTS = r"/pools/\d+/agents"
_ENDPOINTS = tuple(
    (method, re.compile(f"{path}$"), name)
    for method, path, name in (
        ("POST", "/actions/runners/registration-token", "registration_token"),
        ("POST", "/actions/runner-registration", "runner_registration"),
        ("POST", "/access_tokens", "app_token"),
        ("GET", "/installation", "app_installation_find"),
        ("GET", r"/app/installations/\d+", "app_installation_get"),
        ("GET", "/runnergroups", "group_find"),
        ("GET", "/runnerscalesets", "scale_set_find"),
        ("POST", "/runnerscalesets", "scale_set_create"),
        ("GET", _SET, "scale_set_get"),
        ("PATCH", _SET, "scale_set_update"),
        ("DELETE", _SET, "scale_set_delete"),
        ("POST", f"{_SET}/sessions", "session_open"),
        ("PATCH", f"{_SET}/sessions/[^/]+", "session_refresh"),
        ("DELETE", f"{_SET}/sessions/[^/]+", "session_close"),
        ("GET", f"{_SET}/acquirablejobs", "jobs_acquirable"),
        ("POST", f"{_SET}/acquirejobs", "jobs_acquire"),
        ("POST", f"{_SET}/generatejitconfig", "jit_config"),
        ("GET", _AGENTS, "runner_find"),
        ("GET", rf"{_AGENTS}/\d+", "runner_get"),
        ("DELETE", rf"{_AGENTS}/\d+", "runner_delete"),
    )
)
