"""Replies that no client can use, for `WireServer` (docs/protocol.md § 10.1, 10.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.wire_server import answer, hang_up, head, reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.wire_server import Conversation

LARGE = 8 * 1024 * 1024 + 1
"""More bytes than any reply may have."""
CHUNKED = {"Transfer-Encoding": "chunked"}


def chunks_without_end(conversation: Conversation) -> None:
    conversation.send(head(200, {"Transfer-Encoding": "chunked"}))
    piece = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
    while not conversation.ended.is_set():
        conversation.send(piece)


def chunk_of(size: bytes) -> Callable[[Conversation], None]:
    """A chunk of that size, and data for as long as it is read."""
    return endless(b"x" * 65536, after=head(200, CHUNKED) + size + b"\r\n")


def endless(piece: bytes, after: bytes = b"") -> Callable[[Conversation], None]:
    def act(conversation: Conversation) -> None:
        conversation.send(after)
        while not conversation.ended.is_set():
            conversation.send(piece)

    return act


SPOILED: dict[str, Callable[[Conversation], None]] = {
    "F3 reset before the reply": reset(),
    "F3 closed before the reply": hang_up(),
    "F4 reset within the body": reset(head(200, {"Content-Length": "50"}) + b'{"count":'),
    "F5 body too short": hang_up(head(200, {"Content-Length": "50"}) + b'{"count":0}'),
    "F5 broken chunk": hang_up(head(200, {"Transfer-Encoding": "chunked"}) + b"5\r\n{}"),
    "F5 nonsense for a chunk": hang_up(head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n{}\r\n"),
    "F5 no HTTP at all": hang_up(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "F8 HTML": answer(b"<html>Log in to the Wi-Fi</html>", headers={"Content-Type": "text/html"}),
    "F9 invalid JSON": answer(b'{"count":'),
    "F9 list for object": answer([]),
    "F9 string for number": answer({"count": "0", "value": []}),
    "F9 count beyond the values": answer({"count": 1, "value": []}),
    "F9 nested too deeply": answer(b"[" * 100_000),
    "F9 not UTF-8": answer(b'{"count":0,"value":["\xff"]}'),
    "F13 500": answer(b"oops", 500),
    "F13 502": answer(b"<html>", 502),
    "F13 503": answer(None, 503),
    "F13 504": answer(None, 504),
    "429 that names no time": answer(None, 429),
    "F17 429 with a garbled time": answer(None, 429, {"Retry-After": "soon"}),
    "F100 a length of 5,000 digits": hang_up(head(200, {"Content-Length": "9" * 5000}) + b"{}"),
    "F100 a negative length": hang_up(head(200, {"Content-Length": "-5"}) + b'{"count":0,"value":[]}'),
    "F100 two lengths": hang_up(head(200, {"Content-Length": "22, 2"}) + b'{"count":0,"value":[]}'),
    "F100 a length that is no number": hang_up(head(200, {"Content-Length": "²"}) + b"{}"),
    "F100 a chunk of -5": chunk_of(b"-5"),
    "F100 a chunk of -1": chunk_of(b"-1"),
    "F100 a chunk of 5,000 digits": chunk_of(b"9" * 5000),
    "F100 100 Continue without end": endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "F100 headers without end": endless(b"X-More: 1\r\n", after=b"HTTP/1.1 200 OK\r\n"),
    "F100 trailers without end": endless(b"X-More: 1\r\n", after=head(200, CHUNKED) + b"0\r\n"),
    "F100 a line without end": endless(b"x" * 65536, after=b"HTTP/1.1 200 "),
    "F100 lists nested 100,000 deep": answer(b"[" * 100_000 + b"]" * 100_000),
    "F100 objects nested 100,000 deep": answer(b'{"value":' * 100_000 + b"[]" + b"}" * 100_000),
    "F100 a number of 5,000 digits": answer(b'{"count":' + b"9" * 5000 + b',"value":[]}'),
    "F18 announced too large": hang_up(head(200, {"Content-Length": str(LARGE)})),
    "F18 too large": chunks_without_end,
}
