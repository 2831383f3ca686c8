"""A fake of the Go tool's daemon: its flags, its health answer, and the port that it shares with nobody."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

config = Path(sys.argv[sys.argv.index("--config") + 1]).read_text()
port = int(re.search(r"health-port = (\d+)", config)[1])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = {"status": "ok", "scale_sets": [{"name": "linux", "idle": 0, "busy": 0}]}
        body = json.dumps(answer | {"go": True, "token": os.environ.get("RUNNER_TOKEN", "")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


HTTPServer.allow_reuse_address = True  # a port that somebody listens on is taken all the same
try:
    server = HTTPServer(("127.0.0.1", port), Handler)
except OSError as error:
    sys.exit(f"listen tcp 127.0.0.1:{port}: bind: {error.strerror.lower()}")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
