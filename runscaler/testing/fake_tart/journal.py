"""The journal of all calls: `calls.jsonl` in the host folder. It contains no secrets."""

from __future__ import annotations

import json
import os
import time


class Journal:
    """Writes a line when a call begins and another when it ends; a killed call has no second one."""

    def __init__(self, host: str, words: list[str]) -> None:
        self._path = os.path.join(host, "calls.jsonl")
        self._id = f"{os.getpid()}.{time.time_ns()}"
        home = os.environ.get("TART_HOME", "")
        self._write(argv=words, pid=os.getpid(), start=time.monotonic(), home=home, env=sorted(os.environ))

    def end(self, code: int, stdin: bytes) -> None:
        end, digest = time.monotonic(), ""
        if stdin:
            import hashlib

            digest = hashlib.sha256(stdin).hexdigest()
        self._write(end=end, code=code, stdin_length=len(stdin), stdin_sha256=digest)

    def _write(self, **facts: object) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, json.dumps({"call": self._id, **facts}).encode() + b"\n")
        os.close(fd)
