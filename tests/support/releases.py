"""A release host on loopback, and executables that stand for those of its releases."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

from support.wire_server import WireServer, answer

from runscaler.platform_names import platform_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from support.wire_server import Conversation

ARCHIVE = f"runner-{platform_name()}.tar.gz"
FOREVER = float("inf")


def program(version: str) -> bytes:
    """An executable that knows only how to tell its version."""
    return f"""#!/bin/sh
[ "$*" = "version --short" ] && echo {version} || echo '{{"version": "{version}"}}'
""".encode()


def crashing() -> bytes:
    return b"#!/bin/sh\necho 'libfoo.so.1: not found' >&2\nexit 127\n"


def member(
    name: str = "runner", kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o755
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A .tar.gz with these members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zeros(megabytes: int) -> bytes:
    """A small archive with a large `runner`."""
    packed = io.BytesIO()
    info = member()
    info.size = megabytes * 2**20
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as out:
        out.write(info.tobuf())
        for _ in range(megabytes):
            out.write(bytes(2**20))
        out.write(bytes(1024))
    return packed.getvalue()


class ReleaseServer:
    """A context manager. Serves a list of releases, their files, and `latest`, as GitHub does."""

    def __init__(self) -> None:
        self._server = WireServer()
        self._listed: list[dict[str, object]] = []
        self._latest = ""

    def __enter__(self) -> Self:
        self._server.__enter__()
        self._server.on("GET", "/api/v3/repos/o/r/releases?", self._list, times=FOREVER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def address(self) -> str:
        return f"{self._server.url}/o/r/releases"

    @property
    def wire(self) -> WireServer:
        return self._server

    def publish(
        self,
        version: str,
        executable: bytes | None = None,
        *,
        archive: bytes | None = None,
        checksum: str = "",
        serve: Callable[[Conversation], None] | None = None,
        **facts: object,
    ) -> None:
        """Add a release. By default its executable tells `version`; `archive` is served instead of one with
        `executable`, `serve` answers in place of both, and `checksum` is what checksums.txt says."""
        packed = archive or archive_of((member(), executable or program(version)))
        digest = checksum or hashlib.sha256(packed).hexdigest()
        lines = f"{'0' * 64}  runner-plan9-amd64.tar.gz\n{digest}  {ARCHIVE}\n"
        self._listed.append({"tag_name": f"v{version}", "draft": False, "prerelease": False, **facts})
        for folder in (f"download/v{version}", *(["latest/download"] if not self._latest else [])):
            self._on(f"/o/r/releases/{folder}/checksums.txt", answer(lines.encode()))
            self._on(f"/o/r/releases/{folder}/{ARCHIVE}", serve or answer(packed))
        self._latest = self._latest or version

    def lists(self, value: object) -> None:
        """The list of releases is this instead."""
        self._server.rules.clear()
        self._on("/api/v3/", answer(value))

    def _list(self, conversation: Conversation) -> None:
        answer(self._listed)(conversation)

    def _on(self, path: str, reply: Callable[[Conversation], None]) -> None:
        self._server.on("GET", path, reply, times=FOREVER)
