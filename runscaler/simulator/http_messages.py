"""Requests and replies as the simulator's APIs see them; WSGI itself is in `app.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.simulator.refusals import Refusal

LARGEST_BODY = 1 << 20
JSON_TYPE = "application/json; charset=utf-8"


class BadBody(Exception):
    """The body is not what the call takes; each API makes its own kind of refusal of this."""


class Connection(Protocol):
    """The connection that a request came on."""

    def gone(self) -> bool:
        """Whether the client has hung up."""

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Make this call, on another thread, when the client hangs up; None cancels it."""

    def reset_on_close(self) -> None:
        """Close the connection with a reset (RST) instead of an orderly end (FIN)."""


class NoConnection:
    """Stands in where a request did not come over a socket."""

    def gone(self) -> bool:
        return False

    def when_gone(self, call: Callable[[], None] | None) -> None:
        pass

    def reset_on_close(self) -> None:
        pass


@dataclass(slots=True)
class Request:
    """A complete request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names are in lower case."""
    body: bytes
    base_url: str
    """Scheme and host by which the client reached the simulator, without a final slash."""
    connection: Connection

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def json(self) -> Fields:
        """The body as a JSON object; raises `BadBody`."""
        return Fields.of(self.any_json())

    def any_json(self) -> object:
        if not self.header("content-type").lower().startswith("application/json"):
            raise BadBody("a JSON body needs Content-Type: application/json")
        try:
            value: object = json.loads(self.body)
        except ValueError:
            raise BadBody("the body is not valid JSON") from None
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()

    def json(self) -> object:
        """The value of the body, None without a body."""
        value: object = json.loads(self.body) if self.body else None
        return value


def refused(refusal: Refusal) -> Reply:
    return Reply(refusal.status, refusal.body(), refusal.content_type, refusal.headers)


def json_reply(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, separators=(",", ":")).encode())


NO_CONTENT = Reply(204)
ACCEPTED = Reply(202)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object whose keys are read without regard to case (as .NET does) and whose types are
    checked. Null counts as absent; getters raise `BadBody`."""

    values: Mapping[str, object] = field(default_factory=dict)
    spelled: frozenset[str] = frozenset()
    """All keys as they were sent, including those whose value is null."""

    @classmethod
    def of(cls, value: object) -> Fields:
        if not isinstance(value, dict):
            raise BadBody("the body is not a JSON object")
        present = {str(key).lower(): each for key, each in value.items() if each is not None}
        return cls(present, frozenset(map(str, value)))

    def has(self, key: str) -> bool:
        return key.lower() in self.values

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise BadBody(f"{key} is not a string")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadBody(f"{key} is not an integer")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self._get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise BadBody(f"{key} is not a number")
        return float(value)

    def truth(self, key: str, default: bool | None = None) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise BadBody(f"{key} is not true or false")
        return value

    def items(self, key: str) -> list[object]:
        value = self._get(key, ())
        if not isinstance(value, (list, tuple)):
            raise BadBody(f"{key} is not a list")
        return list(value)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.items(key)
        if not all(isinstance(value, str) for value in values):
            raise BadBody(f"{key} is not a list of strings")
        return tuple(str(value) for value in values)

    def inner(self, key: str) -> Fields:
        return Fields.of(self._get(key, {}))

    def _get(self, key: str, default: object) -> object:
        value = self.values.get(key.lower(), default)
        if value is None:
            raise BadBody(f"{key} is missing")
        return value


def parse_query(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))
