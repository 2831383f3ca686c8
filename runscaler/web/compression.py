"""Replies compressed for who asks for it."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from runscaler.web.reply import Reply

SMALLEST = 1024
"""Bytes below which a reply is sent as it is."""
FAST = 1
"""Text of this kind shrinks to a tenth even so; more would cost more than it saves."""


def takes_gzip(environ: WSGIEnvironment) -> bool:
    """Does the client's `Accept-Encoding` name gzip, and not with a weight of 0?"""
    for offer in environ.get("HTTP_ACCEPT_ENCODING", "").split(","):
        coding, _, parameters = offer.partition(";")
        if coding.strip().lower() == "gzip":
            return not _is_zero(parameters)
    return False


def _is_zero(parameters: str) -> bool:
    name, _, weight = parameters.partition("=")
    return name.strip().lower() == "q" and weight.strip().rstrip("0") in ("", "0.")


def compressed(reply: Reply) -> Reply:
    if len(reply.body) < SMALLEST:
        return reply
    body = gzip.compress(reply.body, FAST, mtime=0)
    headers = (("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return replace(reply, body=body, headers=(*reply.headers, *headers))
