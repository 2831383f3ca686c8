"""A finished HTTP reply of our own servers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse


@dataclass(frozen=True, slots=True)
class Reply:
    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    cache: str = "no-store"

    @classmethod
    def json(cls, value: dict[str, object], status: HTTPStatus = HTTPStatus.OK) -> Reply:
        return cls(status, json.dumps(value).encode() + b"\n")

    def send(self, start_response: StartResponse, *, head: bool = False) -> list[bytes]:
        """Begin the reply; returns its body, which is empty for a HEAD request."""
        start_response(
            f"{self.status.value} {self.status.phrase}",
            [
                ("Content-Type", self.content_type),
                ("Content-Length", str(len(self.body))),
                ("Cache-Control", self.cache),
                ("X-Content-Type-Options", "nosniff"),
                *self.headers,
            ],
        )
        return [] if head else [self.body]
