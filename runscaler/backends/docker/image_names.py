"""One spelling for the names of images, which engines spell in different ways."""

from __future__ import annotations

DEFAULT_PREFIXES = ("docker.io/library/", "docker.io/", "localhost/")
"""What Podman puts before names without a registry; the last one before those that it made itself."""


def familiar(name: str) -> str:
    """The name as people write it: "docker.io/library/demo:1" and "localhost/demo:1" are "demo:1"."""
    for prefix in DEFAULT_PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name
