"""http.client's responses, which do not follow a server that talks without end (fault F100)."""

from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

MAX_LINES = 1000
"""Lines in a row without a byte of a body: status lines and headers, also those of `100 Continue`, and the
trailers of a chunked body. http.client itself reads any number of them."""
MAX_DIGITS = 18
"""Of a Content-Length."""


class BoundedResponse(HTTPResponse):
    """A response that is broken off where the server sends lines for ever, or a size that is none.

    http.client takes a Content-Length that is no number for none at all, so that a body which was cut off
    looks complete. It raises `HTTPException`, as for everything else that is no HTTP.
    """

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel=debuglevel, method=method)
        self.fp = BoundedReader(self.fp.detach())

    def begin(self) -> None:
        super().begin()
        lengths = self.headers.get_all("Content-Length", ())
        if not self.chunked and not _is_one_length(lengths):
            raise HTTPException(f"a body of {', '.join(lengths)[:40]} bytes")


class BoundedReader(io.BufferedReader):
    """Raises `HTTPException` after too many lines, and where a size to read is negative: that would read on
    until the server closes the connection."""

    _lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        self._lines += 1
        if self._lines > MAX_LINES:
            raise HTTPException(f"more than {MAX_LINES} lines without a body")
        return super().readline(size)

    def read(self, size: int | None = None, /) -> bytes:
        if size is not None and size < 0:
            raise HTTPException(f"a chunk of {size} bytes")
        self._lines = 0
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        self._lines = 0
        return super().read1(size)

    def readinto(self, buffer: Any, /) -> int:
        self._lines = 0
        return super().readinto(buffer)


def _is_one_length(headers: Iterable[str]) -> bool:
    """Whether the headers hold one length, however often; also if there are none."""
    lengths = {each.strip() for header in headers for each in header.split(",")}
    return len(lengths) < 2 and all(
        each.isascii() and each.isdigit() and len(each) <= MAX_DIGITS for each in lengths
    )
