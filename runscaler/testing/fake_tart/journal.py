"""`calls.jsonl`: what was called, without a secret."""

from __future__ import annotations

import json
import os
import time


class Journal:
    """`calls.jsonl`: a line when a call begins and one when it ends, which a killed one never does."""

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
