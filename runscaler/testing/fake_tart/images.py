"""Images: their names, and where they lie in cache and registry."""

from __future__ import annotations

import os


class Image:
    """HOST/NAMESPACE:TAG or HOST/NAMESPACE@sha256:HEX, and where it lies below a root like cache/OCIs."""

    def __init__(self, text: str) -> None:
        place, self.by_digest, digest = text.partition("@")
        last = place.rpartition("/")[2]
        self.tag = digest if self.by_digest else last.partition(":")[2] or "latest"
        self.place = place if self.by_digest or ":" not in last else place.rpartition(":")[0]
        self.host = self.place.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.place}@{self.tag}" if self.by_digest else f"{self.place}:{self.tag}"

    def path(self, root: str) -> str:
        host, _, namespace = self.place.partition("/")
        return os.path.join(root, host.replace(":", "%3A"), namespace, self.tag)

    def digest(self, root: str) -> str:
        """`sha256:HEX`; empty if it is not there."""
        path = os.path.realpath(self.path(root))
        return os.path.basename(path) if os.path.isdir(path) else ""


def cache_root(home: str) -> str:
    return os.path.join(home, "cache", "OCIs")


def cached_images(home: str) -> list[tuple[str, str]]:
    """(full name, directory), each image under its tags and its digest."""
    found = []
    for folder, names, _ in os.walk(cache_root(home)):
        place = os.path.relpath(folder, cache_root(home)).replace("%3A", ":")
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("sha256:") and not os.path.islink(path):
                found.append((f"{place}@{name}", path))
            elif os.path.islink(path) and os.path.isdir(path):
                found.append((f"{place}:{name}", os.path.realpath(path)))
        names[:] = [name for name in names if not name.startswith("sha256:")]
    return sorted(found)
