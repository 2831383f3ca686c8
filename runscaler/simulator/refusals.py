"""Error replies of the simulated GitHub; each API has its own form.

Refusal
├── RestRefusal      the REST API: {"message": …} (docs/protocol.md § 3.3)
├── ServiceRefusal   the actions service and the queue: a .NET exception (docs/protocol.md § 4.4)
├── PlainRefusal     text/plain
└── AgentRefusal     our own agent protocol (docs/protocol.md § 9.5)
"""

from __future__ import annotations

import json

DOCUMENTATION = "https://docs.github.com/rest"
NAMESPACES = {"TaskAgent": "GitHub.DistributedTask.WebApi"}


class Refusal(Exception):
    """An error reply as an exception; `body()` renders its body."""

    content_type = "application/json; charset=utf-8"

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers

    def body(self) -> bytes:
        return json.dumps(self.content()).encode()

    def content(self) -> dict[str, object]:
        raise NotImplementedError


class RestRefusal(Refusal):
    def content(self) -> dict[str, object]:
        return {
            "message": self.message,
            "documentation_url": DOCUMENTATION,
            "status": str(self.status),
        }


class ServiceRefusal(Refusal):
    """`kind` is the short name of the exception, which tells clients what went wrong."""

    def __init__(
        self, status: int, kind: str, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(status, message, headers)
        self.kind = kind

    def content(self) -> dict[str, object]:
        namespace = next(
            (space for start, space in NAMESPACES.items() if self.kind.startswith(start)),
            "GitHub.Actions.Runtime.WebApi",
        )
        return {
            "$id": "1",
            "innerException": None,
            "message": self.message,
            "typeName": f"{namespace}.{self.kind}, {namespace}",
            "typeKey": self.kind,
            "errorCode": 0,
            "eventId": 3000,
        }


class PlainRefusal(Refusal):
    content_type = "text/plain; charset=utf-8"

    def body(self) -> bytes:
        return self.message.encode()


class AgentRefusal(Refusal):
    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(status, message)
        self.kind = kind

    def content(self) -> dict[str, object]:
        return {
            "source": "runscaler-simulator",
            "errorKind": self.kind,
            "statusCode": self.status,
            "errorMessage": self.message,
        }


def unauthorised(message: str) -> ServiceRefusal:
    return ServiceRefusal(401, "UnauthorizedRequestException", message)


def scale_set_gone(number: int) -> ServiceRefusal:
    return ServiceRefusal(404, "RunnerScaleSetNotFoundException", f"Runner scale set {number} was not found.")


def session_unknown(identity: str) -> ServiceRefusal:
    return ServiceRefusal(404, "RunnerAdminException", f"Runner scale set session {identity} was not found.")
