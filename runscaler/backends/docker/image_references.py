"""The parts of an image's name: "ubuntu" is docker.io, library/ubuntu, latest."""

from __future__ import annotations

from dataclasses import dataclass

from docker.auth import resolve_repository_name
from docker.errors import DockerException
from docker.utils import parse_repository_tag

from runscaler.config.registries import DOCKER_HUB, registry_host
from runscaler.errors import ImageMissing


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`registry` is its host, `path` the repository there, `tag` may be a digest ("sha256:…").

    `repository` is the name as given, without its tag.
    """

    repository: str
    registry: str
    path: str
    tag: str

    @classmethod
    def of(cls, name: str) -> ImageReference:
        """Raises `ImageMissing` for what no engine takes as a name."""
        try:
            repository, tag = parse_repository_tag(name)
            registry, path = resolve_repository_name(repository)
        except (DockerException, LookupError) as error:
            raise ImageMissing(f"image {name}: that is no name of an image: {error}") from error
        registry, path = registry_host(registry), path.partition(":")[0]
        if registry == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        return cls(repository, registry, path, tag or "latest")

    @property
    def is_pinned(self) -> bool:
        """Is it named by its digest?"""
        return ":" in self.tag

    @property
    def full_repository(self) -> str:
        return f"{self.registry}/{self.path}"

    def at_mirror(self, mirror: str) -> str:
        """The repository at the registry mirror with that URL; empty if no mirror can serve it.

        As Docker's own mirrors do, it serves images of Docker Hub under their path. Others stand below the
        name of their registry: a mirror of one registry, asked for the bare path of another's image, would
        give an image of somebody else. A digest cannot be given to an image under another name.
        """
        base = mirror.partition("://")[2].strip("/")
        if not base or self.is_pinned or ":" in self.registry:
            return ""
        return f"{base}/{self.path}" if self.registry == DOCKER_HUB else f"{base}/{self.full_repository}"
