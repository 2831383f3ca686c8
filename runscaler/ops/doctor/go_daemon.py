"""Whether a daemon of the Go tool answers on this host: it holds no lock that could tell."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

from runscaler.untrusted import parse_json

SECONDS = 3.0
MAX_REPLY_BYTES = 16 * 2**20
OUR_KEY = "restarts"
"""In our answers only (docs/behaviour.md § 9.1)."""


def go_daemon_lives(port: int, seconds: float = SECONDS) -> bool:
    """Ask `/healthz` over loopback. What is connected but does not answer within `seconds` may be one."""
    connection = HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", "/healthz")
        return is_answer_of_go(connection.getresponse().read(MAX_REPLY_BYTES))
    except TimeoutError:
        return True
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def is_answer_of_go(body: bytes) -> bool:
    """A health report that lacks a key of ours."""
    try:
        found = parse_json(body)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("scale_sets"), list) and OUR_KEY not in found
