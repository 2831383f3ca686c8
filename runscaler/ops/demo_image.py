"""The demo's small image, built from files of this host (docs/behaviour.md § 10.2)."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

from runscaler.backends.docker.local import has_image, import_image
from runscaler.ops.demo_rootfs import PYTHON_HOME, entries, fingerprint, write_archive
from runscaler.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import Progress
    from runscaler.backends.docker.address import EngineAddress

REPOSITORY = "runscaler-demo"
CHANGES = (
    "USER runner",
    "WORKDIR /home/runner",
    # One variable each, as Podman takes only one.
    f"ENV PYTHONHOME=/{PYTHON_HOME}",
    f"ENV PATH=/{PYTHON_HOME}/bin:/usr/bin:/bin",
    "ENV HOME=/home/runner",
    'CMD ["/home/runner/run.sh"]',
)
CHUNK_BYTES = 1024 * 1024


def ensure_demo_image(engine: EngineAddress, progress: Progress) -> str:
    """The name of the image; built unless the engine has one with the same files. Raises `BackendError`."""
    content = entries()
    name = f"{REPOSITORY}:{fingerprint(content)}"
    if not has_image(engine, name):
        with tempfile.TemporaryFile() as archive:
            write_archive(content, archive)
            import_image(engine, name, _chunks(archive, name, progress), CHANGES)
    return name


def _chunks(archive: IO[bytes], name: str, progress: Progress) -> Iterator[bytes]:
    total = archive.tell()
    archive.seek(0)
    while chunk := archive.read(CHUNK_BYTES):
        what = f"building image {name} of {format_bytes(total)} from this host's Python, some seconds"
        progress(what, archive.tell(), total)
        yield chunk
