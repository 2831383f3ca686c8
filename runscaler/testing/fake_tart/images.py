"""Images: their names, and their paths in the cache and in the registry."""

from __future__ import annotations

import os


class Image:
    """HOST/NAMESPACE:TAG or HOST/NAMESPACE@sha256:HEX, stored below a root such as cache/OCIs."""

    def __init__(self, text: str) -> None:
        name, self.by_digest, digest = text.partition("@")
        last = name.rpartition("/")[2]
        self.tag = digest if self.by_digest else last.partition(":")[2] or "latest"
        self.repository = name if self.by_digest or ":" not in last else name.rpartition(":")[0]
        self.host = self.repository.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.repository}@{self.tag}" if self.by_digest else f"{self.repository}:{self.tag}"

    def path(self, root: str) -> str:
        host, _, namespace = self.repository.partition("/")
        return os.path.join(root, host.replace(":", "%3A"), namespace, self.tag)

    def digest(self, root: str) -> str:
        """`sha256:HEX`; empty if the image is not there."""
        path = os.path.realpath(self.path(root))
        return os.path.basename(path) if os.path.isdir(path) else ""


def cache_root(home: str) -> str:
    return os.path.join(home, "cache", "OCIs")


def cached_images(home: str) -> list[tuple[str, str]]:
    """(full name, directory) of each image, once by each of its tags and once by its digest."""
    found = []
    for folder, names, _ in os.walk(cache_root(home)):
        repository = os.path.relpath(folder, cache_root(home)).replace("%3A", ":")
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("sha256:") and not os.path.islink(path):
                found.append((f"{repository}@{name}", path))
            elif os.path.islink(path) and os.path.isdir(path):
                found.append((f"{repository}:{name}", os.path.realpath(path)))
        names[:] = [name for name in names if not name.startswith("sha256:")]
    return sorted(found)
