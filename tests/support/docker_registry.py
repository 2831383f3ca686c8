"""A real registry on a free port of the loopback interface: Debian's docker-registry (`apt install` that).

Engines pull from 127.0.0.0/8 without TLS. Images are pushed to it with plain HTTP, so that no engine needs to
have them first.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import pytest
from support.engine import shell_layer

if TYPE_CHECKING:
    from pathlib import Path

USER, PASSWORD = "me", "a right s3cr3t"
HTPASSWD = "me:$2y$04$abcdefghijklmnopqrstuutUSuEsV4OALmkWde.sTnveb7WEZ5P72\n"
"""Of that user and password, by bcrypt with its lowest cost."""
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
PATIENCE = 30.0


class DockerRegistry:
    """Runs until it is closed. With `login`, only `USER` may pull and push."""

    def __init__(self, folder: Path, *, login: bool = False, port: int = 0) -> None:
        program = shutil.which("docker-registry")
        if program is None:
            pytest.fail("docker-registry is missing: apt-get install docker-registry", pytrace=False)
        folder.mkdir(parents=True, exist_ok=True)
        self._login = login
        self._lines: list[str] = []
        self._has_line = threading.Condition()
        self._markers = itertools.count()
        self._process = subprocess.Popen(
            [program, "serve", str(_configuration(folder, login, port))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="docker-registry")
        self._reader.start()
        try:
            self.host = "127.0.0.1:" + self._await(re.compile(r"listening on 127\.0\.0\.1:(\d+)"))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """May be called more than once."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def push(
        self, image: str, mark: str = "", *, created: str = "2026-12-01T00:00:00Z", more_bytes: int = 0
    ) -> str:
        """Push an image with a shell under `image` ("runner:1"); another `mark` makes another image, and
        `more_bytes` a layer that no engine has. Returns the id that engines give it."""
        repository, _, tag = image.rpartition(":")
        layers = [shell_layer(), *([_random_layer(more_bytes)] if more_bytes else [])]
        packed = [gzip.compress(layer, 1, mtime=0) for layer in layers]
        config = _config(layers, mark, created)
        for blob in (*packed, config):
            self._upload(repository, blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, config),
            "layers": [_descriptor(LAYER, one) for one in packed],
        }
        self._call("PUT", f"/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(), MANIFEST)
        return _digest(config)

    def rename(self, image: str, tag: str) -> None:
        """Give what `image` ("runner:next") means another tag as well, as the engine pushed it."""
        repository, _, given = image.rpartition(":")
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            accepted = {"Accept": MANIFEST, **self._authorization()}
            connection.request("GET", f"/v2/{repository}/manifests/{given}", headers=accepted)
            answer = connection.getresponse()
            manifest = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, (answer.status, manifest)
        self._call("PUT", f"/v2/{repository}/manifests/{tag}", manifest, MANIFEST)

    def manifest_requests(self, image: str) -> int:
        """How often the manifest of that tag was asked for; pushes do not count."""
        marker = f"/v2/marker{next(self._markers)}/tags/list"
        self._call("GET", marker, expected=(200, 404))
        self._await(re.compile(f"GET ({re.escape(marker)})"))
        repository, _, tag = image.rpartition(":")
        asked = re.compile(rf'"(?:GET|HEAD) /v2/{re.escape(repository)}/manifests/{re.escape(tag)} ')
        with self._has_line:
            return sum(asked.search(line) is not None for line in self._lines)

    def _upload(self, repository: str, blob: bytes) -> None:
        place = self._call("POST", f"/v2/{repository}/blobs/uploads/")
        parts = urlsplit(place)
        query = "&".join(filter(None, (parts.query, urlencode({"digest": _digest(blob)}))))
        self._call("PUT", f"{parts.path}?{query}", blob, "application/octet-stream")

    def _call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = "",
        expected: tuple[int, ...] = (200, 201, 202),
    ) -> str:
        """Returns the header Location of the answer."""
        headers = {"Content-Type": kind} if kind else {}
        headers |= self._authorization()
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status in expected, (method, path, answer.status, content)
        return answer.headers.get("Location", "")

    def _authorization(self) -> dict[str, str]:
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return {"Authorization": f"Basic {word}"} if self._login else {}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._has_line:
                self._lines.append(line)
                self._has_line.notify_all()
        with self._has_line:
            self._has_line.notify_all()

    def _await(self, sign: re.Pattern[str]) -> str:
        """The first group of the sign in the first line of its log that has it."""

        def found() -> str:
            matches = (sign.search(line) for line in self._lines)
            return next((one[1] for one in matches if one), "")

        with self._has_line:
            self._has_line.wait_for(lambda: found() or self._process.poll() is not None, PATIENCE)
            assert found(), "".join(self._lines)
            return found()


def _configuration(folder: Path, login: bool, port: int) -> Path:
    configuration = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if login:
        (folder / "htpasswd").write_text(HTPASSWD)
        where = {"realm": "test", "path": str(folder / "htpasswd")}
        configuration["auth"] = {"htpasswd": where}
    path = folder / "config.yml"  # JSON is YAML
    path.write_text(json.dumps(configuration))
    return path


def _random_layer(size: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        entry = tarfile.TarInfo("random")
        entry.size = size
        layer.addfile(entry, io.BytesIO(os.urandom(size)))
    return buffer.getvalue()


def _config(layers: list[bytes], mark: str, created: str) -> bytes:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {"Cmd": ["/bin/sh"], "Labels": {"mark": mark}},
        "rootfs": {"type": "layers", "diff_ids": [_digest(one) for one in layers]},
    }
    return json.dumps(config).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}
