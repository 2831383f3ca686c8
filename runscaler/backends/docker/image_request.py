"""Which image a scale set needs, from where, and when to pull it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Literal

from runscaler.backends.docker.image_references import ImageReference
from runscaler.backends.docker.registry_logins import GivenLogins, given_logins

if TYPE_CHECKING:
    from runscaler.config.model import ScaleSetSettings


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Equal (image, platform) are pulled once. `mirror` is a URL, empty for none."""

    image: str
    platform: str = ""
    pull: Literal["always", "missing", "never"] = "always"
    pull_interval: float = 24 * 3600.0
    mirror: str = ""
    logins: GivenLogins = ()
    is_runner: bool = True
    """Does it grow too old for GitHub?"""

    @classmethod
    def of(cls, settings: ScaleSetSettings) -> ImageRequest:
        docker = settings.docker
        return cls(
            settings.runner_image,
            docker.platform,
            docker.pull,
            docker.pull_interval,
            docker.registry_mirror,
            given_logins(docker.registry_auth),
        )

    @classmethod
    def all_of(cls, settings: ScaleSetSettings) -> tuple[ImageRequest, ...]:
        """The runner's, and that of its sidecar if it has one."""
        runner = cls.of(settings)
        if settings.docker.dind != "sidecar":
            return (runner,)
        return runner, replace(runner, image=settings.docker.sidecar_image, is_runner=False)

    @property
    def due_after(self) -> float:
        """Seconds from one look for a newer image to the next; `inf` where only a missing one is pulled."""
        return self.pull_interval if self.pull == "always" and self.pull_interval > 0 else inf

    @property
    def key(self) -> tuple[str, str]:
        return self.image, self.platform

    @property
    def way(self) -> tuple[str, GivenLogins]:
        """How it is pulled: where that failed for one scale set, it fails for another with an equal way."""
        return self.mirror, self.logins

    @property
    def reference(self) -> ImageReference:
        """Raises `ImageMissing` for what no engine takes as a name."""
        return ImageReference.of(self.image)

    def __str__(self) -> str:
        return f"image {self.image}" + (f" for {self.platform}" if self.platform else "")
