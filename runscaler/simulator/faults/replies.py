"""Building blocks of the fault table: replies in the form of each API, and changes of replies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody, Reply, refused
from runscaler.simulator.refusals import PlainRefusal, RestRefusal, ServiceRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.simulator.bodies import Json
    from runscaler.simulator.faults.row import FaultContext
    from runscaler.simulator.records import ScaleSet, Session

PROXY_PAGE = "<html><head><title>Sign in</title></head><body><h1>The proxy says hello</h1></body></html>"


def rest(status: int, message: str, *headers: tuple[str, str]) -> Reply:
    return refused(RestRefusal(status, message, headers))


def service(status: int, kind: str, message: str, *headers: tuple[str, str]) -> Reply:
    return refused(ServiceRefusal(status, kind, message, headers))


def plain(status: int, message: str) -> Reply:
    return refused(PlainRefusal(status, message))


def page(status: int) -> Reply:
    """A web page, as a proxy or GitHub during an outage sends it."""
    return Reply(status, PROXY_PAGE.encode(), "text/html; charset=utf-8")


def altered(reply: Reply, change: Callable[[Json], Json]) -> Reply:
    """The reply with its JSON object changed; a reply without one stays as it is."""
    value = reply.json()
    if not isinstance(value, dict):
        return reply
    body = json.dumps(change(value), separators=(",", ":")).encode()
    return Reply(reply.status, body, reply.content_type, reply.headers)


def has_key(key: str) -> Callable[[Reply], bool]:
    """For `Row.fits`: successful replies that are an object with this key."""

    def fits(reply: Reply) -> bool:
        if reply.status not in (200, 201) or not reply.body:
            return False
        value = reply.json()
        return isinstance(value, dict) and key in value

    return fits


is_message = has_key("messageId")


def message_with(kind: str) -> Callable[[Reply], bool]:
    """For `Row.fits`: queue messages with a job message of this kind."""
    return lambda reply: is_message(reply) and f'\\"messageType\\":\\"{kind}\\"'.encode() in reply.body


def target_scale_set(context: FaultContext) -> ScaleSet:
    """The scale set that the fault acts on: the request's, or the one that the match names."""
    if context.scale_set is None:
        raise BadBody(f"there is no scale set {context.fault.match.scale_set}")
    return context.scale_set


def target_session(context: FaultContext) -> Session:
    session = target_scale_set(context).session
    if session is None:
        raise BadBody("the scale set has no live session")
    return session
