"""The demo's tiny image, made on the spot from what this host has (docs/behaviour.md § 10.2)."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

from runscaler.backends.docker.local import has_image, import_image
from runscaler.ops.demo_rootfs import PYTHON_HOME, entries, fingerprint, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.backends.base import Progress

REPOSITORY = "runscaler-demo"
CHANGES = (
    "USER runner",
    "WORKDIR /home/runner",
    f"ENV PYTHONHOME=/{PYTHON_HOME} PATH=/{PYTHON_HOME}/bin:/usr/bin:/bin HOME=/home/runner",
    'CMD ["/home/runner/run.sh"]',
)
PIECE = 1024 * 1024


def ensure_demo_image(api_url: str, progress: Progress) -> str:
    """The name of the image, made where the engine has none of these contents. Raises `BackendError`."""
    content = entries()
    name = f"{REPOSITORY}:{fingerprint(content)}"
    if not has_image(api_url, name):
        with tempfile.TemporaryFile() as archive:
            write_archive(content, archive)
            import_image(api_url, name, _pieces(archive, name, progress), CHANGES)
    return name


def _pieces(archive: IO[bytes], name: str, progress: Progress) -> Iterator[bytes]:
    total = archive.tell()
    archive.seek(0)
    while piece := archive.read(PIECE):
        progress(f"making image {name}", archive.tell(), total)
        yield piece
