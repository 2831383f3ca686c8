"""Faults that an application cannot answer with: what happens to the connection itself (F3–F7, F18).

They are done where the reply leaves, not in a relay in front: so they also meet connections that
were open before, and match single requests on them.
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

FOR_EVER = 86400.0
CHUNK = b" " * (64 * 1024)
SETTLE = 0.05


@dataclass(frozen=True, slots=True)
class BrokenReply:
    """`kind`: reset, cut (reset in the body), short (less than announced), silent, drip or flood."""

    kind: str
    reply: Reply = field(default=ACCEPTED)
    seconds: float = 1.0
    """Between the bytes of a drip."""
    size: int = 0
    """Of a flood, in bytes."""


def damaged(
    damage: BrokenReply,
    lock: MachineLock,
    request: Request,
    head: list[tuple[str, str]],
    start_response: StartResponse,
) -> Iterable[bytes]:
    """The WSGI answer that does it; the connection ends with it, whatever its client wished."""
    if damage.kind == "silent":
        lock.pause(FOR_EVER, request.connection)
    if damage.kind in ("silent", "reset"):
        request.connection.reset_on_close()
        raise ClientDisconnected
    if damage.kind == "flood":
        head = [(name, value) for name, value in head if name != "Content-Length"]
        head.append(("Content-Length", str(damage.size)))
    start_response(f"{damage.reply.status} {HTTPStatus(damage.reply.status).phrase}", head)
    return _body(damage, lock, request)


def _body(damage: BrokenReply, lock: MachineLock, request: Request) -> Iterator[bytes]:
    body = damage.reply.body
    if damage.kind == "flood":
        for _ in range(damage.size // len(CHUNK)):
            yield CHUNK
    elif damage.kind == "drip":
        for byte in body:
            yield bytes((byte,))
            lock.pause(damage.seconds, request.connection)
            if request.connection.gone() or lock.closed:
                return
    else:
        yield body[: len(body) // 2]
        lock.pause(SETTLE, request.connection)
        if damage.kind == "cut":
            request.connection.reset_on_close()
        raise ClientDisconnected
