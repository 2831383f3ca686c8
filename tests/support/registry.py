"""A registry on the loopback interface with one image, from which a local engine pulls without TLS."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Registry:
    """Serves `image`. `requests` are the requested paths; `refusal` is what it answers instead, if set."""

    def __init__(self, layer: bytes, *, created: str = "2026-12-01T00:00:00Z") -> None:
        config = json.dumps(
            {
                "architecture": "amd64",
                "created": created,
                "os": "linux",
                "config": {"Cmd": ["/bin/sh"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _descriptor(CONFIG, config),
                "layers": [_descriptor(LAYER, layer)],
            }
        ).encode()
        self.requests: list[str] = []
        self.refusal: tuple[int, str] | None = None
        self._manifest = manifest
        self._layer_digest = _digest(layer)
        self._blobs = {_digest(blob): blob for blob in (layer, config, manifest)}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="registry")
        self._thread.start()

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self._server.server_port}/runner:latest"

    @property
    def pulls(self) -> int:
        """How often the manifest of the tag was requested."""
        return sum(path.endswith("/manifests/latest") for path in self.requests)

    @property
    def gave_its_layer(self) -> bool:
        return any(path.endswith(self._layer_digest) for path in self.requests)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        self.requests.append(path)
        if self.refusal is not None and path != "/v2/":
            status, code = self.refusal
            error = {"errors": [{"code": code, "message": code}]}
            return status, "application/json", json.dumps(error).encode()
        if path == "/v2/":
            return 200, "application/json", b"{}"
        name = path.rpartition("/")[2]
        if name == "latest" or name == _digest(self._manifest):
            return 200, MANIFEST, self._manifest
        blob = self._blobs.get(name)
        return (404, "application/json", b"{}") if blob is None else (200, "application/octet-stream", blob)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, kind, body = registry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", _digest(body))
                self.send_header("Connection", "close")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}
