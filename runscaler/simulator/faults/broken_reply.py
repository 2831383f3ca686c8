"""Replies that break on the wire (faults F3 to F7, F18).

They are sent by the server itself and not by a relay in front of it, so that they can also affect single
requests on connections that were already open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from waitress.channel import ClientDisconnected

from runscaler.simulator.http_messages import ACCEPTED, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse

    from runscaler.simulator.http_messages import Request
    from runscaler.simulator.machine_lock import MachineLock

FOREVER = 86400.0
CHUNK = b" " * (64 * 1024)
FLUSH_SECONDS = 0.05
"""Time for the first half of a reply to reach the client before the connection ends."""


@dataclass(frozen=True, slots=True)
class BrokenReply:
    """`kind` is reset, cut (a reset within the body), short (less than announced), silent, drip or flood."""

    kind: str
    reply: Reply = field(default=ACCEPTED)
    seconds: float = 1.0
    """Between the bytes of a drip."""
    size: int = 0
    """The size of a flood in bytes."""


def send_broken(
    broken: BrokenReply,
    lock: MachineLock,
    request: Request,
    head: list[tuple[str, str]],
    start_response: StartResponse,
) -> Iterable[bytes]:
    """The WSGI result for the broken reply; the connection ends with it."""
    if broken.kind == "silent":
        lock.pause(FOREVER, request.connection)
    if broken.kind in ("silent", "reset"):
        request.connection.reset_on_close()
        raise ClientDisconnected
    if broken.kind == "flood":
        head = [(name, value) for name, value in head if name != "Content-Length"]
        head.append(("Content-Length", str(broken.size)))
    start_response(f"{broken.reply.status} {HTTPStatus(broken.reply.status).phrase}", head)
    return _body(broken, lock, request)


def _body(broken: BrokenReply, lock: MachineLock, request: Request) -> Iterator[bytes]:
    body = broken.reply.body
    if broken.kind == "flood":
        for _ in range(broken.size // len(CHUNK)):
            yield CHUNK
    elif broken.kind == "drip":
        for byte in body:
            yield bytes((byte,))
            lock.pause(broken.seconds, request.connection)
            if request.connection.gone() or lock.closed:
                return
    else:
        yield body[: len(body) // 2]
        lock.pause(FLUSH_SECONDS, request.connection)
        if broken.kind == "cut":
            request.connection.reset_on_close()
        raise ClientDisconnected
